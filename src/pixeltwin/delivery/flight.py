"""One batch under way: what each verdict makes of its items, and whether more posts follow."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pixeltwin.delivery.backoff import LONGEST_PARK, retry_at
from pixeltwin.delivery.batches import Batch
from pixeltwin.delivery.clocks import ClockGuard
from pixeltwin.delivery.destination import Misconfigured, Rejected, Taken, Throttled, TooBig, TryAgain, Verdict
from pixeltwin.delivery.doubt import Doubt, Ruling, ruling, shape_of
from pixeltwin.delivery.lanes import Lane, Lanes
from pixeltwin.delivery.outbox import Delivered, Expired, Item, Later, Outcome, Refused
from pixeltwin.delivery.search import MAX_POSTS, Search

TOO_LATE: Final = Expired("too_late")
CUT_OFF: Final = "no answer: cut off by a stop"
UNSOLVED: Final = TryAgain("too many events at fault in one batch")
CHECK_SETUP: Final = (
    "look the code up and compare the pixel's id and token with Events Manager: events of all sorts are refused alike"
)

type End = tuple[Outcome, str]  # and what to show for it
type Ends = dict[int, End]  # by `seq`; an item without one is let go


def is_late(item: Item, now: float) -> bool:
    """Whether the item must not be sent any more."""
    return now >= item.deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A batch of one pixel. `began` is by the clock of `ticks`; `ends` fills as items end; `chance` is in [0, 1)."""

    search: Search
    guard: ClockGuard
    lane: Lane
    lanes: Lanes
    ends: Ends
    began: float
    clock: Callable[[], float]
    ticks: Callable[[], float]
    chance: Callable[[], float]

    def next_part(self) -> Batch:
        """What to post now; empty when nothing is left, or too much has been tried."""
        part = self.search.next_part()
        if part and self.search.posts > MAX_POSTS:
            self._put_back((*part, *self.search.rest()), UNSOLVED)
            return ()
        return part

    def in_time(self, part: Batch) -> Batch:
        """The part without what is past its deadline by now, which ends here unless the clock is in doubt."""
        now, forbids = self.clock(), self.guard.forbids
        late = [one for one in part if is_late(one[0], now) or forbids(one[0].seq)]
        if not late:
            return part
        gone = {item.seq for item, _ in late}
        fresh = tuple(one for one in part if one[0].seq not in gone)
        self.search.narrow(fresh)
        believes = self.guard.believes()
        self._end([one for one in late if believes or forbids(one[0].seq)], TOO_LATE, TOO_LATE.reason)
        return fresh

    def cut_off(self, part: Batch, *, takes_repeats: bool) -> None:
        """The part's post was given up while it was under way, so it may have arrived; nobody is at fault."""
        if takes_repeats:
            self._put_back(part, TryAgain(CUT_OFF, ambiguous=True))
        else:
            self._end(part, Refused(CUT_OFF), CUT_OFF)

    async def follow(self, verdict: Verdict, part: Batch) -> bool:
        """Do what the verdict on the part asks for; answers whether the flight goes on."""
        match verdict:
            case Taken():
                return await self._taken(verdict, part)
            case Rejected() | TooBig() if len(part) > 1:
                return await self._divided(verdict, part)
            case Rejected(is_known=False):
                return await self._doubted(verdict, part)
            case Rejected() | TooBig():
                return await self._refused(verdict, part)
            case TryAgain():
                return await self._failed(verdict, part)
            case Throttled() | Misconfigured():
                return await self._parked(verdict, part)

    async def _taken(self, verdict: Taken, part: Batch) -> bool:
        self._end(part, Delivered(), verdict.answer)
        self.search.taken()
        self.lane.taken_at = self.ticks()
        await self.lanes.answered(self.lane)
        if verdict.throttled:
            await self.lanes.park(self.lane, verdict.throttled)
        return not verdict.throttled

    async def _divided(self, verdict: Rejected | TooBig, part: Batch) -> bool:
        if isinstance(verdict, Rejected):
            self.search.rejected(verdict.blamed)
        else:
            self.lane.largest = min(self.lane.largest, len(part) // 2)
            self.search.halve()
        await self.lanes.answered(self.lane)
        return True

    async def _refused(self, verdict: Rejected | TooBig, part: Batch) -> bool:
        self._end(part, Refused(verdict.reason, verdict.code), verdict.reason)
        if isinstance(verdict, Rejected) and not verdict.answered:
            await self.lanes.failed(self.lane, verdict.reason)
        else:
            await self.lanes.answered(self.lane)
        return True

    async def _failed(self, verdict: TryAgain, part: Batch) -> bool:
        self._put_back(part, verdict)
        await self.lanes.failed(self.lane, verdict.reason)
        return False

    async def _parked(self, verdict: Throttled | Misconfigured, part: Batch) -> bool:
        """The park holds the items back, and they are due when it ends, be that by hand."""
        await self.lanes.park(self.lane, verdict)
        self._end(part, Later(self.clock(), verdict.reason, counts=False), verdict.reason)
        return False

    async def _doubted(self, verdict: Rejected, part: Batch) -> bool:
        """A lone event was refused for a reason that nobody has documented."""
        (item, ready), lane = part[0], self.lane
        refused = Doubt(verdict.code, shape_of(ready.payload), self.began)
        match ruling(refused, lane.doubt, taken_at=lane.taken_at, attempts=item.attempts):
            case Ruling.SETUP:
                lane.doubt = replace(refused, since=self.ticks(), is_setup=True)
                return await self._parked(Misconfigured(verdict.reason, CHECK_SETUP, verdict.code), part)
            case Ruling.DATA:
                lane.doubt = None
                return await self._refused(verdict, part)
            case Ruling.WAIT:
                lane.doubt = lane.doubt if lane.doubt and lane.doubt.code == verdict.code else refused
                self._put_back(part, TryAgain(verdict.reason))
                await self.lanes.answered(lane)
                return True

    def _put_back(self, part: Batch, verdict: TryAgain) -> None:
        """The items another time; those that failed alike come together again."""
        if verdict.ambiguous:
            self.guard.arrived(item.seq for item, _ in part)
        now, chance = self.clock(), self.chance()
        after = None if verdict.after is None else min(verdict.after, LONGEST_PARK)
        for item, _ in part:
            at = retry_at(now, item.attempts, after, chance)
            self.ends[item.seq] = Later(at, verdict.reason, ambiguous=verdict.ambiguous), verdict.reason

    def _end(self, part: Batch | list[tuple[Item, object]], outcome: Outcome, detail: str) -> None:
        self.ends.update(dict.fromkeys([item.seq for item, _ in part], (outcome, detail)))
