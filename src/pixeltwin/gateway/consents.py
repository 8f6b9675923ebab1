"""What a browser's answer does to its hits that wait: a grant releases what was held, a refusal purges it all.

A refusal also takes back what was remembered of the browser for its later hits, and for the events of its orders.

An answer that was carried out already is not carried out again with every page, as far as that is remembered.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from pixeltwin.consent.verdict import Answer, Treatment
from pixeltwin.delivery.outbox import Outbox
from pixeltwin.enrich.memory import Memory, browser_key
from pixeltwin.gateway.items import subject_of
from pixeltwin.mirror import Admission
from pixeltwin.telemetry import CONSENT, log

REMEMBERED: Final = 20_000  # browsers


@dataclass(frozen=True, slots=True)
class Said:
    """A hit's word about consent: whose browser's, for which pixels, the answer, whether the hit itself is held."""

    browser: str
    pixels: Collection[str]
    answer: Answer
    is_held: bool


def said_by(admission: Admission) -> Said | None:
    """What the hit says; None where nobody asked its visitor, or nobody could tell whose answer it is."""
    verdict = admission.verdict
    if not admission.browser or not verdict.policy or admission.hit is None:
        return None
    return Said(admission.browser, admission.reach, verdict.answer, verdict.twin is Treatment.HOLD)


class Consents:
    """Follows the answers of one gateway's browsers. `memory` is the one that there is at present, if any."""

    def __init__(self, outbox: Outbox, memory: Callable[[], Memory | None] = lambda: None) -> None:
        self._outbox = outbox
        self._memory = memory
        self._heard: OrderedDict[tuple[str, bytes], Answer] = OrderedDict()

    async def follow(self, said: Said | None) -> int:
        """Carry the hit's answer out on what waits of its browser; answers how many items that concerned.

        Never raises: a hit must not fail by it.
        """
        concerned = 0
        if said is None or (subject := subject_of(said.browser)) is None:
            return concerned
        for pixel_id in said.pixels:
            if said.is_held:
                self._heard.pop((pixel_id, subject), None)
            elif self._is_news(pixel_id, subject, said.answer):
                concerned += await self._carry_out(pixel_id, said, subject)
        return concerned

    def _is_news(self, pixel_id: str, subject: bytes, answer: Answer) -> bool:
        known = self._heard.pop((pixel_id, subject), None)
        self._heard[pixel_id, subject] = answer
        while len(self._heard) > REMEMBERED:
            self._heard.popitem(last=False)
        return answer is not known

    async def _carry_out(self, pixel_id: str, said: Said, subject: bytes) -> int:
        try:
            match said.answer:
                case Answer.GRANTED:
                    effect, concerned = "released", await self._outbox.release(pixel_id, subject)
                case Answer.DENIED:
                    effect, concerned = "purged", await self._outbox.purge(pixel_id, subject)
                    await self._take_back(pixel_id, said.browser)
                case _:
                    return 0
        except OSError as error:
            self._heard.pop((pixel_id, subject), None)
            log.error("an answer could not be carried out", answer=str(said.answer), error=str(error))
            return 0
        CONSENT.labels(effect).inc(concerned)
        return concerned

    async def _take_back(self, pixel_id: str, browser: str) -> None:
        if memory := self._memory():
            CONSENT.labels("taken_back").inc(await memory.withdraw(browser_key(pixel_id, browser)))
