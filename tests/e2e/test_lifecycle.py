"""A gateway's life in real processes: reloads under load, stops while Meta is slow, workers apart."""

import asyncio
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from tests.corpus import HEADERS
from tests.factories import PIXEL, hit_query
from tests.outboxes.engines import server
from tests.processes import (
    BIN,
    PATIENCE,
    UID_KEY,
    Gateway,
    Meta,
    free_port,
    gateway,
    started,
    until,
    write_config,
)

from pixeltwin.delivery.flight import CUT_OFF
from pixeltwin.gateway import STOP_SECONDS
from pixeltwin.sandbox.app import create_app
from pixeltwin.sandbox.meta import Sandbox
from pixeltwin.sandbox.server import serving

RULE = "rules: [{ name: no-contacts, match: { event: Contact }, then: { drop: twin } }]\n"
BAD = "pixel: []\n"


@pytest.fixture
def meta(one_meta: Meta) -> Iterator[Meta]:
    one_meta.forget()
    yield one_meta
    httpx.delete(f"{one_meta.url}/sandbox/faults", trust_env=False)


@pytest.fixture(scope="module")
def one_gateway(tmp_path_factory: pytest.TempPathFactory, one_meta: Meta) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway"), one_meta.url) as started:
        yield started


@pytest.fixture
def running(one_gateway: Gateway, meta: Meta) -> Iterator[Gateway]:
    """A gateway that has its first config again after the test."""
    text = one_gateway.config.read_text()
    yield one_gateway
    one_gateway.config.write_text(text)
    assert reload(one_gateway).status_code == 200


def fault(meta: Meta, name: str, *, times: int = 1, seconds: float = 0) -> None:
    body = {"fault": name, "times": times, "seconds": seconds}
    assert httpx.post(f"{meta.url}/sandbox/faults", json=body, trust_env=False).status_code == 200


def hit(running: Gateway, event_id: str, ev: str = "Lead") -> int:
    query = hit_query(ev, eid=event_id, ts=str(time.time_ns() // 1_000_000))
    return httpx.get(f"{running.url}/tr/?{query}", headers=HEADERS, trust_env=False).status_code


def metric(running: Gateway, line: str) -> float:
    text = httpx.get(f"{running.admin}/metrics", trust_env=False).text
    found = [float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(line)]
    return sum(found)


def reloads(running: Gateway, result: str) -> float:
    return metric(running, f'pixeltwin_config_reloads_total{{result="{result}"}}')


def record(running: Gateway, event_id: str) -> dict:
    return next((one for one in running.records() if one["event_id"] == event_id), {"state": "", "detail": ""})


def reload(running: Gateway, token: str = UID_KEY) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.post(f"{running.admin}/api/reload", headers=headers, trust_env=False, timeout=20)


class Load:
    """Hits one after the other, until the block ends; `codes` are their answers by event id."""

    def __init__(self, running: Gateway) -> None:
        self.codes: dict[str, tuple[int, bytes]] = {}
        self._url = f"{running.url}/tr/"
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with httpx.Client(headers=HEADERS, trust_env=False) as browser:
            while not self._ending.is_set():
                event_id = f"load-{len(self.codes)}"
                query = hit_query("Lead", eid=event_id, ts=str(time.time_ns() // 1_000_000))
                answer = browser.get(f"{self._url}?{query}")
                self.codes[event_id] = (answer.status_code, answer.content)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()


# reload


def test_reloads_under_load_lose_nothing_and_a_bad_file_changes_nothing(running, meta):
    good, digests = running.config.read_text(), []
    applied, refused = reloads(running, "applied"), reloads(running, "refused")

    def exchange(text: str, result: str, count: float) -> httpx.Response:
        running.config.write_text(text)
        running.process.popen.send_signal(signal.SIGHUP)
        assert until(lambda: reloads(running, result) == count), running.process.output()
        return httpx.get(f"{running.admin}/readyz", trust_env=False)

    with Load(running) as load:
        for n in range(1, 6):
            ready = exchange(good + f"# the {n}th\n" + (RULE if n % 2 else ""), "applied", applied + n)
            digests.append(ready.json()["config"])
            hit(running, f"contact-{n}", "Contact")
            ready = exchange(good + BAD, "refused", refused + n)
            assert (ready.status_code, ready.json()["config"]) == (200, digests[-1])
    assert set(load.codes.values()) == {(200, b"")}
    assert len(load.codes) > 50
    paired = until(lambda: {one["event_id"] for one in meta.pairs()} >= load.codes.keys())
    assert paired, (len(load.codes), meta.report()["counts"])
    assert len(set(digests)) == 5
    assert meta.report()["counts"]["server_duplicates"] == 0
    contacts = {record(running, f"contact-{n}")["detail"] for n in (1, 3, 5)}
    assert contacts == {"dropped_by_rule: no-contacts"}
    assert {one["event_id"] for one in meta.servers() if one["event_name"] == "Contact"} == {"contact-2", "contact-4"}
    assert f"{running.config}:" in running.process.output()


def test_what_only_a_restart_can_change_is_named_and_changes_nothing(running, meta):
    text, applied = running.config.read_text(), reloads(running, "applied")
    running.config.write_text(text.replace("path: outbox.db", "path: other.db") + RULE)
    answer = reload(running)
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    line = text[: text.index("path: outbox.db")].count("\n") + 1
    assert (problem["line"], problem["key"]) == (line, "outbox.path")
    assert "restart to change outbox.path" in problem["text"]
    assert "restart to change outbox.path" in running.process.output()
    hit(running, "still-a-contact", "Contact")
    assert until(lambda: [one for one in meta.servers() if one["event_id"] == "still-a-contact"])
    assert reloads(running, "applied") == applied
    running.config.write_text(text + RULE)
    assert reload(running).status_code == 200
    hit(running, "a-contact", "Contact")
    assert record(running, "a-contact")["detail"] == "dropped_by_rule: no-contacts"
    assert not running.config.with_name("other.db").exists()


def test_paths_and_hosts_of_the_new_config_count_from_the_next_request_on(running):
    changes = {
        "public_hosts: [px.shop.example, 127.0.0.1]": "public_hosts: [127.0.0.1]",
        "trusted_proxies: [127.0.0.1/32] ": "paths: { hits: [/px], openbridge: /tr }",
    }
    text = running.config.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    running.config.write_text(text)
    assert reload(running).status_code == 200
    asked = [("/px", "127.0.0.1"), ("/tr/", "127.0.0.1"), ("/px/", "127.0.0.1"), ("/px", "px.shop.example")]
    codes = [
        httpx.get(f"{running.url}{path}?{hit_query()}", headers={"host": host}, trust_env=False).status_code
        for path, host in asked
    ]
    assert codes == [200, 404, 404, 421]
    preflight = httpx.options(f"{running.url}/tr", headers={"origin": "https://a.example"}, trust_env=False)
    assert preflight.status_code == 204


def test_only_who_bears_the_token_reloads(running):
    applied = reloads(running, "applied")
    assert [reload(running, token).status_code for token in ("", "wrong")] == [401, 401]
    assert reloads(running, "applied") == applied


def test_a_refused_file_s_secrets_are_neither_logged_nor_answered(running):
    secret = "EAAcanary0token1of2the3tests"
    running.config.write_text(running.config.read_text().replace('"${SHOP_TOKEN}"', secret))
    answer = reload(running)
    assert answer.status_code == 422
    assert secret not in answer.text + running.process.output()


async def holds(probe: Callable[[], bool]) -> bool:
    """Whether it comes to hold before a park of a minute would end, in the loop in which Meta is served."""
    for _ in range(900):
        if probe():
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_new_token_heals_the_backlog(tmp_path):
    """The old one was revoked: what waits goes out with the new one at once, not when the park would end."""
    meta, port = Sandbox(tokens={PIXEL: "the-new-token"}), free_port()
    async with serving(create_app(meta), "127.0.0.1", port) as url:
        with gateway(tmp_path, url, pixel=", relay: none") as running:
            for n in range(5):
                assert await asyncio.to_thread(hit, running, f"rotated-{n}") == 200
            parked = 'pixeltwin_parked_pixels{cause="setup",destination="conversions_api"}'
            for _ in range(200):
                if await asyncio.to_thread(metric, running, parked):
                    break
                await asyncio.sleep(0.05)
            (token := tmp_path / "token").write_text("another-wrong-token")
            text = running.config.read_text().replace("${SHOP_TOKEN}", "${file:token}")
            running.config.write_text(text)
            assert (await asyncio.to_thread(reload, running)).status_code == 200
            token.write_text("the-new-token")
            assert (await asyncio.to_thread(reload, running)).status_code == 200
            assert await holds(lambda: len(meta.report()["events"]) == 5), running.process.output()
            records = await asyncio.to_thread(running.records)
            assert {one["state"] for one in records} == {"delivered"}


# stop


def waiting(folder: Path) -> list[tuple[str, float]]:
    """Last reason and deadline of what waits in the file, the last process's own words."""
    with closing(sqlite3.connect(f"file:{folder / 'outbox.db'}?mode=ro", uri=True)) as db:
        return list(db.execute("SELECT coalesce(last_reason, ''), deadline FROM outbox WHERE destination LIKE 'conv%'"))


def under_way(running: Gateway, event_id: str) -> None:
    """Wait until the hit's twin is leased, and then for the post that comes at once."""
    depth = 'pixeltwin_outbox_events{destination="conversions_api",state="leased"}'
    assert hit(running, event_id) == 200
    assert until(lambda: metric(running, depth) == 1)
    time.sleep(0.3)


def test_a_slow_post_is_finished_before_a_stop_ends(tmp_path, meta):
    with gateway(tmp_path, meta.url, pixel=", relay: none") as running:
        fault(meta, "slow", seconds=4)
        under_way(running, "slow")
        assert running.process.stop() == 0, running.process.output()
    assert [one["event_id"] for one in meta.servers()] == ["slow"]
    assert waiting(tmp_path) == []


@pytest.mark.parametrize(("signals", "patience"), [(1, PATIENCE), (2, STOP_SECONDS)], ids=["one signal", "a second"])
def test_a_post_that_a_stop_cuts_off_may_have_arrived(tmp_path, meta, signals, patience):
    """It is cut off before its own time-out ends it, and after a second signal before a first one's would be."""
    with gateway(tmp_path, meta.url, pixel=", relay: none") as running:
        fault(meta, "slow", seconds=60)
        under_way(running, "hanging")
        for _ in range(signals):
            running.process.popen.send_signal(signal.SIGTERM)
            time.sleep(0.2)  # two at once are one
        assert running.process.popen.wait(patience) == 0, running.process.output()
    ((reason, deadline),) = waiting(tmp_path)
    assert reason == CUT_OFF
    assert deadline < time.time() + 48 * 3600


# workers apart


def postgres_outbox(folder: Path, meta: Meta, *, port: int, admin: int) -> Path:
    """A config whose gateway does not send."""
    path = write_config(folder, meta.url, port=port, admin=admin, more="delivery: { senders: false }")
    outbox = f'outbox: {{ kind: postgres, url: "${{OUTBOX_DSN}}", schema: "life_{port}" }}'
    path.write_text(path.read_text().replace("outbox: { kind: sqlite, path: outbox.db }", outbox))
    return path


def test_a_worker_delivers_what_gateways_take(tmp_path, meta):
    port, admin = free_port(), free_port()
    config = postgres_outbox(tmp_path, meta, port=port, admin=admin)
    command, env = (BIN / "pixeltwin", "run", "-c", config), {"OUTBOX_DSN": server()}
    (alone := tmp_path / "worker").mkdir()
    workers = postgres_outbox(alone, meta, port=port, admin=(own := free_port()))
    with started(*command, log=tmp_path / "gateway.log", port=port, env=env) as process:
        running = Gateway(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", config, process)
        for n in range(20):
            assert hit(running, f"apart-{n}") == 200
        assert not meta.report()["events"]
        worker_command = (BIN / "pixeltwin", "worker", "-c", workers)
        with started(*worker_command, log=tmp_path / "worker.log", port=own, env=env) as worker:
            assert until(lambda: len(meta.pairs()) == 20), worker.output()
            sends = Gateway("", f"http://127.0.0.1:{own}", workers, worker)
            assert metric(sends, 'pixeltwin_twins_total{outcome="delivered",pixel="shop"}') == 20
            assert metric(running, 'pixeltwin_twins_total{outcome="delivered"') == 0
            assert httpx.get(f"{sends.admin}/readyz", trust_env=False).json()["ready"]
            worker.popen.send_signal(signal.SIGHUP)
            assert until(lambda: reloads(sends, "applied") == 1), worker.output()
            hit(running, "after-the-reload")
            assert until(lambda: len(meta.pairs()) == 21), worker.output()
            assert worker.stop() == 0, worker.output()
        assert process.stop() == 0, process.output()


def refused(command: str, config: Path, log: Path) -> str:
    """What a command that ends with 1 says."""
    with started(BIN / "pixeltwin", command, "-c", config, log=log) as process:
        assert process.popen.wait(60) == 1
        return process.output()


def test_a_worker_needs_an_outbox_that_it_can_share(running, tmp_path):
    said = refused("worker", running.config, tmp_path / "worker.log")
    assert "in use" in said
    assert "one process's" in said
    other, text = tmp_path / "pixeltwin.yaml", running.config.read_text()
    other.write_text(text.replace("kind: sqlite, path: outbox.db", "kind: memory"))
    assert "outbox.kind: memory" in refused("worker", other, tmp_path / "memory.log")
    other.write_text(f"{text}delivery: {{ senders: false }}\n")
    assert "delivery.senders" in refused("worker", other, tmp_path / "apart.log")
