"""`pixeltwin run --workers 2`: real front processes and the one behind them, and what is left when one is killed."""

import http.client
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.corpus import HEADERS
from tests.factories import hit_query
from tests.processes import UID_KEY, Gateway, Meta, children_of, gateway, sandbox, until

CONSENT = "consent: { eu: { read: [{ cookie: ads, granted: [yes] }], unknown: hold 30m } }\n"
RULE = "rules: [{ name: no-contacts, match: { event: Contact }, then: { drop: both } }]\n"
CONNECTIONS = 40  # all of them reach the same of two processes in one of 2 ** 39 runs


@pytest.fixture(scope="module")
def meta(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meta]:
    with sandbox(tmp_path_factory.mktemp("meta")) as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, meta: Meta) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway"), meta.url, more=CONSENT, workers=2) as started:
        yield started


def path_of(event_id: str, ev: str = "Lead") -> str:
    query = hit_query(ev, eid=event_id, fbp="fb.1.1795461138686.4711", ts=str(time.time_ns() // 1_000_000))
    return f"/tr/?{query}"


def hit(running: Gateway, event_id: str, ev: str = "Lead", *, cookie: str = "ads=yes") -> int:
    """A hit on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=20)
    connection.request("GET", path_of(event_id, ev), headers=HEADERS | {"cookie": cookie})
    status = connection.getresponse().status
    connection.close()
    return status


def metric(running: Gateway, line: str) -> float:
    text = httpx.get(f"{running.admin}/metrics", trust_env=False).text
    return sum(float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(line))


def taken(running: Gateway) -> list[float]:
    """How many hits each front has handed over."""
    return [metric(running, f'pixeltwin_front_hits_total{{front="{front}"}}') for front in (0, 1)]


def hits(running: Gateway, outcome: str) -> float:
    return metric(running, f'pixeltwin_hits_total{{outcome="{outcome}"')


def fronts(running: Gateway) -> dict:
    return httpx.get(f"{running.admin}/readyz", trust_env=False).json()["fronts"]


def pids(running: Gateway) -> list[int]:
    return children_of(running.process.popen.pid)


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def delivered(meta: Meta) -> list[str]:
    return [event["event_id"] for event in meta.servers()]


class Load:
    """Hits on a few connections, opened again when they end, until the block ends; `answered` are event ids."""

    def __init__(self, running: Gateway, name: str) -> None:
        self.answered: set[str] = set()
        self._host, self._name = urlsplit(running.url).netloc, name
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(6)]

    def _run(self, number: int) -> None:
        connection, count = http.client.HTTPConnection(self._host, timeout=20), 0
        while not self._ending.wait(0.005):
            count += 1
            event_id = f"{self._name}-{number}-{count}"
            try:
                connection.request("GET", path_of(event_id), headers=HEADERS | {"cookie": "ads=yes"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            if answer.status == 200:
                self.answered.add(event_id)
            if count % 10 == 0:
                connection.close()  # so that both fronts get some
        connection.close()

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        assert until(lambda: len(self.answered) > 50)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


def test_hits_of_many_connections_reach_both_fronts_and_are_counted_and_shown_as_one(running, meta):
    before, queued = taken(running), hits(running, "queued")
    ids = {f"many-{number}" for number in range(CONNECTIONS)}
    assert {hit(running, event_id) for event_id in ids} == {200}
    by_front = [now - then for now, then in zip(taken(running), before, strict=True)]
    assert min(by_front) > 0
    assert sum(by_front) == CONNECTIONS
    assert until(lambda: hits(running, "queued") - queued == CONNECTIONS)
    assert until(lambda: ids <= set(delivered(meta)))
    states = {one["event_id"]: one["state"] for one in running.records() if one["event_id"] in ids}
    assert states == dict.fromkeys(ids, "delivered")
    assert httpx.get(f"{running.admin}/readyz", trust_env=False).status_code == 200
    assert fronts(running) == {"serving": 2, "of": 2, "trouble": []}


def test_a_repeat_at_another_front_is_a_duplicate(running, meta):
    before, duplicates = taken(running), hits(running, "duplicate")
    for _ in range(CONNECTIONS):
        assert hit(running, "repeated") == 200
    assert all(now > then for now, then in zip(taken(running), before, strict=True))
    assert until(lambda: hits(running, "duplicate") - duplicates == CONNECTIONS - 1)
    assert until(lambda: "repeated" in delivered(meta))
    assert delivered(meta).count("repeated") == 1


def test_a_rate_is_one_for_all_fronts(tmp_path, meta):
    limits = ", limits: { rate_per_pixel: 20/h }"
    with gateway(tmp_path, meta.url, server=limits, workers=2) as limited:
        assert {hit(limited, f"rate-{number}") for number in range(CONNECTIONS)} == {200}
        assert min(taken(limited)) > 0
        assert until(lambda: metric(limited, "pixeltwin_hits_total") == CONNECTIONS)
        too_many = metric(limited, 'pixeltwin_hits_total{outcome="skipped",pixel="shop",reason="rate_limited"}')
    assert too_many == CONNECTIONS - 20


def test_what_one_front_holds_another_front_s_yes_releases_each_time(running, meta):
    held = 'pixeltwin_outbox_events{destination="conversions_api",state="held"}'
    for number in range(12):
        assert hit(running, f"held-{number}", cookie="") == 200
        assert hit(running, f"yes-{number}") == 200
        assert metric(running, held) == 0
    assert until(lambda: {f"held-{number}" for number in range(12)} <= set(delivered(meta)))


def test_a_reload_counts_at_every_front_when_it_is_answered(running):
    text = running.config.read_text()
    running.config.write_text(text + RULE)
    skipped = hits(running, "skipped")
    reload = {"url": f"{running.admin}/api/reload", "headers": {"authorization": f"Bearer {UID_KEY}"}, "timeout": 20}
    assert httpx.post(**reload, trust_env=False).status_code == 200
    for number in range(CONNECTIONS):
        assert hit(running, f"contact-{number}", "Contact") == 200
    assert until(lambda: hits(running, "skipped") - skipped == CONNECTIONS)
    details = {one["detail"] for one in running.records() if one["event_name"] == "Contact"}
    assert details == {"dropped_by_rule: no-contacts"}
    running.config.write_text("pixel: []\n")
    assert httpx.post(**reload, trust_env=False).status_code == 422
    assert hit(running, "contact-after-a-bad-file", "Contact") == 200
    assert until(lambda: hits(running, "skipped") - skipped == CONNECTIONS + 1)
    running.config.write_text(text)
    assert httpx.post(**reload, trust_env=False).status_code == 200


def test_no_page_waits_for_a_process_behind_that_hangs_and_its_hits_are_kept_after_all(running, meta):
    unacked = metric(running, "pixeltwin_unacked_passthrough_total")
    os.kill(running.process.popen.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert hit(running, "while-it-hangs") == 200
        assert time.monotonic() - began < 10
    finally:
        os.kill(running.process.popen.pid, signal.SIGCONT)
    assert until(lambda: "while-it-hangs" in delivered(meta))
    assert until(lambda: metric(running, "pixeltwin_unacked_passthrough_total") == unacked + 1)
    states = [one["state"] for one in running.records() if one["event_id"] == "while-it-hangs"]
    assert states == ["delivered"]


def test_a_front_that_is_killed_comes_back_and_nothing_that_was_answered_is_lost(running, meta):
    ends, (victim, other) = metric(running, "pixeltwin_front_ends_total"), pids(running)
    with Load(running, "front") as load:
        os.kill(victim, signal.SIGKILL)
        count = len(load.answered)
        assert until(lambda: len(load.answered) > count + 50), "the other one takes hits meanwhile"
        assert until(lambda: len(pids(running)) == 2 and fronts(running)["serving"] == 2, patience=60)
    assert metric(running, "pixeltwin_front_ends_total") - ends == 1
    assert other in pids(running)
    assert victim not in pids(running)
    assert until(lambda: load.answered <= set(delivered(meta)))
    before = taken(running)
    assert {hit(running, f"again-{number}") for number in range(CONNECTIONS)} == {200}
    assert all(now > then for now, then in zip(taken(running), before, strict=True))


def test_fronts_end_with_the_process_behind_them_and_all_that_was_answered_is_delivered_by_the_next(tmp_path, meta):
    patient = ", limits: { ack_deadline: 10s }"  # nothing is answered that is not durable, however slow the machine is
    with gateway(tmp_path, meta.url, server=patient, workers=2) as first:
        left = pids(first)
        with Load(first, "back") as load:
            first.process.stop(signal.SIGKILL)
            assert until(lambda: not any(map(is_there, left)))
    with gateway(tmp_path, meta.url, workers=2) as second:
        assert until(lambda: load.answered <= set(delivered(meta))), load.answered - set(delivered(meta))
        with Load(second, "stop") as load:
            began = time.monotonic()
            assert second.process.stop(signal.SIGTERM) == 0
            assert time.monotonic() - began < 10
    assert not any(map(is_there, left))
    with closing(sqlite3.connect(f"file:{tmp_path / 'outbox.db'}?mode=ro", uri=True)) as db:
        waiting = db.execute("SELECT count(*) FROM outbox WHERE destination LIKE 'conv%'").fetchone()[0]
    assert len(load.answered - set(delivered(meta))) <= waiting
