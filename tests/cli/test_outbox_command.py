"""`pixeltwin outbox` where no gateway runs: what people type, what they are told, what becomes of the file."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.factories import PIXEL
from tests.outboxes.engines import server
from tests.processes import free_port
from typer.testing import CliRunner

from pixeltwin.capi.event import ServerEvent, UserData
from pixeltwin.cli import app, outbox_work
from pixeltwin.config import load_config
from pixeltwin.delivery.outbox import Expired, Later, NewItem, Outbox, Outcome, Refused
from pixeltwin.mirror import Draft
from pixeltwin.outboxes import open_outbox, postgres, sqlite

API, OTHER = "conversions_api", "2345678901234567"
EM = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"  # Meta's hash of john_smith@gmail.com
CONFIG = """
pixels:
  - {{ name: shop, id: "{pixel}", access_token: "${{T}}" }}
  - {{ name: b2b, id: "{other}", access_token: "${{T}}" }}
outbox: {{ kind: {kind} }}
admin: {{ listen: "127.0.0.1:{port}" }}
"""


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """A command sets up logging for its whole process, which here is that of all the tests."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = before


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return written(tmp_path, "sqlite, path: outbox.db")


def written(folder: Path, kind: str) -> Path:
    path = folder / "shop.yaml"
    path.write_text(CONFIG.format(pixel=PIXEL, other=OTHER, kind=kind, port=free_port()))
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    ran = CliRunner().invoke(app, list(map(str, arguments)), env={"T": "a-token"})
    return ran.exit_code, ran.stdout, ran.stderr


def outbox(config: Path, *arguments: object) -> tuple[int, str]:
    code, out, err = run("outbox", *arguments, "-c", config)
    return code, out + err


def lines(config: Path, *arguments: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outbox(config, *arguments)[1].splitlines()]


def within[T](config: Path, work: Callable[[Outbox], Awaitable[T]]) -> T:
    async def opened() -> T:
        engine = await sqlite.open_outbox(sqlite.Settings(path="outbox.db"), base=config.parent)
        try:
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(opened())


def twin(event_id: str, pixel_id: str = PIXEL, name: str = "Purchase", **more: Any) -> NewItem:
    event = ServerEvent(event_name=name, event_time=int(time.time()), event_id=event_id, user_data=UserData(em=(EM,)))
    draft = Draft(pixel_id=pixel_id, event=event.as_json(), keys={"crm": "canary"}, rules=("purchases",))
    return NewItem(destination=API, pixel_id=pixel_id, key=event_id.encode(), payload=draft.as_bytes(), **more)


def ends(config: Path, *pairs: tuple[NewItem, Outcome | None]) -> list[int]:
    """The items, settled that way; their numbers. With no outcome they wait."""

    async def work(engine: Outbox) -> list[int]:
        seqs = []
        for item, outcome in pairs:
            await engine.append([item])
            seqs.append((await engine.waiting(after=0, limit=1000))[-1].seq)
            lease = await engine.lease(API, limit=1000, seconds=60)
            await engine.settle(lease, {seqs[-1]: outcome} if outcome else {})
        return seqs

    return within(config, work)


def letters(config: Path) -> list[int]:
    async def work(engine: Outbox) -> list[int]:
        return [letter.seq for letter in await engine.letters(limit=1000)]

    return within(config, work)


def test_ls_has_a_line_a_pixel_and_says_what_is_parked_and_what_to_do(config):
    soon = time.time() + 600
    ends(
        config,
        (twin("a"), Refused("Meta: bad value", "100/2804050")),
        (twin("b"), Later(soon, "HTTP 503")),
    )
    reason = "setup: HTTP 400, code 190/463: Error validating access token"
    within(config, lambda engine: engine.park(API, PIXEL, until=soon, reason=reason))
    code, told = outbox(config, "ls")
    shop, b2b, parked, what_to_do, books = told.splitlines()[1:]
    assert code == 0
    assert shop.split()[:7] == ["shop", API, "0", "1", "0", "1", "0"]
    assert shop.endswith("HTTP 503")
    assert b2b.split() == ["b2b", "–", "0", "0", "0", "0", "0", "–", "–"]
    assert parked.startswith("shop: parked for ")
    assert parked.endswith(reason)
    assert "new access token" in what_to_do  # Meta's code 190: the token has expired
    assert books == "conversions_api: 2 accepted, 1 dead; 0 unaccounted for"


@pytest.mark.parametrize("reason", ["throttle: HTTP 429", "breaker: no answer: ConnectTimeout"])
def test_what_heals_by_itself_asks_nothing_of_anybody(reason):
    assert outbox_work.remedy(reason).startswith("nothing to do")


def test_ls_json_is_an_object_a_pixel_and_can_be_narrowed_down(config):
    ends(config, (twin("a"), Refused("no")), (twin("b", OTHER), None))
    assert [(one["pixel_id"], one["dead"], one["ready"]) for one in lines(config, "ls", "--json")] == [
        (PIXEL, 1, 0),
        (OTHER, 0, 1),
    ]
    assert [one["pixel_id"] for one in lines(config, "ls", "--json", "--pixel", "b2b")] == [OTHER]
    assert [one["pixel_id"] for one in lines(config, "ls", "--json", "--pixel", PIXEL)] == [PIXEL]
    code, told = outbox(config, "ls", "--pixel", "shp")
    assert (code, "shop, b2b" in told) == (1, True)


def test_ls_lists_letters_and_what_waits(config):
    dead, waiting = ends(config, (twin("a"), Refused("Meta: bad value", "100/2804050")), (twin("b", OTHER), None))
    heading, letter = outbox(config, "ls", "--letters")[1].splitlines()
    assert heading.split()[:6] == ["seq", "state", "event", "event_id", "pixel", "code"]
    assert letter.split()[:6] == [str(dead), "dead", "Purchase", "a", "shop", "100/2804050"]
    assert letter.endswith("Meta: bad value")
    item = outbox(config, "ls", "--waiting")[1].splitlines()[1]
    assert item.split()[:6] == [str(waiting), "ready", "Purchase", "b", "b2b", "0"]
    assert outbox(config, "ls", "--letters", "--waiting")[0] == 2


def test_ls_ends_at_its_limit(config):
    ends(config, *((twin(f"e{number}"), Refused("no")) for number in range(5)))
    assert [one["event_id"] for one in lines(config, "ls", "--letters", "--limit", 2, "--json")] == ["e0", "e1"]


def test_show_tells_everything_of_one_and_no_look_up_key(config):
    dead, waiting = ends(config, (twin("a"), Refused("Meta: bad value", "100/2804050")), (twin("b"), None))
    (letter,) = lines(config, "show", dead, "--json")
    assert (letter["code"], letter["reason"], letter["rules"]) == ("100/2804050", "Meta: bad value", ["purchases"])
    assert letter["event"]["user_data"] == {"em": [EM]}
    code, told = outbox(config, "show", dead)
    assert code == 0
    assert told.startswith("Purchase a of pixel shop: dead\n")
    assert "user_data.em[0]" in told
    assert EM in told
    assert "100/2804050" in told
    assert "canary" not in told + json.dumps(letter)
    assert outbox(config, "show", waiting)[1].startswith("Purchase b of pixel shop: ready\n")
    assert outbox(config, "show", 4711) == (
        1,
        "nothing of the outbox has the number 4711; what was delivered is gone\n",
    )


def test_retry_says_how_many_went_and_how_many_stayed(config):
    past = time.time() - 60
    fresh, late = ends(config, (twin("a"), Refused("no")), (twin("b"), Refused("no")))
    within(config, lambda engine: _make_late(engine, late, past))
    assert outbox(config, "retry", "--all") == (0, "1 back in the queue; 1 stayed, past their deadline\n")
    assert letters(config) == [late]
    assert outbox(config, "retry", late, 4711) == (
        1,
        "0 back in the queue; 1 stayed, past their deadline; no letter has the number 4711\n",
    )
    assert [one["seq"] for one in lines(config, "ls", "--waiting", "--json")] == [fresh]


async def _make_late(engine: Any, seq: int, deadline: float) -> None:
    """As if a week had passed for this letter alone."""
    await engine._do(lambda store: store._db.execute("UPDATE dead SET deadline = ? WHERE seq = ?", (deadline, seq)))


def test_retry_takes_letters_by_number_by_code_and_by_pixel(config):
    a, _, c, d = ends(
        config,
        (twin("a"), Refused("no", "100/2804003")),
        (twin("b"), Refused("no", "100/2804050")),
        (twin("c", OTHER), Refused("no", "100/2804050")),
        (twin("d"), Expired("too late")),
    )
    assert outbox(config, "retry", "--all", "--code", "100/2804050", "--pixel", "shop")[0] == 0
    assert letters(config) == [a, c, d]
    assert outbox(config, "retry", "--all", "--code", "100") == (0, "2 back in the queue\n")
    assert outbox(config, "retry", d, d) == (0, "1 back in the queue\n")
    assert letters(config) == []
    assert outbox(config, "retry", "--all") == (0, "0 back in the queue\n")


@pytest.mark.parametrize(
    "words",
    [
        ("retry",),
        ("retry", 1, "--all"),
        ("retry", 0),
        ("retry", "x"),
        ("retry", 1, "--pixel", "shop"),
        ("purge", "--yes"),
        ("purge", 1),  # nobody is there to be asked
        ("purge", "--all", "--yes", "--older-than", "3 days"),
        ("ls", "--limit", 0),
    ],
)
def test_what_was_not_meant_is_asked_back(config, words):
    ends(config, (twin("a"), Refused("no")))
    assert outbox(config, *words)[0] == 2
    assert len(letters(config)) == 1


def test_purge_deletes_what_was_named(config):
    a, b = ends(config, (twin("a"), Refused("no")), (twin("b"), Refused("no")))
    assert outbox(config, "purge", a, "--yes") == (0, "1 purged\n")
    assert outbox(config, "purge", a, "--yes") == (1, f"0 purged; no letter has the number {a}\n")
    assert letters(config) == [b]


def test_purge_asks_on_a_terminal(config, monkeypatch):
    ends(config, (twin("a"), Refused("no")))
    monkeypatch.setattr(outbox_work, "is_terminal", lambda: True)
    words = ["outbox", "purge", "--all", "-c", str(config)]
    no = CliRunner().invoke(app, words, input="n\n", env={"T": "a-token"})
    assert (no.exit_code, "Delete 1 letter" in no.stderr, len(letters(config))) == (1, True, 1)
    yes = CliRunner().invoke(app, words, input="y\n", env={"T": "a-token"})
    assert (yes.exit_code, yes.stdout.splitlines()[-1], letters(config)) == (0, "1 purged", [])


def test_purge_spares_what_is_younger(config):
    ends(config, (twin("a"), Refused("no")))
    assert outbox(config, "purge", "--all", "--older-than", "1h", "--yes") == (0, "0 purged\n")
    time.sleep(0.05)
    assert outbox(config, "purge", "--all", "--older-than", "1ms", "--yes") == (0, "1 purged\n")


def test_export_writes_letters_with_their_events_for_the_owner_alone(config, tmp_path):
    ends(config, (twin("a"), Refused("no")), (twin("b", OTHER), Expired("late")), (twin("c"), None))
    file = tmp_path / "letters.jsonl"
    file.touch(mode=0o644)
    assert outbox(config, "export", file) == (0, "2 letters written\n")
    written_ones = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(one["event"]["event_id"], one["state"]) for one in written_ones] == [("a", "dead"), ("b", "expired")]
    assert file.stat().st_mode & 0o777 == 0o600
    code, out, _ = run("outbox", "export", "-", "--pixel", "b2b", "-c", config)
    assert (code, [json.loads(line)["event_id"] for line in out.splitlines()]) == (0, ["b"])


def test_explain_finds_events_of_the_outbox_by_their_id(config):
    ends(config, (twin("order-1"), Refused("no", "100/2804050")), (twin("order-1", OTHER), None))
    code, out, _ = run("explain", "order-1", "-c", config)
    assert code == 0
    assert "Purchase order-1 of pixel shop: dead\n" in out
    assert "Purchase order-1 of pixel b2b: ready\n" in out
    code, out, _ = run("explain", "order-1", "--json", "-c", config)
    assert [json.loads(line)["event"]["event_id"] for line in out.splitlines()] == ["order-1"] * 2
    code, _, err = run("explain", "order-2", "-c", config)
    assert (code, err) == (1, "order-2 is no file, and no event in the outbox; what was delivered is gone\n")


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\r\n"


@pytest.mark.parametrize("words", [("ls",), ("ls", "--letters"), ("ls", "--waiting"), ("show", 1), ("show", 2)])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_nothing_of_a_hit_or_an_answer_steers_the_terminal(config, words, form):
    ends(
        config,
        (twin(HOSTILE, name=HOSTILE), Refused(HOSTILE, HOSTILE)),
        (twin(f"2{HOSTILE}", name=HOSTILE), Later(0, HOSTILE)),
    )
    within(config, lambda engine: engine.park(API, PIXEL, until=time.time() + 60, reason=HOSTILE))
    code, told = outbox(config, *words, *form)
    assert code == 0
    assert "evil" in told
    assert all(sign.isprintable() for sign in told.replace("\n", ""))


def test_neither_file_nor_gateway_is_exit_code_3(config):
    code, told = outbox(config, "ls")
    assert code == 3
    assert "there is no file" in told
    assert "no gateway answers" in told
    assert not (config.parent / "outbox.db").exists()
    assert run("explain", "order-1", "-c", config)[0] == 3


def test_an_outbox_in_memory_is_the_running_gateway_s_alone(tmp_path):
    code, told = outbox(written(tmp_path, "memory"), "retry", "--all")
    assert (code, "in the memory of the gateway" in told) == (3, True)


def test_a_file_that_is_none_is_said_to_be_so(config):
    (config.parent / "outbox.db").write_bytes(b"this is no database, by no means" * 64)
    code, told = outbox(config, "ls")
    assert (code, "outbox.db" in told) == (3, True)


def test_a_shared_outbox_is_opened_while_gateways_have_it(tmp_path):
    settings = postgres.Settings(kind="postgres", url=server(), schema="outbox_command")
    config = written(tmp_path, 'postgres, url: "${PG}", schema: outbox_command')

    async def beside_a_gateway() -> list[tuple[int, str]]:
        engine = await postgres.open_outbox(settings, base=tmp_path)
        try:
            await engine.append([twin("a")])
            lease = await engine.lease(API, limit=1, seconds=60)
            await engine.settle(lease, {lease.items[0].seq: Refused("no", "100/2804050")})
            words = (("ls", "--letters"), ("retry", "--all"))
            return [await asyncio.to_thread(_shared, config, *some) for some in words]
        finally:
            await engine.close()

    (code, listed), retried = asyncio.run(beside_a_gateway())
    assert (code, listed.splitlines()[1].split()[3]) == (0, "a")
    assert retried == (0, "1 back in the queue\n")


def _shared(config: Path, *words: str) -> tuple[int, str]:
    command = ["outbox", *words, "-c", str(config)]
    ran = CliRunner().invoke(app, command, env={"T": "a-token", "PG": server()})
    return ran.exit_code, ran.output


def test_a_database_that_is_away_is_exit_code_3(tmp_path):
    config = written(tmp_path, 'postgres, url: "${PG}"')
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    ran = CliRunner().invoke(app, ["outbox", "ls", "-c", str(config)], env={"T": "a-token", "PG": url})
    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "cannot be used now" in ran.stderr


def test_the_command_reads_what_the_gateway_has_encrypted(tmp_path, monkeypatch):
    monkeypatch.setenv("K", "a1" * 32)
    config = written(tmp_path, 'sqlite, path: outbox.db, encryption: { keys: ["${K}"] }')

    async def append() -> None:
        engine = await open_outbox(load_config(config, {"T": "a-token", "K": "a1" * 32}).outbox, base=tmp_path)
        await engine.append([twin("order-1001")])
        await engine.close()

    asyncio.run(append())
    assert EM.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("outbox.db*"))
    code, shown = outbox(config, "show", 1)
    assert (code, "order-1001" in shown) == (0, True)
