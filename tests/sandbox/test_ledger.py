"""Which copies count: PROTOCOL 1.10."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.sandbox import ledger as ledger_module
from pixeltwin.sandbox.ledger import Channel, Copy, Ledger

MINUTE = 60
HOUR = 3600


def copy(at: float = 0, **changes: Any) -> Copy:
    given = {"pixel_id": "1", "event_name": "Lead", "event_id": "e1", "detail": {}}
    return Copy(at=at, **{**given, **changes})


def entries(*copies: tuple[Channel, Copy]) -> list[dict[str, Any]]:
    ledger = Ledger()
    for channel, one in copies:
        ledger.record(channel, one)
    return [entry.as_json() for entry in ledger.entries]


def verdicts(*copies: tuple[Channel, Copy]) -> list[tuple[str, str | None]]:
    return [(entry["verdict"], entry["by"]) for entry in entries(*copies)]


@pytest.mark.parametrize("order", [("browser", "server"), ("server", "browser")])
def test_two_copies_of_one_id_are_one_event(order: tuple[Channel, Channel]) -> None:
    first, second = order
    assert verdicts((first, copy(0)), (second, copy(1))) == [("deduplicated", "event_id")]


@pytest.mark.parametrize("change", [{"pixel_id": "2"}, {"event_name": "Purchase"}, {"event_id": "E1"}])
def test_pixel_name_and_id_all_have_to_match(change: dict[str, str]) -> None:
    found = verdicts(("browser", copy(0)), ("server", copy(1, **change)))
    assert found == [("browser_only", None), ("server_only", None)]


def test_copies_meet_for_48_hours_after_the_first() -> None:
    assert verdicts(("browser", copy(0)), ("server", copy(48 * HOUR))) == [("deduplicated", "event_id")]
    late = verdicts(("browser", copy(0)), ("server", copy(48 * HOUR + 1)))
    assert late == [("browser_only", None), ("server_only", None)]


@pytest.mark.parametrize(
    ("browser_at", "server_at", "kept"),
    [
        (0, 1, "browser"),
        (5 * MINUTE, 0, "browser"),
        (5 * MINUTE + 1, 0, "server"),
        (0, 5 * MINUTE + 1, "browser"),
    ],
)
def test_the_browser_is_favoured_for_five_minutes(browser_at: int, server_at: int, kept: str) -> None:
    pair: list[tuple[Channel, Copy]] = [("browser", copy(browser_at)), ("server", copy(server_at))]
    (entry,) = entries(*sorted(pair, key=lambda item: item[1].at))
    assert entry["kept"] == kept


def test_a_second_copy_of_one_channel_is_counted_as_a_duplicate() -> None:
    (entry,) = entries(("server", copy(0)), ("server", copy(1)), ("browser", copy(2)), ("browser", copy(3)))
    assert (entry["server_duplicates"], entry["browser_duplicates"]) == (1, 1)


def test_after_48_hours_the_same_id_counts_again() -> None:
    found = entries(("server", copy(0)), ("server", copy(48 * HOUR + 1)), ("server", copy(48 * HOUR + 2)))
    assert [entry["server_duplicates"] for entry in found] == [0, 1]


def test_events_without_id_stand_alone() -> None:
    found = verdicts(("browser", copy(event_id="")), ("server", copy(event_id="")))
    assert found == [("no_event_id", None), ("no_event_id", None)]


@pytest.mark.parametrize("by", ["fbp", "external_id"])
def test_without_id_a_server_copy_may_follow_a_browser_copy_of_the_same_person(by: str) -> None:
    same = {"event_id": "", by: frozenset({"x"})}
    assert verdicts(("browser", copy(0, **same)), ("server", copy(1, **same))) == [("deduplicated", by)]


def test_a_browser_copy_never_follows_by_person() -> None:
    same = {"event_id": "", "fbp": frozenset({"x"})}
    found = verdicts(("server", copy(0, **same)), ("browser", copy(1, **same)))
    assert found == [("no_event_id", None), ("no_event_id", None)]


def test_one_channel_never_follows_itself_by_person() -> None:
    same = {"event_id": "", "fbp": frozenset({"x"})}
    assert len(entries(("browser", copy(0, **same)), ("browser", copy(1, **same)))) == 2


def test_each_server_copy_takes_a_browser_copy_of_its_own() -> None:
    same = {"event_id": "", "fbp": frozenset({"x"})}
    browsers: list[tuple[Channel, Copy]] = [("browser", copy(at, **same)) for at in (0, 1)]
    servers: list[tuple[Channel, Copy]] = [("server", copy(2, **same))] * 3
    found = entries(*browsers, *servers)
    assert [entry["verdict"] for entry in found] == ["deduplicated", "deduplicated"]
    assert [entry["server_duplicates"] for entry in found] == [0, 1]


def test_two_different_ids_are_two_events_whoever_sent_them() -> None:
    same = {"fbp": frozenset({"x"})}
    found = verdicts(("browser", copy(0, **same)), ("server", copy(1, event_id="e2", **same)))
    assert found == [("browser_only", None), ("server_only", None)]


def test_an_id_on_one_copy_only_leaves_the_person() -> None:
    person = {"fbp": frozenset({"x"})}
    (entry,) = entries(("browser", copy(0, event_id="", **person)), ("server", copy(1, **person)))
    assert (entry["verdict"], entry["by"], entry["event_id"]) == ("deduplicated", "fbp", "e1")


def test_an_entry_that_got_its_id_from_the_server_takes_no_other_id() -> None:
    person = {"fbp": frozenset({"x"})}
    found = verdicts(
        ("browser", copy(0, event_id="", **person)),
        ("server", copy(1, event_id="e1", **person)),
        ("server", copy(2, event_id="e2", **person)),
    )
    assert found == [("deduplicated", "fbp"), ("server_only", None)]


def test_by_person_the_window_is_48_hours_too() -> None:
    same = {"event_id": "", "fbp": frozenset({"x"})}
    assert len(entries(("browser", copy(0, **same)), ("server", copy(48 * HOUR + 1, **same)))) == 2


def test_a_full_ledger_forgets_its_older_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_ENTRIES", 4)
    ledger = Ledger()
    for number in range(5):
        ledger.record("browser", copy(number, event_id=str(number)))
    ledger.record("server", copy(5, event_id="0"))
    ledger.record("server", copy(5, event_id="4"))
    found = [(entry.event_id, entry.verdict) for entry in ledger.entries]
    assert found == [("2", "browser_only"), ("3", "browser_only"), ("4", "deduplicated"), ("0", "server_only")]


copies = st.builds(
    copy,
    at=st.integers(0, 100 * HOUR),
    event_id=st.sampled_from(["", "a", "b"]),
    fbp=st.sampled_from([frozenset(), frozenset({"x"}), frozenset({"y"})]),
)


@given(st.lists(st.tuples(st.sampled_from(["browser", "server"]), copies)))
def test_no_copy_is_lost_or_counted_twice(arrivals: list[tuple[Channel, Copy]]) -> None:
    ledger = Ledger()
    for channel, one in sorted(arrivals, key=lambda arrival: arrival[1].at):
        ledger.record(channel, one)
    seen = sum(bool(entry.browser) + bool(entry.server) for entry in ledger.entries)
    counts = ledger.counts()
    assert seen + counts["browser_duplicates"] + counts["server_duplicates"] == len(arrivals)
    assert counts["events"] == sum(
        counts[verdict] for verdict in ("deduplicated", "browser_only", "server_only", "no_event_id")
    )


@given(st.lists(st.tuples(st.sampled_from(["browser", "server"]), copies)))
def test_no_pair_is_further_apart_than_48_hours(arrivals: list[tuple[Channel, Copy]]) -> None:
    ledger = Ledger()
    for channel, one in sorted(arrivals, key=lambda arrival: arrival[1].at):
        ledger.record(channel, one)
    for entry in ledger.entries:
        if entry.browser and entry.server:
            assert abs(entry.browser.at - entry.server.at) <= 48 * HOUR
