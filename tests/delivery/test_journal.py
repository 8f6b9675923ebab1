"""The journal: a bounded ring and a feed, never a promise."""

from dataclasses import dataclass

import pytest

from pixeltwin.delivery.journal import MOST_CHANGES, Journal, Record, State


def record(journal: Journal, **changes) -> Record:
    given = {"id": journal.next_id(), "received_at": 0.0, "pixel_id": "1", "event_name": "Lead", "event_id": "e"}
    return Record(**given | {"source_url": "", "state": State.QUEUED} | changes)


def test_the_newest_come_first_and_the_oldest_leave():
    journal = Journal(size=2)
    records = [record(journal) for _ in range(3)]
    for one in records:
        journal.add(one)
    assert journal.latest() == [records[2], records[1]]
    assert journal.get(records[0].id) is None


def test_a_change_is_seen_by_followers_and_by_readers():
    journal = Journal()
    with journal.follow() as changes:
        journal.add(one := record(journal))
        journal.update(one.id, state=State.DELIVERED)
    assert [changes.get_nowait().state, changes.get_nowait().state] == [State.QUEUED, State.DELIVERED]
    assert journal.latest()[0].state is State.DELIVERED


@dataclass
class Unlooked:
    """A record that counts how often it is made."""

    made_of: Record
    times: int = 0

    @property
    def record_id(self) -> str:
        return self.made_of.id

    def record(self) -> Record:
        self.times += 1
        return self.made_of


def test_what_happens_before_anybody_looks_is_made_once_somebody_does():
    journal = Journal()
    journal.add_later(unlooked := Unlooked(record(journal, detail="came")))
    journal.change(unlooked.record_id, lambda so_far: {"detail": f"{so_far.detail}, sealed"})
    journal.update(unlooked.record_id, state=State.DELIVERED)
    assert unlooked.times == 0
    found = journal.get(unlooked.record_id)
    assert (found.state, found.detail) == (State.DELIVERED, "came, sealed")
    assert journal.latest() == [found]
    assert unlooked.times == 1


def test_a_follower_sees_a_change_of_what_nobody_had_looked_at():
    journal = Journal()
    journal.add_later(unlooked := Unlooked(record(journal)))
    journal.update(unlooked.record_id, detail="sealed")
    with journal.follow() as changes:
        journal.update(unlooked.record_id, state=State.DELIVERED)
    told = changes.get_nowait()
    assert (told.state, told.detail) == (State.DELIVERED, "sealed")


@pytest.mark.parametrize("times", [MOST_CHANGES, MOST_CHANGES + 1, 3 * MOST_CHANGES])
def test_however_often_something_changes_all_of_it_counts_and_little_waits(times):
    journal = Journal()
    journal.add_later(unlooked := Unlooked(record(journal)))
    for _ in range(times):
        journal.change(unlooked.record_id, lambda so_far: {"detail": so_far.detail + "."})
    assert (unlooked.times > 0) == (times > MOST_CHANGES)
    assert journal.get(unlooked.record_id).detail == "." * times


def test_a_follower_that_lags_loses_the_oldest_and_holds_nobody_up():
    journal = Journal()
    with journal.follow() as changes:
        for _ in range(1500):
            journal.add(record(journal))
    assert changes.qsize() == 1000


def test_a_change_to_a_record_of_an_earlier_run_is_nothing():
    Journal().update("of-another-run-1", state=State.DELIVERED)


def test_ids_of_two_runs_differ():
    assert Journal().next_id() != Journal().next_id()
