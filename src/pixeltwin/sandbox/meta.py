"""One stand-in Meta: what it was given, what it has seen, and how it judges what comes next."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from pixeltwin.sandbox import answers, checks
from pixeltwin.sandbox.answers import Refusal
from pixeltwin.sandbox.faults import Faults
from pixeltwin.sandbox.graph import GraphRequest
from pixeltwin.sandbox.ledger import Copy, Ledger, iso
from pixeltwin.sandbox.shapes import HASH

OLDEST_VERSION: Final = 21  # v20.0 expired on 24 Sep 2026 (PROTOCOL 1.1)
CURRENT_VERSION: Final = 26
MAX_REFUSED: Final = 1000  # each may hold a whole batch

COUNTS: Final = (
    *("events", "deduplicated", "browser_only", "server_only", "no_event_id"),
    *("browser_duplicates", "server_duplicates"),
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A request to `/tr`: its parameters in the order they came, and the headers that came with them."""

    method: str
    params: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    cookies: Sequence[str]

    def get(self, name: str) -> str:
        """The parameter's value, the last one where there are several (PROTOCOL 3.4)."""
        return dict(self.params).get(name, "")


class Sandbox:
    """The state of a stand-in Meta.

    With `tokens` (pixel id to access token) only those pixels exist and only their tokens work; without, any
    numeric pixel and any token do. `journal` names a file that every request is appended to.
    """

    def __init__(
        self,
        tokens: Mapping[str, str] | None = None,
        journal: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tokens = dict(tokens or {})
        self.journal = journal
        self.clock = clock
        self.faults = Faults()
        self.reset()

    def reset(self) -> None:
        """Forget all events; ordered faults stay."""
        self.ledger = Ledger()
        self.refused: deque[dict[str, Any]] = deque(maxlen=MAX_REFUSED)
        self.unusable_hits = 0
        self.faults.served = 0

    def see_hit(self, hit: Hit) -> None:
        """Take the browser's copy. A hit without pixel or event name is only counted."""
        if not (hit.get("id") and hit.get("ev")):
            self.unusable_hits += 1
            return
        self.ledger.record("browser", _browser_copy(hit, self.clock()))

    def take_events(self, version: int, pixel_id: str, request: GraphRequest) -> Refusal | dict[str, Any]:
        """Graph's answer to a batch. An accepted batch is in the ledger, a refused one in `refused`, whole."""
        refusal = self._refuse_access(version, pixel_id, request.access_token)
        verdict = checks.Verdict(refusal) if refusal else self._check(request)
        events = [] if isinstance(request.data, Refusal) else request.data
        if verdict.refusal:
            self._note_refusal(pixel_id, verdict.refusal, events)
            return verdict.refusal
        for event, remarks in zip(events, verdict.remarks, strict=True):
            copy = _server_copy(pixel_id, event, request.test_event_code, remarks, self.clock())
            self.ledger.record("server", copy)
        return answers.accepted(len(events), tuple(chain.from_iterable(verdict.remarks)))

    def report(self) -> dict[str, Any]:
        """What Events Manager would show, as `GET /sandbox/events` answers it."""
        found = self.ledger.counts()
        counts = {name: found[name] for name in COUNTS}
        others = {
            "refused": len(self.refused),
            "unusable_hits": self.unusable_hits,
            "faults": self.faults.served,
        }
        return {
            "events": [entry.as_json() for entry in self.ledger.entries],
            "refused": list(self.refused),
            "counts": counts | others,
        }

    def _refuse_access(self, version: int, pixel_id: str, token: str) -> Refusal | None:
        if version < OLDEST_VERSION:
            return answers.deprecated_version(CURRENT_VERSION)
        if version > CURRENT_VERSION:
            return answers.unknown_path(f"/v{version}.0/{pixel_id}/events")
        if not token:
            return answers.bad_token("An access token is required to request this resource.")
        if not self._exists(pixel_id):
            return answers.no_such_pixel(pixel_id)
        if self.tokens and token != self.tokens[pixel_id]:
            return answers.bad_token("Cannot parse access token.")
        return None

    def _exists(self, pixel_id: str) -> bool:
        return pixel_id in self.tokens if self.tokens else pixel_id.isascii() and pixel_id.isdigit()

    def _check(self, request: GraphRequest) -> checks.Verdict:
        if isinstance(request.data, Refusal):
            return checks.Verdict(request.data)
        if refusal := checks.check_partner_agent(request.partner_agent):
            return checks.Verdict(refusal)
        return checks.check_batch(request.data, self.clock())

    def _note_refusal(self, pixel_id: str, refusal: Refusal, events: Sequence[object]) -> None:
        self.refused.append(
            {
                "at": iso(self.clock()),
                "pixel_id": pixel_id,
                "code": refusal.code,
                "subcode": refusal.subcode,
                "message": refusal.detail,
                "blame": list(refusal.blame),
                "events": list(events),
            }
        )


def _browser_copy(hit: Hit, at: float) -> Copy:
    return Copy(
        at=at,
        pixel_id=hit.get("id"),
        event_name=hit.get("ev"),
        event_id=hit.get("eid"),
        fbp=_fbp(hit.get("fbp")),
        external_id=_external_ids(hit.get("ud[external_id]")),
        detail=asdict(hit),
    )


def _server_copy(pixel_id: str, event: Any, code: str | None, remarks: Sequence[str], at: float) -> Copy:
    user_data = event["user_data"]
    return Copy(
        at=at,
        pixel_id=pixel_id,
        event_name=event["event_name"],
        event_id=event.get("event_id") or "",
        fbp=_fbp(user_data.get("fbp")),
        external_id=_external_ids(user_data.get("external_id")),
        detail={"event": event, "test_event_code": code, "messages": remarks},
    )


def _fbp(value: object) -> frozenset[str]:
    """The browser id without ParamBuilder's appendix, which only one of the copies may have."""
    return frozenset({".".join(str(value).split(".")[:4])} if value else ())


def _external_ids(value: object) -> frozenset[str]:
    values = value if isinstance(value, list) else [value]
    return frozenset(_comparable(str(item)) for item in values if item)


def _comparable(external_id: str) -> str:
    return external_id.partition(".")[0].lower() if HASH.fullmatch(external_id) else external_id
