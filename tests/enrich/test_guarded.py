"""What every source gets around its query."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from pixeltwin.capi.normalize import hashes
from pixeltwin.enrich.breaker import FAILURES, REST_SECONDS
from pixeltwin.enrich.guarded import Guarded
from pixeltwin.enrich.source import Profile, Row, SourceSettings

EMAIL = "alex@example.com"
KNOWN = {"a": {"email": EMAIL}, "never asked": {"email": EMAIL}}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Rows:
    """A query that remembers what it was asked, and fails when told to."""

    def __init__(self, known: Mapping[str, Row] = KNOWN, *, error: BaseException | None = None, seconds=0.0) -> None:
        self.asked: list[list[str]] = []
        self.known, self.error, self.seconds = known, error, seconds

    async def fetch(self, keys: Collection[str]) -> Mapping[str, Row]:
        self.asked.append(list(keys))
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return self.known

    async def close(self) -> None: ...


def guarded(rows: Rows, **options) -> tuple[Guarded, Clock]:
    clock = Clock()
    settings = SourceSettings(kind="x", key="customer_id", **{"map": {"em": "email"}, **options})
    return Guarded(rows, settings, clock=clock), clock


async def test_rows_come_out_as_hashes_of_what_was_asked():
    source, _ = guarded(Rows())
    found = await source.look_up(["a", "b"])
    assert {key: profile.user_data for key, profile in found.items()} == {"a": {"em": hashes("em", EMAIL)}}


async def test_what_is_remembered_is_not_asked_again():
    rows = Rows()
    source, clock = guarded(rows)
    await source.look_up(["a", "b"])
    assert (await source.look_up(["a", "b", "c"])).keys() == {"a"}
    clock.now += 61  # a miss is forgotten sooner than a customer
    await source.look_up(["a", "b"])
    assert rows.asked == [["a", "b"], ["c"], ["b"]]


async def test_without_a_cache_every_look_up_asks():
    rows = Rows()
    source, _ = guarded(rows, cache=None)
    await source.look_up(["a"])
    await source.look_up(["a"])
    assert rows.asked == [["a"], ["a"]]


async def test_keys_that_nobody_can_have_are_not_asked_for():
    rows = Rows()
    source, _ = guarded(rows)
    assert await source.look_up(["", "x" * 513, "a\x00", "\ud800", "a\r\nb"]) == {}
    assert rows.asked == []


async def test_a_slow_source_is_given_up_after_its_timeout():
    source, _ = guarded(Rows(seconds=5), timeout="20ms")
    with pytest.raises(OSError, match=r"within 0\.02 s"):
        await source.look_up(["a"])


@pytest.mark.parametrize("error", [ValueError(EMAIL), KeyError(EMAIL), RecursionError(), OSError("down")])
async def test_whatever_goes_wrong_is_an_os_error_without_values(error):
    source, _ = guarded(Rows(error=error))
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the words differ
        await source.look_up(["a"])
    assert EMAIL not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_failure_is_not_remembered_as_a_miss():
    rows = Rows(error=OSError("down"))
    source, _ = guarded(rows)
    with pytest.raises(OSError, match="down"):
        await source.look_up(["a"])
    rows.error = None
    assert (await source.look_up(["a"])).keys() == {"a"}


async def test_a_source_that_keeps_failing_is_left_alone_for_a_while():
    rows = Rows(error=OSError("down"))
    source, clock = guarded(rows)
    for _ in range(FAILURES + 3):
        with pytest.raises(OSError, match=r"down|left alone"):
            await source.look_up(["a"])
    assert len(rows.asked) == FAILURES
    rows.error = None
    clock.now += REST_SECONDS
    assert (await source.look_up(["a"])).keys() == {"a"}


async def test_what_is_remembered_is_answered_while_the_source_is_down():
    rows = Rows()
    source, _ = guarded(rows)
    await source.look_up(["a"])
    rows.error = OSError("down")
    assert (await source.look_up(["a"])).keys() == {"a"}


async def test_a_look_up_can_be_cancelled():
    source, _ = guarded(Rows(seconds=5))
    task = asyncio.create_task(source.look_up(["a"]))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_custom_data_and_facts_come_out_beside_the_hashes():
    source, _ = guarded(Rows(), map={}, profile=["email"], custom_data={"plan": "plan"})
    assert (await source.look_up(["a"]))["a"] == Profile(left_out=("profile.email",))
    source, _ = guarded(Rows({"a": {"plan": "gold", "orders": 3}}), profile=["orders"], custom_data={"plan": "plan"})
    assert (await source.look_up(["a"]))["a"] == Profile({}, {"plan": "gold"}, {"orders": 3})


async def test_what_changed_is_asked_for_again():
    rows = Rows()
    source, _ = guarded(rows)
    await source.look_up(["a", "b"])
    source.changed(["a"])
    await source.look_up(["a", "b"])
    assert rows.asked == [["a", "b"], ["a"]]


async def test_an_answer_that_a_change_overtook_is_not_remembered():
    rows = Rows(seconds=0.05)
    source, _ = guarded(rows)
    asking = asyncio.create_task(source.look_up(["a"]))
    await asyncio.sleep(0.01)
    source.changed(["a"])
    await asking
    await source.look_up(["a"])
    assert rows.asked == [["a"], ["a"]]
