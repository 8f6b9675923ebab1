"""What a browser's answer does to its hits that wait: a grant releases what was held, a refusal purges it all.

An answer that was carried out already is not carried out again with every page, as far as that is remembered.
"""

from collections import OrderedDict
from typing import Final

from pixeltwin.consent.verdict import Answer, Treatment
from pixeltwin.delivery.outbox import Outbox
from pixeltwin.gateway.items import subject_of
from pixeltwin.mirror import Admission
from pixeltwin.telemetry import CONSENT, log

REMEMBERED: Final = 20_000  # browsers


class Consents:
    """Follows the answers of one gateway's browsers."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._heard: OrderedDict[tuple[str, bytes], Answer] = OrderedDict()

    async def follow(self, admission: Admission) -> int:
        """Carry the hit's answer out on what waits of its browser; answers how many items that concerned.

        Never raises: a hit must not fail by it.
        """
        verdict, concerned = admission.verdict, 0
        if not verdict.policy or admission.hit is None or (subject := subject_of(admission.browser)) is None:
            return concerned
        for pixel_id in admission.reach:
            if verdict.twin is Treatment.HOLD:
                self._heard.pop((pixel_id, subject), None)
            elif self._is_news(pixel_id, subject, verdict.answer):
                concerned += await self._carry_out(pixel_id, subject, verdict.answer)
        return concerned

    def _is_news(self, pixel_id: str, subject: bytes, answer: Answer) -> bool:
        known = self._heard.pop((pixel_id, subject), None)
        self._heard[pixel_id, subject] = answer
        while len(self._heard) > REMEMBERED:
            self._heard.popitem(last=False)
        return answer is not known

    async def _carry_out(self, pixel_id: str, subject: bytes, answer: Answer) -> int:
        effects = {Answer.GRANTED: ("released", self._outbox.release), Answer.DENIED: ("purged", self._outbox.purge)}
        if answer not in effects:
            return 0
        effect, carry_out = effects[answer]
        try:
            concerned = await carry_out(pixel_id, subject)
        except OSError as error:
            self._heard.pop((pixel_id, subject), None)
            log.error("an answer could not be carried out", answer=str(answer), error=str(error))
            return 0
        CONSENT.labels(effect).inc(concerned)
        return concerned
