"""What the worker does with relayed copies: nothing but count them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from pixeltwin.delivery.outbox import Dropped, Item
from pixeltwin.delivery.worker import Ended, Prepared, Ready
from pixeltwin.pixel.skip import Reason
from pixeltwin.telemetry import RELAYS

NOT_GRANTED: Final = Dropped(Reason.CONSENT_UNKNOWN)
_ended: Final = cache(RELAYS.labels)  # a look-up of labels takes longer than counting


class Relays:
    """Hands the browser's copies on as they are, but for those that nobody released. `names` are pixels' by id."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    async def prepare(self, items: Sequence[Item]) -> dict[int, Prepared]:
        return {item.seq: NOT_GRANTED if item.held else Ready(item.payload) for item in items}

    def report(self, ended: Sequence[Ended]) -> None:
        ends = Counter((item.pixel_id, type(outcome)) for item, outcome, _ in ended)
        for (pixel_id, kind), number in ends.items():
            _ended(self._names.get(pixel_id, "other"), kind.__name__.lower()).inc(number)
