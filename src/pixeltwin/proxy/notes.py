"""What pixeltwin writes on the flows it mirrored: a marker, a line of outcome, the twin for the content view."""

import asyncio
import json
import weakref
from collections import OrderedDict
from typing import Any, Final

from mitmproxy import ctx, hooks, http

from pixeltwin.delivery.journal import Record, State
from pixeltwin.gateway import Doors, Handled
from pixeltwin.gateway.entries import browsers_copy

MARKER: Final = ":busts_in_silhouette:"  # two of a kind
KEY: Final = "pixeltwin"
REMEMBERED: Final = 2000  # flows whose twin is still on its way


class FlowNotes:
    """Notes on flows, kept up to date while their twins travel. Flows are held weakly: mitmdump forgets them."""

    def __init__(self) -> None:
        self._flows: OrderedDict[str, weakref.ref[http.HTTPFlow]] = OrderedDict()

    def add(self, flow: http.HTTPFlow, handled: Handled) -> None:
        """Note a decision. `flow.metadata` takes plain values only, or `-w` fails."""
        if handled.state is State.SKIPPED:
            flow.comment = f"no twin: {handled.detail}"
            flow.metadata[KEY] = {**_decided(handled), "skip": handled.detail, "twin": ""}
            return
        twins = handled.admission.twins
        flow.marked = MARKER
        flow.comment = f"twin {handled.state}"
        twin = json.dumps(twins[0].event) if twins else ""
        flow.metadata[KEY] = {**_decided(handled), "skip": "", "twin": twin}
        self._flows[handled.record_id] = weakref.ref(flow)
        while len(self._flows) > REMEMBERED:
            self._flows.popitem(last=False)

    async def follow(self, opening: "asyncio.Task[Doors]") -> None:
        """Carry every change of the journal over to its flow, until cancelled."""
        with (await opening).gateway.journal.follow() as changes:
            while True:
                record = await changes.get()
                if (known := self._flows.get(record.id)) and (flow := known()):
                    await _update(flow, record)


def _decided(handled: Handled) -> dict[str, Any]:
    """What consent and rules decided when the hit came."""
    admission = handled.admission
    return {
        "consent": admission.verdict.told,
        "rules": list(admission.ruled.names) if admission.ruled else [],
        "relay": browsers_copy(admission, handled.relay),
    }


async def _update(flow: http.HTTPFlow, record: Record) -> None:
    flow.comment = f"twin {record.state}" + (f": {record.detail}" if record.detail else "")
    flow.metadata[KEY] |= {"rules": list(record.rules), "twin": json.dumps(record.twin)}
    await ctx.master.addons.trigger_event(hooks.UpdateHook([flow]))
