"""Keeping what was decided: into the outbox, as long as a browser may wait for that, and into the books.

Each hit is counted once, when it is known what became of it. The outbox may know that after the browser.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, Protocol

from pixeltwin.consent.verdict import Treatment
from pixeltwin.delivery.journal import Journal, State
from pixeltwin.delivery.outbox import Appended, NewItem
from pixeltwin.gateway.appends import Appends
from pixeltwin.gateway.consents import Said, said_by
from pixeltwin.gateway.entries import record_of_server_event, tell_answer
from pixeltwin.gateway.items import twin_item
from pixeltwin.gateway.line import Line
from pixeltwin.gateway.together import Answer, Hit, Together
from pixeltwin.mirror import Admission, Draft
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason
from pixeltwin.telemetry import HITS, LATE_APPENDS, RULE_ERRORS, RULES, UNACKED_PASSTHROUGH, log

LOST: Final = (Reason.OUTBOX_FAILED, Reason.INTERNAL_ERROR)
UNACKED: Final = "unacked_passthrough"
STATES: Final = {
    Appended.ACCEPTED: State.QUEUED,
    Appended.DUPLICATE: State.DUPLICATE,
    Appended.SHED: State.SHED,
}
HELD_STATES: Final = {**STATES, Appended.ACCEPTED: State.HELD}


@dataclass(slots=True)  # frozen by its types alone, like a hit
class Kept:
    """How a hit was kept. `states` are those of its twins, or one where there is none; `detail` says why to people,
    `reason` to metrics.

    An `is_open` end is not the last word: the outbox has not answered yet.
    """

    states: Final[Sequence[State]]
    reason: Final[str] = ""
    detail: Final[str] = ""
    is_open: Final[bool] = False


class Takes(Protocol):
    """Whoever makes items durable; an `Outbox` does."""

    def append(self, items: Sequence[NewItem]) -> Awaitable[list[Appended]]: ...


class Follows(Protocol):
    """Whoever carries visitors' answers out; `Consents` do."""

    async def follow(self, said: Said | None) -> int: ...


class Keeper:
    """Keeps hits and posted events in the outbox, once that is there, and tells the `journal`."""

    def __init__(self, journal: Journal, appends: Appends | None = None) -> None:
        self._journal = journal
        self._outbox: Takes | None = None
        self._consents: Follows | None = None
        self._appends = appends or Appends()
        self._together = Together(self._appends, self._append)
        self._following: set[asyncio.Future[None]] = set()  # the loop itself would let go of them

    def use(self, outbox: Takes, consents: Follows) -> None:
        self._outbox, self._consents = outbox, consents

    async def flush(self, seconds: float) -> None:
        """Wait for what the outbox was given, but no longer than so many seconds."""
        self._together.hand_over()
        await self._appends.flush(seconds)

    def keep(self, line: Line, admission: Admission, items: list[NewItem], told: Callable[[Kept], None]) -> None:
        """Keep a hit's items and do what its visitor's answer asks for; durable when that is told, unless it is late.

        It may be told before this returns.
        """
        said, size = said_by(admission), _size(items)
        if not (said or items):
            self._end(line, admission, told, _kept(admission, []))
        elif not self._together.has_room(size):
            lost = _lost(admission, Reason.OUTBOX_BUSY) if items else _skipped(admission)
            self._end(line, admission, told, lost)
        else:
            seconds, ended = line.config.server.limits.ack_deadline, partial(self._ended, line, admission, items, told)
            hit = Hit(items, ended, partial(self._correct, line, admission))
            if said:
                following = asyncio.ensure_future(self._follow(said, hit, size, seconds))
                self._following.add(following)
                following.add_done_callback(self._following.discard)
            else:
                self._together.append(hit, size, seconds)

    async def _follow(self, said: Said, hit: Hit, size: int, seconds: float) -> None:
        """Carry the visitor's answer out, then append the hit's items."""
        answer: Answer | None
        try:
            following = self._follow_and_append(said, hit.items)
            answer = await self._appends.within(seconds, following, size=size, late=hit.late)
        except Exception as error:
            answer = error
        hit.told(answer)

    def _ended(
        self,
        line: Line,
        admission: Admission,
        items: Sequence[NewItem],
        told: Callable[[Kept], None],
        answer: Answer | None,
    ) -> None:
        """The outbox has answered, or not in time."""
        if answer is None and items:
            UNACKED_PASSTHROUGH.inc()
        self._end(line, admission, told, _unacked(admission) if answer is None else _end_of(admission, answer))

    def _end(self, line: Line, admission: Admission, told: Callable[[Kept], None], end: Kept) -> None:
        if not end.is_open:
            _count(line, admission, end)
        told(end)

    async def _follow_and_append(self, said: Said, items: Sequence[NewItem]) -> list[Appended]:
        if self._consents and await self._consents.follow(said):
            tell_answer(self._journal, said)
        return await self._append(items) if items else []

    def _correct(self, line: Line, admission: Admission, answer: Answer) -> None:
        """Tell how a hit was kept that went on without being."""
        end = _end_of(admission, answer)
        LATE_APPENDS.labels(end.reason if end.reason in LOST else "kept").inc()
        if admission.skip:
            return  # which has been told
        _count(line, admission, end)
        for twin, state in zip(admission.twins, end.states, strict=False):
            record = self._journal.get(twin.record_id)
            if record and record.state is State.UNACKED:
                self._journal.update(twin.record_id, state=state, detail=end.detail)

    async def keep_posted(self, line: Line, request: HitRequest, drafts: list[Draft]) -> Reason | None:
        """Append posted events; why they cannot be said to be durable, None when they are."""
        items = [twin_item(draft) for draft in drafts]
        size = _size(items)
        if not self._together.has_room(size):
            return Reason.OUTBOX_BUSY
        seconds, storing = line.config.server.limits.ack_deadline, self._store_posted(line, request, drafts, items)
        is_stored = await self._appends.within(seconds, storing, size=size, late=_look)
        return None if is_stored else Reason.OUTBOX_BUSY if is_stored is None else Reason.OUTBOX_FAILED

    async def _store_posted(self, line: Line, request: HitRequest, drafts: list[Draft], items: list[NewItem]) -> bool:
        try:
            appended = await self._append(items) if items else []
        except OSError as error:
            log.error("the outbox took nothing", error=str(error))
            return False
        for draft, one in zip(drafts, appended, strict=True):
            HITS.labels(line.names[draft.pixel_id], STATES[one], "").inc()
            self._journal.add(record_of_server_event(request, draft, STATES[one]))
        return True

    def _append(self, items: Sequence[NewItem]) -> Awaitable[list[Appended]]:
        if self._outbox is None:
            raise OSError("the outbox is not open")
        return self._outbox.append(items)


def _kept(admission: Admission, appended: Sequence[Appended]) -> Kept:
    """The outbox has taken the hit's items, its twins' first."""
    if admission.skip:
        return _skipped(admission)
    return _taken(tuple(appended[: len(admission.twins)]), admission.verdict.twin)


@lru_cache(256)  # nearly all hits have one of a few ends
def _taken(appended: tuple[Appended, ...], treatment: Treatment) -> Kept:
    states = HELD_STATES if treatment is Treatment.HOLD else STATES
    return Kept(tuple([states[one] for one in appended]))


def _unacked(admission: Admission) -> Kept:
    """The outbox has not answered in time."""
    return _skipped(admission) if admission.skip else Kept([State.UNACKED] * len(admission.twins), "", UNACKED, True)


def _end_of(admission: Admission, answer: Answer) -> Kept:
    """The outbox has answered, in whatever way."""
    if isinstance(answer, OSError):
        return _failed(admission, answer)
    if isinstance(answer, BaseException):
        log.error("a hit could not be kept", error=repr(answer))
        return _lost(admission, Reason.INTERNAL_ERROR)
    return _kept(admission, answer)


def _failed(admission: Admission, error: OSError) -> Kept:
    """The outbox could take nothing."""
    log.error("the outbox took nothing", error=str(error))
    return _lost(admission, Reason.OUTBOX_FAILED)


def _lost(admission: Admission, reason: Reason) -> Kept:
    """The outbox has taken nothing."""
    return Kept([State.SKIPPED] * max(1, len(admission.twins)), reason, reason)


def _skipped(admission: Admission) -> Kept:
    """There are no twins."""
    because = f": {admission.because}" if admission.because else ""
    return Kept([State.SKIPPED], str(admission.skip), f"{admission.skip}{because}")


def _size(items: Sequence[NewItem]) -> int:
    """How many bytes the items carry."""
    return sum([len(item.payload) for item in items])


def _count(line: Line, admission: Admission, end: Kept) -> None:
    """Count the hit by what became of it, once that is known, and the rules that held of it."""
    for place, twin in enumerate(admission.twins):
        HITS.count(line.name_of(twin.pixel_id), end.states[place], end.reason)
    if not admission.twins:
        HITS.count(line.name_of(admission.hit.pixel_id if admission.hit else ""), end.states[0], end.reason)
    if admission.ruled:
        for rule in admission.ruled.names:
            RULES.count(rule)
        for fault in admission.ruled.faults:
            RULE_ERRORS.labels(fault.partition(":")[0]).inc()


def _look(answer: bool | BaseException) -> None:
    """What failed after its answer has nobody else to hear of it."""
    if isinstance(answer, Exception):
        log.error("posted events were not kept", error=repr(answer))
