"""A disk that does not answer: the browser is answered all the same, and nothing is said to be kept that is not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import apsw
import orjson
import pytest

from pixeltwin.config import Config
from pixeltwin.delivery.journal import State
from pixeltwin.delivery.outbox import Tally
from pixeltwin.destinations import conversions_api
from pixeltwin.gateway import Doors, Gateway
from pixeltwin.gateway.appends import Appends
from pixeltwin.gateway.keeping import Keeper
from pixeltwin.pixel.skip import Reason
from pixeltwin.telemetry import REGISTRY
from tests.delivery.bench import until
from tests.factories import PIXEL, hit_query, request

CONFIG = f"""
server: {{ limits: {{ ack_deadline: 50ms }} }}
pixels: [{{ id: "{PIXEL}", access_token: "${{T}}", relay: none, ingest_keys: ["${{KEY}}"] }}]
outbox: {{ kind: sqlite, path: outbox.db }}
"""


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Gateway]:
    config = Config.from_text(CONFIG, base=folder, env={"T": "t", "KEY": "k"})
    gateway = Gateway(config, relay="background", senders=False)
    await gateway.open()
    try:
        yield gateway
    finally:
        await gateway.close()


@contextmanager
def stuck(folder: Path):
    """Somebody else writes to the file, and does not come to an end: as a disk does that hangs."""
    other = apsw.Connection(str(folder / "outbox.db"))
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"pixeltwin_{name}", labels) or 0.0


def hits(outcome: State, reason: str = "") -> float:
    return metric("hits_total", pixel=PIXEL, outcome=outcome, reason=reason)


async def settled(gateway: Gateway, record_id: str, state: State) -> None:
    """Wait until the journal says so."""
    async with asyncio.timeout(10):
        with gateway.journal.follow() as changes:
            while gateway.journal.get(record_id).state is not state:
                await changes.get()


async def take(gateway: Gateway, event_id: str):
    return await asyncio.wait_for(
        gateway.handle(request(hit_query("Lead", eid=event_id, fbp="fb.1.1795461790000.1"))), 2
    )


async def tally(gateway: Gateway) -> Tally:
    return (await gateway.outbox.tally())[conversions_api.NAME]


async def test_a_hit_that_the_outbox_keeps_waiting_is_answered_counted_and_kept_after_all(tmp_path):
    async with opened(tmp_path) as gateway:
        queued, unacked, kept = (
            hits(State.QUEUED),
            metric("unacked_passthrough_total"),
            metric("late_appends_total", end="kept"),
        )
        with stuck(tmp_path):
            handled = await take(gateway, "late")
            assert (handled.state, handled.detail) == (State.UNACKED, "unacked_passthrough")
            assert gateway.journal.get(handled.record_id).state is State.UNACKED
            assert (metric("unacked_passthrough_total") - unacked, hits(State.QUEUED) - queued) == (1, 0)
        await settled(gateway, handled.record_id, State.QUEUED)
        assert gateway.journal.get(handled.record_id).detail == ""
        assert (await tally(gateway)).accepted == 1
        assert hits(State.QUEUED) - queued == 1
        assert metric("late_appends_total", end="kept") - kept == 1


async def test_a_hit_whose_browser_goes_away_is_kept_all_the_same(tmp_path):
    async with opened(tmp_path) as gateway:
        queued = hits(State.QUEUED)
        with stuck(tmp_path):
            handling = asyncio.create_task(take(gateway, "gone"))
            await asyncio.sleep(0.01)
            handling.cancel()
            await asyncio.gather(handling, return_exceptions=True)
        await until(lambda: hits(State.QUEUED) == queued + 1)
        assert (await tally(gateway)).accepted == 1


async def test_a_stop_waits_for_what_the_outbox_was_given_last(tmp_path):
    async with opened(tmp_path) as gateway:
        with stuck(tmp_path):
            await take(gateway, "last")
            closing = asyncio.create_task(gateway.close())
            await asyncio.sleep(0.05)
        await closing
    async with opened(tmp_path) as again:
        assert (await tally(again)).accepted == 1


async def test_what_waits_for_a_stuck_outbox_is_bounded_and_what_is_more_is_lost_by_name(tmp_path):
    async with opened(tmp_path) as gateway:
        gateway._keeper = Keeper(gateway.journal, Appends(most=2))
        gateway._keeper.use(gateway.outbox, gateway.consents)
        lost = hits(State.SKIPPED, Reason.OUTBOX_BUSY)
        with stuck(tmp_path):
            ends = [await take(gateway, f"bound-{n}") for n in range(4)]
            states = [end.state for end in ends]
            assert states == [State.UNACKED, State.UNACKED, State.SKIPPED, State.SKIPPED]
            assert ends[-1].detail == Reason.OUTBOX_BUSY
            assert hits(State.SKIPPED, Reason.OUTBOX_BUSY) - lost == 2
        await settled(gateway, ends[1].record_id, State.QUEUED)
        assert (await tally(gateway)).accepted == 2
        assert (await take(gateway, "later")).state is State.QUEUED


@pytest.mark.parametrize(("sizes", "room"), [((), True), ((90,), True), ((90, 20), False)])
async def test_the_bound_is_one_of_bytes_too_and_one_write_alone_always_has_room(sizes, room):
    appends, ending = Appends(most=100, most_bytes=100), asyncio.Event()
    for size in sizes:
        await appends.within(0.0, ending.wait(), size=size, late=lambda _: None)
    assert appends.has_room(10) is room
    ending.set()
    await appends.flush(1.0)
    assert appends.has_room(1000)


def posted(*ids: str | None):
    event = {
        "event_name": "Purchase",
        "event_time": 1_795_461_700,
        "action_source": "system_generated",
        "user_data": {"external_id": ["7"]},
        "custom_data": {"value": 1, "currency": "EUR"},
    }
    data = [{**event, **({"event_id": name} if name else {})} for name in ids]
    body = orjson.dumps({"accessKey": "k", "data": data})
    return request(path=f"/capi/{PIXEL}/events", body=body, content_type="application/json")


async def test_posted_events_are_promised_only_when_they_are_durable(tmp_path):
    async with opened(tmp_path) as gateway:
        doors = Doors(gateway)
        with stuck(tmp_path):
            answer = await asyncio.wait_for(doors.answer(posted("a", None, None)), 2)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert orjson.loads(answer.body)["error"]["message"] == Reason.OUTBOX_BUSY
            assert gateway.journal.latest() == []
        await until(lambda: len(gateway.journal.latest()) == 3)
        again = await doors.answer(posted("a", None, None))
        assert again.status == 202
        assert (await tally(gateway)).accepted == 3
        assert [one.state for one in gateway.journal.latest(3)] == [State.DUPLICATE] * 3


async def test_who_waits_is_let_go_at_the_deadline_and_the_write_is_told_of_when_it_ends() -> None:
    appends, ending, told = Appends(), asyncio.Event(), asyncio.Queue()
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await appends.within(0.1, ending.wait(), size=1, late=told.put_nowait) is None
    assert loop.time() - began >= 0.1
    ending.set()
    assert await told.get() is True


async def test_each_is_let_go_at_its_own_deadline_whatever_others_wait_for() -> None:
    appends, ending, gone = Appends(), asyncio.Event(), []

    async def goes(name: str, waiting: Awaitable[object]) -> None:
        await waiting
        gone.append(name)

    def within(seconds: float) -> Awaitable[object]:
        return appends.within(seconds, ending.wait(), size=1, late=lambda _: None)

    patient = asyncio.create_task(goes("patient", within(1e6)))
    await asyncio.sleep(0)
    ends = {"first": within(0.01), "second": within(0.02), "by the clock": asyncio.sleep(0.03)}
    await asyncio.gather(*(goes(name, waiting) for name, waiting in ends.items()))
    assert gone == list(ends)
    ending.set()
    await patient


async def test_a_write_that_ends_in_time_is_answered_at_once() -> None:
    assert await Appends().within(1e6, asyncio.sleep(0.01, "kept"), size=1, late=lambda _: None) == "kept"
