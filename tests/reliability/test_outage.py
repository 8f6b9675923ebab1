"""Meta is down and a backlog grows: when it is back, live events go first, and the backlog to the last one.

Should the backlog reach the outbox's bound before that, page views are shed first and what carries money last.
"""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import batched, islice, pairwise
from pathlib import Path
from statistics import quantiles

import pytest
from tests.reliability.forms import rounds, tell
from tests.reliability.lines import as_it_is
from tests.reliability.meta import API, OracleMeta, graph_error
from tests.reliability.oracle import PIXELS, Hit, Oracle

from pixeltwin.delivery.outbox import ORDINARY, Appended, NewItem, Outbox
from pixeltwin.delivery.worker import Worker
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.gateway.delivering import LINGER
from pixeltwin.gateway.items import PRIORITIES
from pixeltwin.outboxes import sqlite
from pixeltwin.telemetry import REGISTRY

BACKLOG = rounds(20_000, 500_000)
AT_ONCE = 500
ENOUGH_LEFT = 6_000  # of the backlog, more than all leases hold
PAUSE = 0.02  # seconds between two live events
BOUND = rounds(8, 256) << 20  # bytes
SHED_IN_THIS_ORDER = ("PageView", "AddToCart", "Purchase")
VISITS_AT_ONCE = 10


async def append(outbox: Outbox, hits: Sequence[Hit]) -> list[Appended]:
    return await outbox.append(
        [
            NewItem(
                destination=API,
                pixel_id=hit.pixel_id,
                key=hit.event_id.encode(),
                payload=hit.as_event(),
                priority=PRIORITIES.get(hit.event_name, ORDINARY),
            )
            for hit in hits
        ]
    )


@asynccontextmanager
async def working(outbox: Outbox, meta: OracleMeta) -> AsyncIterator[None]:
    """A worker as the gateway's, until the block ends."""
    api = ConversionsApi(meta.url, "v26.0", dict.fromkeys(PIXELS, lambda: "token"))
    worker = Worker(outbox, api, as_it_is, lambda *end: None, linger=LINGER)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await task
        await api.close()


async def grow(oracle: Oracle, outbox: Outbox) -> list[Hit]:
    hits = [oracle.issue() for _ in range(BACKLOG)]
    for some in batched(hits, AT_ONCE):
        await append(outbox, some)
    for hit in hits:
        oracle.answer(hit)
    return hits


async def emptied(outbox: Outbox) -> None:
    while (await outbox.stats()).get(API):  # noqa: ASYNC110 an end rings no bell
        await asyncio.sleep(PAUSE)


async def live(oracle: Oracle, outbox: Outbox, meta: OracleMeta) -> list[Hit]:
    """One event after the other, while much of the backlog is left."""
    hits: list[Hit] = []
    while len(meta.took) < BACKLOG - ENOUGH_LEFT:
        if meta.took:  # it is known that Meta is back
            hits.append(oracle.issue())
            await append(outbox, hits[-1:])
            oracle.answer(hits[-1])
        await asyncio.sleep(PAUSE)
    return hits


@pytest.mark.timeout(rounds(300, 3600))
async def test_after_an_outage_live_events_overtake_the_backlog_which_is_delivered_to_the_last(tmp_path):
    outbox = await sqlite.open_outbox(sqlite.Settings(path=Path("outbox.db")), base=tmp_path)
    async with OracleMeta().serving() as meta:
        oracle = Oracle(meta)
        meta.script = lambda post: graph_error(503, 2)
        async with working(outbox, meta):
            backlog = await grow(oracle, outbox)
            assert meta.took == {}
            tried = {event_id for post in meta.posts for event_id in post.ids}  # after all others they are due again
            meta.script = lambda post: None
            began = time.monotonic()
            fresh = await live(oracle, outbox, meta)
            while len(meta.took) < BACKLOG + len(fresh):  # noqa: ASYNC110 an arrival rings no bell
                await asyncio.sleep(PAUSE)
        seconds = time.monotonic() - began
        verdict = await oracle.judge(outbox, drained=True)
    await outbox.close()
    assert verdict.complaints == []
    assert (verdict.delivered, verdict.dead, verdict.expired) == (BACKLOG + len(fresh), 0, 0)
    order = {name.event_id: position for position, name in enumerate(meta.took)}
    last = max(order[hit.event_id] for hit in backlog)
    assert len(fresh) >= 5
    assert all(order[hit.event_id] < last for hit in fresh)
    # of the purchases, which go first, 70 % of the newest and 30 % of the oldest (DELIVERY 3)
    older = {hit.event_id for hit in backlog[: BACKLOG // 2]} - tried
    first = list(islice(order, BACKLOG // 10))
    assert 0.25 <= sum(event_id in older for event_id in first) / len(first) <= 0.35
    waits = [meta.took[hit.names()[0]][0].at - hit.at for hit in fresh]
    tell(
        "outage",
        backlog=BACKLOG,
        drained_in=f"{seconds:.1f} s",
        live=len(fresh),
        live_p50=f"{quantiles(waits, n=100)[49]:.2f} s",
        live_p99=f"{quantiles(waits, n=100)[98]:.2f} s",
        most_memory=f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB with the oracle",
    )


async def fill(oracle: Oracle, outbox: Outbox) -> list[tuple[str, Appended]]:
    """Visits of a page view, a cart and a purchase, until there is no room for a purchase; what became of each."""
    answers: list[tuple[str, Appended]] = []
    while not answers or answers[-1] != ("Purchase", Appended.SHED):
        hits = [oracle.issue(event_name=name) for name in SHED_IN_THIS_ORDER * VISITS_AT_ONCE]
        for hit, answer in zip(hits, await append(outbox, hits), strict=True):
            answers.append((hit.event_name, answer))
            if answer is Appended.ACCEPTED:
                oracle.answer(hit)
    return answers


@pytest.mark.timeout(rounds(120, 3600))
async def test_at_the_bound_page_views_are_shed_first_and_money_last_and_what_was_taken_is_delivered(tmp_path):
    settings = sqlite.Settings(path=Path("outbox.db"), max_size=f"{BOUND}B", keep_free="1MiB")
    outbox = await sqlite.open_outbox(settings, base=tmp_path)
    async with OracleMeta().serving() as meta:
        oracle = Oracle(meta)
        meta.script = lambda post: graph_error(503, 2)
        async with working(outbox, meta):
            answers = await fill(oracle, outbox)
            assert REGISTRY.get_sample_value("pixeltwin_outbox_fill", {"outbox": str(tmp_path / "outbox.db")}) >= 1
            meta.script, began = lambda post: None, time.monotonic()
            number = len(oracle.answered)
            fresh: list[Hit] = []
            while len(meta.took) < number:
                fresh.append(oracle.issue(event_name="Purchase"))
                if await append(outbox, fresh[-1:]) == [Appended.ACCEPTED]:
                    oracle.answer(fresh[-1])
                await asyncio.sleep(PAUSE)
            await emptied(outbox)
        seconds = time.monotonic() - began
        verdict = await oracle.judge(outbox, drained=True)
        tally = (await outbox.tally())[API]
    await outbox.close()
    assert verdict.complaints == []
    assert (verdict.delivered, verdict.dead, verdict.expired) == (len(oracle.answered), 0, 0)
    assert (tally.accepted, tally.shed) == (len(oracle.answered), len(oracle.issued) - len(oracle.answered))
    shed = [name for name, answer in answers if answer is Appended.SHED]
    assert tuple(dict.fromkeys(shed)) == SHED_IN_THIS_ORDER
    for name, more_worth in pairwise(SHED_IN_THIS_ORDER):  # nothing was taken any more when more than that was shed
        assert (name, Appended.ACCEPTED) not in answers[answers.index((more_worth, Appended.SHED)) :]
    waits = [meta.took[hit.names()[0]][0].at - hit.at for hit in fresh if hit.event_id in oracle.answered]
    tell(
        "outage until the bound",
        bound=f"{BOUND >> 20} MiB",
        accepted=tally.accepted,
        shed=dict(Counter(shed)),
        drained_in=f"{seconds:.1f} s",
        live=len(waits),
        live_p50=f"{quantiles(waits, n=100)[49]:.2f} s",
        live_p99=f"{quantiles(waits, n=100)[98]:.2f} s",
    )
