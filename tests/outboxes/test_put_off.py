"""What the embedded outbox puts off costs the disk little, and nobody can tell that it was put off."""

import contextlib
import random
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.outboxes.engines import hurry

from pixeltwin.delivery.outbox import Appended, Delivered, NewItem, Refused
from pixeltwin.outboxes.sqlite import browsers
from pixeltwin.outboxes.sqlite.browsers import Browsers
from pixeltwin.outboxes.sqlite.file import connect
from pixeltwin.outboxes.sqlite.store import Store

CAPI = "conversions_api"
NOW = 1_800_000_000.0
PAGE = 4096
KEYS = st.sampled_from([b"", b"a", b"ab", b"b", b"\0", b"\xff" * 20])
SUBJECTS = st.sampled_from([b"", b"ann", b"annabel", b"ann's browser...", b"ann's browsing..", b"bob"])
ITEMS = st.builds(
    NewItem,
    destination=st.sampled_from([CAPI, "pixel_relay"]),
    pixel_id=st.sampled_from(["1", "2"]),
    key=st.none() | KEYS,
    payload=st.just(b"x"),
    subject=st.none() | SUBJECTS,
    hold_until=st.none(),
    priority=st.just(1),
    deadline=st.just(NOW + 3600),
)


@contextlib.contextmanager
def stored() -> Iterator[tuple[Path, Store]]:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(connect(path := Path(folder) / "outbox.db")) as db:
        store = Store(db)
        store.synchronous = "off"
        yield path, store


def append(store: Store, items: list[NewItem], now: float = NOW) -> list[Appended]:
    with store.transaction():
        (answers,) = store.append([(items, now)])
    return answers


def test_items_without_an_order_change_few_pages() -> None:
    """A hit's key and its browser's name are random; each as a row of its own is one more page to log and to sync."""
    draw = random.Random(7)  # noqa: S311 - the same every time
    items = [
        NewItem(CAPI, "1234567890123456", draw.randbytes(32), draw.randbytes(1200), draw.randbytes(16), None, 2, NOW)
        for _ in range(100_000)
    ]
    with stored() as (path, store):
        for first in range(0, 96_000, 1000):
            append(store, items[first : first + 1000])
        store._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        store._db.wal_autocheckpoint(0)
        for first in range(96_000, 100_000, 16):
            append(store, items[first : first + 16])
        frames = (path.with_name("outbox.db-wal").stat().st_size - 32) / (PAGE + 24)
    assert frames / 4000 < 2.2


@given(st.lists(st.tuples(st.lists(ITEMS, max_size=4), st.sampled_from(["ends", "fails", "is reopened"])), max_size=12))
def test_a_key_is_known_whatever_happens_to_the_transaction_after_it(groups: Any) -> None:
    known: set[Any] = set()
    with pytest.MonkeyPatch.context() as monkeypatch, stored() as (_, store):
        hurry("hurried", monkeypatch)
        for items, then in groups:
            accepted = set(known)
            expected = []
            for item in items:
                name = (item.destination, item.pixel_id, item.key)
                expected.append(Appended.DUPLICATE if name in accepted else Appended.ACCEPTED)
                accepted |= {name} if item.key is not None else set()
            with contextlib.suppress(ZeroDivisionError), store.transaction():
                (answers,) = store.append([(items, NOW)])
                assert answers == expected
                assert then != "fails" or 1 / 0
            known = known if then == "fails" else accepted
            if then == "is reopened":
                store.use(store._db)


def test_a_key_is_known_at_any_time_and_after_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files as they are after each transaction, while keys are on their way from one table to the other."""
    hurry("hurried", monkeypatch)
    with stored() as (path, store):
        for number in range(40):
            append(store, [NewItem(CAPI, "1", b"%d" % number, b"x")])
            with tempfile.TemporaryDirectory() as copy:
                for suffix in ("", "-wal"):
                    shutil.copy(f"{path}{suffix}", copy)
                with contextlib.closing(connect(Path(copy) / "outbox.db")) as db:
                    again = [NewItem(CAPI, "1", b"%d" % known, b"x") for known in range(number + 1)]
                    assert set(append(Store(db), again)) == set(append(store, again)) == {Appended.DUPLICATE}


@given(st.lists(ITEMS, max_size=30), SUBJECTS, st.data())
def test_a_purge_takes_the_browsers_items_and_no_others(items: list[NewItem], subject: bytes, data: Any) -> None:
    """Also those that came back from a letter, and those of a file that was opened anew."""
    items = [item._replace(key=None) for item in items]
    with pytest.MonkeyPatch.context() as monkeypatch, stored() as (_, store):
        hurry("hurried", monkeypatch)
        append(store, items)
        with store.transaction():
            lease = store.lease(CAPI, limit=100, seconds=60, holder="x", may_repeat=True, now=NOW)
            ends = {item.seq: data.draw(st.sampled_from([Delivered(), Refused("bad")])) for item in lease.items}
            store.settle(lease, ends, NOW)
            store.requeue(list(ends), NOW)
        gone = {seq for seq, end in ends.items() if end == Delivered()}
        if data.draw(st.booleans()):
            store.use(store._db)
        with store.transaction():
            purged = store.purge("1", subject, NOW)
        expected = [
            seq
            for seq, item in enumerate(items, 1)
            if item.pixel_id == "1" and item.subject == subject and seq not in gone
        ]
        assert purged == len(expected)


def test_browsers_whose_items_have_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsers, "MANY", 100)
    with contextlib.closing(apsw.Connection(":memory:")) as db:
        db.execute("CREATE TABLE outbox (seq INTEGER PRIMARY KEY, subject BLOB)")
        index = Browsers(db)
        for seq in range(1, 10_001):
            subject = struct.pack(">Q", seq % 50)
            db.execute("INSERT INTO outbox VALUES (?, ?)", (seq, subject))
            index.enter(seq, subject)
            if seq > 20 and seq % 500:  # what stays is 20 that come and go, and a few for good
                db.execute("DELETE FROM outbox WHERE seq = ?", (seq - 20,))
        there = dict(db.execute("SELECT seq, subject FROM outbox"))
        found = {seq for number in range(50) for seq in index.seqs_of(struct.pack(">Q", number))}
        assert there.keys() <= found
        assert len(found) <= 300
