"""Every engine of `memories/` keeps the promises of `Memory` in `enrich/memory.py`."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixeltwin import kinds
from pixeltwin.capi.event import ServerEvent
from pixeltwin.enrich.memory import Memory, Remembered, browser_key, keys_of, order_key, to_remember, together

DAY = 86_400.0
PIXEL, OTHER_PIXEL = "1234567890123456", "6543210987654321"
KEYS = [hashlib.blake2b(bytes([number]), digest_size=16).digest() for number in range(6)]


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def entry(**names: str) -> Remembered:
    """An entry with the hashes of these texts."""
    return Remembered.model_validate({"user_data": {key: [sha256(text)] for key, text in names.items()}})


def bundle(fbp: str) -> Remembered:
    return Remembered.model_validate({"user_data": {"fbp": fbp}, "is_bundle": True, "limits": (1, 1000)})


ALEX = entry(em="alex.doe@example.com", fn="alex")
BOB = entry(em="bob@example.com", ln="roe")


async def open_kind(kind: ModuleType, base: Path, clock: Callable[[], float], **options: Any) -> Memory:
    name = kind.__name__.rpartition(".")[2]
    memory: Memory = await kind.open_memory(kind.Settings(kind=name, **options), base=base, clock=clock)
    return memory


@pytest.fixture(params=kinds.modules("pixeltwin.memories"), ids=lambda kind: kind.__name__.rpartition(".")[2])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def memory(kind: ModuleType, tmp_path: Path, clock: Clock) -> AsyncIterator[Memory]:
    memory = await open_kind(kind, tmp_path, clock)
    yield memory
    await memory.close()


# Remembering


async def test_what_is_remembered_comes_back_as_it_was(memory: Memory) -> None:
    known = {KEYS[0]: ALEX, KEYS[1]: bundle("fb.1.1795461790000.1")}
    await memory.remember(known, DAY)
    assert await memory.recall(KEYS) == known


async def test_nothing_is_known_of_nobody(memory: Memory) -> None:
    await memory.remember({}, DAY)
    assert await memory.recall([]) == {}
    assert await memory.recall(KEYS) == {}


async def test_newer_data_comes_to_what_is_known(memory: Memory) -> None:
    await memory.remember({KEYS[0]: entry(em="alex.doe@example.com", ct="paris")}, DAY)
    await memory.remember({KEYS[0]: entry(ph="12025550198", ct="rome")}, DAY)
    expected = entry(em="alex.doe@example.com", ph="12025550198", ct="rome")
    assert await memory.recall(KEYS) == {KEYS[0]: expected}


async def test_another_person_takes_the_place_of_the_first(memory: Memory) -> None:
    await memory.remember({KEYS[0]: ALEX}, DAY)
    await memory.remember({KEYS[0]: BOB}, DAY)
    assert await memory.recall(KEYS) == {KEYS[0]: BOB}


async def test_the_first_bundle_of_an_order_stays(memory: Memory) -> None:
    first, forged = bundle("fb.1.1795461790000.1"), bundle("fb.1.1795461790000.2")
    await memory.remember({KEYS[0]: first}, DAY)
    await memory.remember({KEYS[0]: forged}, DAY)
    assert await memory.recall(KEYS) == {KEYS[0]: first}


async def test_a_lease_comes_and_goes_at_once(memory: Memory) -> None:
    people = {browser_key(PIXEL, str(number)): entry(em=f"user{number}@example.com") for number in range(1500)}
    await memory.remember(people, DAY)
    assert await memory.recall([*people, *KEYS]) == people


async def test_workers_do_not_get_in_each_other_s_way(memory: Memory) -> None:
    people = [{browser_key(PIXEL, str(number)): entry(em=f"user{number}@example.com")} for number in range(50)]
    await asyncio.gather(*(memory.remember(one, DAY) for one in people), *(memory.recall(KEYS) for _ in people))
    assert await memory.recall([key for one in people for key in one]) == together(people)


def steps() -> st.SearchStrategy[list[dict[bytes, Remembered]]]:
    """What a few workers remember, one after the other. The last of the keys are of orders."""
    people = st.builds(entry, em=st.sampled_from("ab"), fn=st.sampled_from("cd"))
    parts = st.builds(entry, ct=st.sampled_from("ef"))
    visits = st.sampled_from("12").map(bundle)
    browsers = st.dictionaries(st.sampled_from(KEYS[:3]), people | parts)
    orders = st.dictionaries(st.sampled_from(KEYS[3:]), visits)
    return st.lists(st.builds(lambda one, other: one | other, browsers, orders), max_size=6)


async def test_several_leases_are_remembered_as_one_would_be(kind: ModuleType, tmp_path: Path, clock: Clock) -> None:
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps())
    def collect(leases: list[dict[bytes, Remembered]]) -> None:
        asked.append(leases)

    asked: list[list[dict[bytes, Remembered]]] = []
    collect()
    for number, leases in enumerate(asked):
        memory = await open_kind(kind, tmp_path / str(number), clock)
        for lease in leases:
            await memory.remember(lease, DAY)
        assert await memory.recall(KEYS) == together(leases)
        await memory.close()


# Forgetting


async def test_an_entry_is_forgotten_when_its_time_ends(memory: Memory, clock: Clock) -> None:
    await memory.remember({KEYS[0]: ALEX}, 90 * DAY)
    clock.now += 90 * DAY - 1
    assert KEYS[0] in await memory.recall(KEYS)
    clock.now += 1
    assert await memory.recall(KEYS) == {}


async def test_what_is_given_again_is_remembered_from_then_on(memory: Memory, clock: Clock) -> None:
    await memory.remember({KEYS[0]: ALEX}, 90 * DAY)
    clock.now += 60 * DAY
    await memory.remember({KEYS[0]: ALEX}, 90 * DAY)
    clock.now += 60 * DAY
    assert await memory.recall(KEYS) == {KEYS[0]: ALEX}


async def test_a_bundle_s_time_is_that_of_the_visit(memory: Memory, clock: Clock) -> None:
    await memory.remember({KEYS[0]: bundle("fb.1.1795461790000.1")}, 90 * DAY)
    clock.now += 60 * DAY
    await memory.remember({KEYS[0]: bundle("fb.1.1795461790000.1")}, 90 * DAY)
    clock.now += 30 * DAY
    assert await memory.recall(KEYS) == {}


async def test_nothing_of_an_entry_whose_time_has_ended_comes_back(memory: Memory, clock: Clock) -> None:
    await memory.remember({KEYS[0]: entry(ct="paris"), KEYS[1]: bundle("1")}, DAY)
    clock.now += DAY
    await memory.remember({KEYS[0]: entry(fn="alex"), KEYS[1]: bundle("2")}, DAY)
    assert await memory.recall(KEYS) == {KEYS[0]: entry(fn="alex"), KEYS[1]: bundle("2")}


async def test_when_there_are_too_many_the_oldest_go(kind: ModuleType, tmp_path: Path, clock: Clock) -> None:
    memory = await open_kind(kind, tmp_path, clock, max=3)
    for key in KEYS[:3]:
        clock.now += 3600
        await memory.remember({key: ALEX}, DAY)
    clock.now += 3600
    await memory.remember({KEYS[0]: ALEX}, DAY)
    clock.now += 3600
    await memory.remember({KEYS[4]: ALEX}, DAY)
    assert (await memory.recall(KEYS)).keys() == {KEYS[0], KEYS[2], KEYS[4]}
    await memory.close()


async def test_a_lease_of_more_than_there_is_room_for_is_cut(kind: ModuleType, tmp_path: Path, clock: Clock) -> None:
    memory = await open_kind(kind, tmp_path, clock, max=2)
    await memory.remember(dict.fromkeys(KEYS, ALEX), DAY)
    assert len(await memory.recall(KEYS)) == 2
    await memory.close()


async def test_a_browser_that_withdraws_takes_along_whatever_it_has_told_last_and_nothing_else(memory: Memory) -> None:
    browser, other = browser_key(PIXEL, "fb.1.1795461790000.1"), browser_key(OTHER_PIXEL, "fb.1.1795461790000.1")

    def told(entry: Remembered, by: bytes) -> Remembered:
        return entry.model_copy(update={"browser": by.hex()})

    mine = {browser: told(ALEX, browser), KEYS[0]: told(ALEX, browser), KEYS[1]: told(bundle("x"), browser)}
    others = {other: told(ALEX, other), KEYS[2]: told(bundle("y"), other), KEYS[3]: BOB}
    await memory.remember(mine | others, DAY)
    assert await memory.withdraw(browser) == 3
    assert await memory.recall([*mine, *others]) == others
    assert await memory.withdraw(browser) == 0


async def test_an_entry_is_of_the_browser_that_told_it_last(memory: Memory) -> None:
    first, second = (browser_key(PIXEL, f"fb.1.1795461790000.{number}") for number in (1, 2))
    for browser in (first, second):
        await memory.remember({KEYS[0]: ALEX.model_copy(update={"browser": browser.hex()})}, DAY)
    assert (await memory.withdraw(first), await memory.withdraw(second)) == (0, 1)


@pytest.mark.parametrize("key", ["em", "ph", "external_id", "ct"])
async def test_who_is_forgotten_is_found_no_more_and_the_others_are(memory: Memory, key: str) -> None:
    his = {KEYS[0]: entry(**{key: "his"}, fn="alex"), KEYS[1]: entry(**{key: "his"})}
    others = {KEYS[2]: entry(**{key: "hers"}, fn="alex"), KEYS[3]: bundle("fb.1.1795461790000.1")}
    await memory.remember(his | others, DAY)
    assert await memory.forget([sha256("his"), sha256("nobody's")]) == 2
    assert await memory.recall(KEYS) == others
    assert await memory.forget([sha256("his")]) == 0


async def test_parts_of_names_and_values_with_an_appendix_are_forgotten_too(memory: Memory) -> None:
    part = Remembered.model_validate({"user_data": {"fi": sha256("a")}})
    appended = Remembered.model_validate({"user_data": {"em": [f"{sha256('a')}.AQ"]}})
    order = Remembered.model_validate({"user_data": {"em": [sha256("b"), sha256("a")]}, "is_bundle": True})
    await memory.remember({KEYS[0]: part, KEYS[1]: appended, KEYS[2]: order}, DAY)
    assert await memory.forget([sha256("a").upper()]) == 3


@pytest.mark.parametrize("hashes", [[], [""], ["a"], ["alex.doe@example.com"], ["*", "%", "' OR 1=1 --"]])
async def test_what_is_no_hash_makes_nothing_forgotten(memory: Memory, hashes: list[str]) -> None:
    await memory.remember({KEYS[0]: ALEX}, DAY)
    assert await memory.forget(hashes) == 0
    assert await memory.recall(KEYS) == {KEYS[0]: ALEX}


# Pixels


async def test_two_pixels_never_see_each_other(memory: Memory) -> None:
    visit = ServerEvent.model_validate(
        {
            "event_name": "Purchase",
            "event_time": 1_800_000_000,
            "event_id": "1",
            "user_data": {"fbp": "fb.1.1795461790000.1", "external_id": [sha256("73")], "em": [sha256("a")]},
            "custom_data": {"order_id": "1001"},
        }
    ).as_json()
    await memory.remember(to_remember(PIXEL, visit, visit), DAY)
    assert await memory.recall(keys_of(OTHER_PIXEL, visit, posted=True)) == {}
    assert len(await memory.recall(keys_of(PIXEL, visit, posted=True))) == 3


# Ends


async def test_a_closed_memory_says_so_as_an_os_error(kind: ModuleType, tmp_path: Path, clock: Clock) -> None:
    memory = await open_kind(kind, tmp_path, clock)
    await memory.close()
    with pytest.raises(OSError, match="closed"):
        await memory.recall(KEYS)
    with pytest.raises(OSError, match="closed"):
        await memory.remember({order_key(PIXEL, "1"): ALEX}, DAY)
    with pytest.raises(OSError, match="closed"):
        await memory.forget([sha256("a")])


async def test_a_memory_can_be_closed_twice(kind: ModuleType, tmp_path: Path, clock: Clock) -> None:
    memory = await open_kind(kind, tmp_path, clock)
    await memory.close()
    await memory.close()


@pytest.mark.parametrize("most", [0, -1, "many"])
def test_max_is_a_number_of_entries(kind: ModuleType, most: Any) -> None:
    options: Mapping[str, Any] = {"kind": kind.__name__.rpartition(".")[2], "max": most}
    with pytest.raises(ValueError, match="max"):
        kind.Settings.model_validate(options)
