"""The journal: a bounded ring and a feed, never a promise."""

from pixeltwin.delivery.journal import Journal, Record, State


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
