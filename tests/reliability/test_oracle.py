"""The oracle bites: whatever it is there to find, it finds."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.reliability.meta import API, RELAY, Arrival, Name, OracleMeta
from tests.reliability.oracle import MAY_LET_GO, PIXELS, WINDOW, Hit, Oracle

from pixeltwin.delivery.outbox import Delivered, Expired, NewItem, Refused
from pixeltwin.outboxes.memory import MemoryOutbox

NOW = 1_795_461_800.0


class Scene:
    """One answered event that has been delivered as it should."""

    def __init__(self, legs: tuple[str, ...] = (API,)) -> None:
        self.meta = OracleMeta()
        self.oracle = Oracle(self.meta, lambda: NOW, legs)
        self.outbox = MemoryOutbox(lambda: NOW)

    async def append(self, hit: Hit) -> None:
        await self.outbox.append([NewItem(destination=API, pixel_id=hit.pixel_id, key=None, payload=hit.as_event())])

    async def settle(self, outcome: object) -> None:
        lease = await self.outbox.lease(API, limit=100, seconds=60)
        await self.outbox.settle(lease, {item.seq: outcome for item in lease.items})

    def took(self, hit: Hit, at: float = NOW) -> None:
        self.meta.took[hit.names()[0]].append(Arrival(at, hit.event))

    async def complaints(self, *, drained: bool = True) -> list[str]:
        found = (await self.oracle.judge(self.outbox, drained=drained)).complaints
        return [complaint.partition(":")[0] for complaint in found]


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    hit = scene.oracle.issue()
    await scene.append(hit)
    await scene.settle(Delivered())
    scene.oracle.answer(hit)
    scene.took(hit)
    return scene


async def test_nothing_is_to_be_said_where_every_promise_is_kept(scene):
    for outcome in (Refused("why"), Expired("late")):
        hit = scene.oracle.issue()
        await scene.append(hit)
        await scene.settle(outcome)
        scene.oracle.answer(hit)
    scene.oracle.issue()  # never answered, never seen
    verdict = await scene.oracle.judge(scene.outbox, drained=True)
    assert verdict.complaints == []
    assert (verdict.answered, verdict.delivered, verdict.dead, verdict.expired) == (3, 1, 1, 1)


async def test_an_answered_event_that_is_nowhere_is_lost(scene):
    scene.oracle.answer(scene.oracle.issue())
    assert await scene.complaints() == ["lost"]


@pytest.mark.parametrize("why", sorted(MAY_LET_GO))
async def test_an_event_that_could_not_be_kept_is_excused_and_counted(scene, why):
    hit = scene.oracle.issue()
    scene.oracle.answer(hit)
    scene.oracle.let_go[hit.event_id] = why
    verdict = await scene.oracle.judge(scene.outbox, drained=True)
    assert verdict.complaints == []
    assert (verdict.let_go, verdict.share_let_go) == (1, 0.5)


@pytest.mark.parametrize("why", ["skipped internal_error", "skipped no_rule", "shed ", "delivered "])
async def test_no_other_excuse_counts(scene, why):
    hit = scene.oracle.issue()
    scene.oracle.answer(hit)
    scene.oracle.let_go[hit.event_id] = why
    assert await scene.complaints() == ["let go for no good reason"]


async def test_what_waits_is_not_lost_but_not_delivered_either(scene):
    hit = scene.oracle.issue()
    scene.oracle.answer(hit)
    await scene.append(hit)
    assert await scene.complaints(drained=False) == []
    assert await scene.complaints() == ["still waiting"]


async def test_an_event_that_nobody_issued_is_invented(scene):
    scene.meta.took[Name(API, PIXELS[0], "Purchase", "x")].append(Arrival(NOW, {}))
    assert await scene.complaints() == ["nobody issued"]


async def test_an_event_under_another_name_is_invented(scene):
    ((name, arrivals),) = scene.meta.took.items()
    scene.meta.took[name._replace(event_name="Lead")] = arrivals
    assert await scene.complaints() == ["nobody issued"]


def changed(said: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """With this value at `user_data.fbp`, or without any for None."""
    name, _, below = path.partition(".")
    new = changed(said[name], below, value) if below else value
    return {one: old for one, old in said.items() if one != name} | ({} if new is None else {name: new})


OTHERS = {
    "event_time": int(NOW) - 1,
    "event_source_url": "https://www.shop.example/p/2",
    "action_source": "app",
    "user_data": {},
    "user_data.client_ip_address": "203.0.113.10",
    "user_data.client_user_agent": "another browser",
    "user_data.fbp": "fb.1.1795461138686.4712",
    "user_data.em": ["5e" * 32],
    "custom_data": {},
    "custom_data.value": 0.0,
    "custom_data.currency": "USD",
    "custom_data.order_id": "another order",
    "custom_data.num_items": 1,
}
NOT_SAID = ("user_data.em", "custom_data.num_items")


@pytest.mark.parametrize(("path", "other"), OTHERS.items())
async def test_an_event_that_says_something_else_than_its_hit_is_found(scene, path, other):
    hit = next(iter(scene.oracle.answered.values()))
    scene.meta.took[hit.names()[0]].append(Arrival(NOW, changed(hit.event, path, other)))
    assert await scene.complaints() == ["says something else"]


@pytest.mark.parametrize("path", [path for path in OTHERS if path not in NOT_SAID])
async def test_an_event_that_leaves_out_what_its_hit_said_is_found(scene, path):
    hit = next(iter(scene.oracle.answered.values()))
    scene.meta.took[hit.names()[0]].append(Arrival(NOW, changed(hit.event, path, None)))
    assert await scene.complaints() == ["says something else"]


@pytest.mark.parametrize("other", ["another", None])
@pytest.mark.parametrize("parameter", ["dl", "ts", "cd[value]", "cd[currency]", "cd[order_id]", "fbp"])
async def test_a_browser_s_copy_that_is_not_as_it_came_is_found(parameter, other):
    scene = Scene(legs=(RELAY,))
    hit = scene.oracle.issue()
    scene.meta.took[hit.names()[0]] = [Arrival(NOW, hit.parameters)]
    assert await scene.complaints() == []
    scene.meta.took[hit.names()[0]] = [Arrival(NOW, changed(hit.parameters, parameter, other))]
    assert await scene.complaints() == ["says something else"]


async def test_a_repeat_outside_of_the_window_is_found(scene):
    hit = next(iter(scene.oracle.answered.values()))
    scene.took(hit, NOW + WINDOW)
    assert await scene.complaints() == []
    scene.took(hit, NOW + WINDOW + 1)
    assert await scene.complaints() == ["repeated outside the window"]


async def test_a_letter_needs_a_reason(scene):
    hit = scene.oracle.issue()
    scene.oracle.answer(hit)
    await scene.append(hit)
    await scene.settle(Refused(""))
    assert await scene.complaints() == ["a letter without a reason"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"delivered": 0}, "the counts do not add up"), ({"dead": 1, "delivered": 0}, "the letters do not add up")],
)
async def test_counts_that_do_not_add_up_are_found(scene, monkeypatch, changes, complaint):
    told = {API: replace((await scene.outbox.tally())[API], **changes)}

    async def tally():
        return told

    monkeypatch.setattr(scene.outbox, "tally", tally)
    assert await scene.complaints() == [complaint, "the rows are not what was counted"]
