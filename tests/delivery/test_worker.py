"""The worker: batches of one pixel, one bad event never sinks a batch, nothing is lost."""

import asyncio
import time
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from pixeltwin.delivery.backoff import LONGEST, retry_at
from pixeltwin.delivery.destination import Rejected, Taken, TryAgain, Verdict
from pixeltwin.delivery.outbox import Delivered, Dropped, Item, Later, NewItem, Refused
from pixeltwin.delivery.worker import Ended, Prepared, Ready, Worker
from pixeltwin.outboxes.memory import MemoryOutbox


class Double:
    """A destination that refuses batches holding a payload of `bad`, as Meta does, and answers as told before."""

    name = "conversions_api"
    max_posts = 8
    max_posts_of_a_pixel = 2

    def __init__(self, *, bad: frozenset[bytes] = frozenset(), first: Sequence[Verdict] = (), max_batch: int = 1000):
        self.bad, self.first, self.max_batch = bad, list(first), max_batch
        self.codes: list[str] = []
        self.posts: list[tuple[str, list[bytes]]] = []

    async def send(
        self, pixel_id: str, payloads: Sequence[bytes], *, test_event_code: str, credential: str = ""
    ) -> Verdict:
        self.codes.append(test_event_code)
        self.posts.append((pixel_id, list(payloads)))
        if self.first:
            return self.first.pop(0)
        return Rejected("100/2804003") if self.bad & set(payloads) else Taken("trace")

    async def close(self) -> None: ...


async def as_it_is(items: Sequence[Item]) -> dict[int, Prepared]:
    return {item.seq: Ready(item.payload) for item in items}


async def deliver(payloads: Sequence[tuple[str, bytes]], double: Double, prepare=as_it_is):
    """One round of delivery; answers what each payload ended as, and what is left in the outbox."""
    outbox, ends = MemoryOutbox(time.time), {}
    await outbox.append(
        [NewItem(destination=double.name, pixel_id=pixel, key=None, payload=payload) for pixel, payload in payloads]
    )

    def report(ended: Sequence[Ended]) -> None:
        ends.update((item.payload, outcome) for item, outcome, _ in ended)

    await Worker(outbox, double, prepare, report).deliver_due()
    return ends, (await outbox.stats()).get(double.name)


async def test_a_batch_holds_one_pixel_s_events_only():
    double = Double()
    await deliver([("1", b"a"), ("2", b"b"), ("1", b"c")], double)
    assert sorted(double.posts) == [("1", [b"a", b"c"]), ("2", [b"b"])]


async def test_test_events_and_others_never_travel_together():
    async def prepare(items: Sequence[Item]) -> dict[int, Prepared]:
        return {item.seq: Ready(item.payload, "TEST1" if item.payload == b"b" else "") for item in items}

    double = Double()
    await deliver([("1", b"a"), ("1", b"b"), ("1", b"c")], double, prepare)
    assert sorted(zip(double.codes, double.posts, strict=True)) == [("", ("1", [b"a", b"c"])), ("TEST1", ("1", [b"b"]))]


async def test_no_batch_is_larger_than_the_destination_takes():
    double = Double(max_batch=2)
    await deliver([("1", b"%d" % n) for n in range(5)], double)
    assert [len(payloads) for _, payloads in double.posts] == [2, 2, 1]


@settings(max_examples=30)
@given(st.integers(1, 40), st.data())
def test_one_bad_event_never_sinks_a_batch(size, data):
    bad = frozenset(b"%d" % n for n in data.draw(st.sets(st.integers(0, size - 1), max_size=3)))
    ends, _ = asyncio.run(deliver([("1", b"%d" % n) for n in range(size)], Double(bad=bad)))
    assert {payload for payload, end in ends.items() if isinstance(end, Refused)} == bad
    assert sum(isinstance(end, Delivered) for end in ends.values()) == size - len(bad)


async def test_what_may_pass_waits_and_is_not_lost():
    ends, depth = await deliver([("1", b"a")], Double(first=[TryAgain("HTTP 503")]))
    assert isinstance(ends[b"a"], Later)
    assert (depth.ready, depth.dead) == (1, 0)


async def test_what_preparation_decides_is_not_sent():
    async def prepare(items: Sequence[Item]) -> dict[int, Prepared]:
        return {item.seq: Dropped("consent") if item.payload == b"a" else Ready(b"sealed") for item in items}

    double = Double()
    ends, _ = await deliver([("1", b"a"), ("1", b"b")], double, prepare)
    assert (ends[b"a"], double.posts) == (Dropped("consent"), [("1", [b"sealed"])])


async def test_a_fault_of_ours_loses_nothing():
    async def broken(items: Sequence[Item]) -> dict[int, Prepared]:
        raise RuntimeError

    outbox, double = MemoryOutbox(time.time), Double()
    await outbox.append([NewItem(destination=double.name, pixel_id="1", key=None, payload=b"a")])
    worker = Worker(outbox, double, broken, lambda *_: None)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.05)
    worker.stop()
    await running
    depth = (await outbox.stats())[double.name]
    assert depth.ready + depth.leased == 1


async def test_a_lease_lasts_as_long_as_the_worker_was_told():
    now, taken = 1000.0, []
    outbox, double = MemoryOutbox(lambda: now), Double()

    async def slowly(items: Sequence[Item]) -> dict[int, Prepared]:
        nonlocal now
        for seconds in (29, 2):
            now += seconds
            taken.append(len((await outbox.lease(double.name, limit=1, seconds=60)).items))
        return {}

    await outbox.append([NewItem(destination=double.name, pixel_id="1", key=None, payload=b"a")])
    await Worker(outbox, double, slowly, lambda *_: None, lease_seconds=30, clock=lambda: now).deliver_due()
    assert taken == [0, 1]


async def test_a_stop_delivers_what_is_due_and_returns():
    outbox, double = MemoryOutbox(time.time), Double()
    worker = Worker(outbox, double, as_it_is, lambda *_: None, linger=30)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0)
    await outbox.append([NewItem(destination=double.name, pixel_id="1", key=None, payload=b"a")])
    worker.stop()
    await asyncio.wait_for(running, 1)
    assert double.posts == [("1", [b"a"])]


@given(st.integers(0, 200), st.floats(0, 0.999))
def test_a_retry_comes_later_but_not_much_later_than_the_longest_pause(attempts, chance):
    assert 1 <= retry_at(0, attempts, None, chance) <= LONGEST + 1


def test_a_retry_comes_when_the_other_side_asked_for_it():
    assert retry_at(100, 5, 42.0, 0.5) == 142.0
