"""The judge of all that is promised: it issues events, is told which were answered, and looks for each of them.

Every answered event must have been delivered on each of its ways, or wait, or have become a letter with a reason;
none may be invented, each must say what its hit said, repeats must lie within 48 hours, and the outbox's own counts
must add up. It reads what the outbox holds as JSON, not by the classes that wrote it.
"""

import itertools
import json
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from tests.reliability.meta import API, RELAY, Name, OracleMeta

from pixeltwin.delivery.outbox import Depth, Letter, Outbox, Tally, Waiting

PIXELS: Final = ("1234567890123456", "2345678901234567", "3456789012345678")  # as in tests/processes.py
WINDOW: Final = (
    48 * 3600.0
)  # https://developers.facebook.com/docs/marketing-api/conversions-api/deduplicate-pixel-and-server-events
MONEY_EVERY: Final = 4
UA: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
IP: Final = "203.0.113.9"
PAGE: Final = "https://www.shop.example/p/1"
FBP: Final = "fb.1.1795461138686.4711"
MOST_SHOWN: Final = 20
# why a gateway may answer a hit that it has not kept: its state and its reason
MAY_LET_GO: Final = {"unacked unacked_passthrough", "skipped outbox_failed", "skipped outbox_busy"}


@dataclass(frozen=True)
class Hit:
    """One event as it was issued. `legs` are the ways on which it goes to Meta."""

    pixel_id: str
    event_name: str
    event_id: str
    value: float
    at: float
    legs: tuple[str, ...]

    def names(self) -> list[Name]:
        return [Name(leg, self.pixel_id, self.event_name, self.event_id) for leg in self.legs]

    @property
    def parameters(self) -> dict[str, str]:
        """Those of the browser's hit."""
        return {
            "id": self.pixel_id,
            "ev": self.event_name,
            "eid": self.event_id,
            "dl": PAGE,
            "ts": str(int(self.at * 1000)),
            "cd[value]": str(self.value),
            "cd[currency]": "EUR",
            "cd[order_id]": f"order-{self.event_id}",
            "fbp": FBP,
        }

    @property
    def custom_data(self) -> dict[str, Any]:
        return {"value": self.value, "currency": "EUR", "order_id": f"order-{self.event_id}"}

    @property
    def query(self) -> str:
        return urlencode(self.parameters)

    @property
    def event(self) -> dict[str, Any]:
        """The server event, by what the browser said and nothing else."""
        return {
            "event_name": self.event_name,
            "event_time": int(self.at),
            "event_id": self.event_id,
            "action_source": "website",
            "event_source_url": PAGE,
            "user_data": {"client_ip_address": IP, "client_user_agent": UA, "fbp": FBP},
            "custom_data": self.custom_data,
        }

    def as_event(self) -> bytes:
        """As it would be in the outbox of tests that have no gateway, and at Meta."""
        return json.dumps(self.event).encode()

    def says_the_same(self, leg: str, content: Mapping[str, Any]) -> bool:
        """Whether all of it is as the browser said: nothing missing, nothing more."""
        return content == (self.parameters if leg == RELAY else self.event)


@dataclass
class Verdict:
    """What was found. `complaints` is empty when every promise was kept; of the answered, `let_go` were not kept."""

    answered: int = 0
    delivered: int = 0
    waiting: int = 0
    dead: int = 0
    expired: int = 0
    repeated: int = 0
    let_go: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def share_let_go(self) -> float:
        """Of the answered."""
        return self.let_go / max(1, self.answered)

    def complain(self, what: str, *about: object) -> None:
        if len(self.complaints) < MOST_SHOWN:
            self.complaints.append(f"{what}: {', '.join(map(str, about))}")


class Oracle:
    """`let_go` are hits that were answered although the gateway said, and counted, that it could not keep them."""

    def __init__(
        self, meta: OracleMeta, clock: Callable[[], float] = time.time, legs: tuple[str, ...] = (API,)
    ) -> None:
        self._meta = meta
        self._clock = clock
        self._legs = legs
        self._numbers = itertools.count(1)
        self._run = secrets.token_hex(3)
        self.issued: dict[Name, Hit] = {}
        self.answered: dict[str, Hit] = {}
        self.let_go: dict[str, str] = {}

    def issue(self, pixel_id: str | None = None, event_name: str = "") -> Hit:
        """The next event: of each pixel in turn, every fourth a purchase where no name is given."""
        number = next(self._numbers)
        hit = Hit(
            pixel_id or PIXELS[number % len(PIXELS)],
            event_name or ("ViewContent" if number % MONEY_EVERY else "Purchase"),
            f"{self._run}-{number}",
            number / 100,
            self._clock(),
            self._legs,
        )
        self.issued.update((name, hit) for name in hit.names())
        return hit

    def answer(self, hit: Hit) -> None:
        """The hit was answered: from now on it may not get lost."""
        self.answered[hit.event_id] = hit

    async def judge(self, outbox: Outbox, *, drained: bool) -> Verdict:
        """Look for every answered event. `drained`: nothing may wait any more."""
        waits = {_name_of(one): one async for one in _pages(outbox.waiting)}
        letters = {_name_of(one): one async for one in _pages(outbox.letters)}
        verdict = Verdict(answered=len(self.answered), waiting=len(waits))
        self._look_for_the_answered(verdict, waits, letters)
        self._look_at_the_excused(verdict)
        self._look_for_the_invented(verdict, waits, letters)
        self._compare(verdict)
        self._look_at_repeats(verdict)
        for leg in self._legs:
            tally, depth = (await outbox.tally()).get(leg, Tally()), (await outbox.stats()).get(leg, Depth())
            _balance(verdict, leg, tally, depth)
        if wrong := {leg: number for leg, number in (await outbox.unaccounted()).items() if number}:
            verdict.complain("the rows are not what was counted", wrong)
        if drained and waits:
            verdict.complain("still waiting", len(waits), next(iter(waits.values())))
        return verdict

    def _look_for_the_answered(
        self, verdict: Verdict, waits: Mapping[Name, Waiting], letters: Mapping[Name, Letter]
    ) -> None:
        for hit in self.answered.values():
            for name in hit.names():
                letter = letters.get(name)
                verdict.delivered += name in self._meta.took
                verdict.dead += letter is not None and not letter.is_expired
                verdict.expired += letter is not None and letter.is_expired
                if letter and not letter.reason:
                    verdict.complain("a letter without a reason", name)
                if not (letter or name in waits or name in self._meta.took or hit.event_id in self.let_go):
                    verdict.complain("lost", name)

    def _look_at_the_excused(self, verdict: Verdict) -> None:
        for event_id in self.answered.keys() & self.let_go.keys():
            verdict.let_go += 1
            if self.let_go[event_id] not in MAY_LET_GO:
                verdict.complain("let go for no good reason", event_id, self.let_go[event_id])

    def _look_for_the_invented(self, verdict: Verdict, *held: Mapping[Name, object]) -> None:
        for name in itertools.chain(self._meta.took, *held):
            if name not in self.issued:
                verdict.complain("nobody issued", name)

    def _compare(self, verdict: Verdict) -> None:
        for name, arrivals in self._meta.took.items():
            hit = self.issued.get(name)
            for arrival in arrivals:
                if hit and not hit.says_the_same(name.leg, arrival.content):
                    verdict.complain("says something else", name, arrival.content)

    def _look_at_repeats(self, verdict: Verdict) -> None:
        """The arrivals of one event on both its ways: Meta counts them once within the window."""
        times: defaultdict[Name, list[float]] = defaultdict(list)
        for name, arrivals in self._meta.took.items():
            verdict.repeated += len(arrivals) - 1
            times[name._replace(leg="")] += [arrival.at for arrival in arrivals]
        for name, at in times.items():
            if max(at) - min(at) > WINDOW:
                verdict.complain("repeated outside the window", name, at)


def _balance(verdict: Verdict, leg: str, tally: Tally, depth: Depth) -> None:
    """Both equations of `Tally`."""
    ended = tally.delivered + tally.dropped + tally.dead + tally.expired + tally.purged + tally.lost
    if tally.accepted + tally.requeued != ended + depth.ready + depth.leased + depth.held:
        verdict.complain("the counts do not add up", leg, tally, depth)
    if tally.dead + tally.expired != tally.requeued + tally.discarded + depth.dead:
        verdict.complain("the letters do not add up", leg, tally, depth)


async def _pages[T: (Waiting, Letter)](page: Callable[..., Any]) -> AsyncIterator[T]:
    after = 0
    while found := await page(after=after, limit=1000):
        for one in found:
            yield one
        after = found[-1].seq


def _name_of(kept: Waiting | Letter) -> Name:
    payload = json.loads(kept.payload)
    if kept.destination == RELAY:
        hit = parse_qs(payload["query"])
        return Name(RELAY, kept.pixel_id, hit["ev"][0], hit["eid"][0])
    event = payload.get("event", payload)  # a draft, or the event itself
    return Name(API, kept.pixel_id, event["event_name"], event["event_id"])
