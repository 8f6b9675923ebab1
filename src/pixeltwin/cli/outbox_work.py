"""What `pixeltwin outbox` does."""

import asyncio
import os
import re
import stat
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import typer

from pixeltwin.admin.records import to_json
from pixeltwin.capi.reply import CHECK_IDS, REMEDIES
from pixeltwin.cli.outbox_access import Access, Entry, access_to, pixel_id_of
from pixeltwin.cli.printing import columns, plain, span
from pixeltwin.config import Config, load_config
from pixeltwin.delivery.lanes import Cause
from pixeltwin.rules.rows import to_rows
from pixeltwin.telemetry import configure_logging

FINE: Final = 0
PROBLEM: Final = 1
NUMBERS: Final = ("ready", "retrying", "held", "dead", "expired")
TIMES: Final = ("at", "appended_at", "due", "deadline")
CODE: Final = re.compile(r"\bcode (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which letters are meant: those of `seqs`, or without any all that the others leave.

    `older_than`: that have been letters for so many seconds.
    """

    seqs: Collection[int] = ()
    pixel: str | None = None
    code: str | None = None
    older_than: float | None = None

    async def letters(self, access: Access, config: Config) -> AsyncIterator[Entry]:
        if self.seqs:
            for seq in dict.fromkeys(self.seqs):
                if found := await access.find("letters", seq):
                    yield found
            return
        latest = time.time() - (self.older_than or 0.0)
        pixel_id = pixel_id_of(config, self.pixel)
        async for letter in access.entries("letters", pixel_id=pixel_id, code=self.code):
            if letter["at"] <= latest:
                yield letter


def list_pixels(config: Path, *, pixel: str | None, limit: int, as_json: bool) -> int:
    """A line a pixel, then what is parked and what to do about it, then what ever happened and whether it adds up."""

    async def work(access: Access, loaded: Config) -> int:
        lines, complete = await access.pixels(pixel_id_of(loaded, pixel))
        if as_json:
            _print_json(lines[:limit])
        else:
            _print_pixels(lines[:limit], _wanted_names(loaded, pixel))
            _print_books(await access.books())
        if not complete:
            typer.echo("there is more than was counted: /api/outbox has the whole numbers", err=True)
        return FINE

    return _run(config, work)


def list_entries(config: Path, what: str, *, pixel: str | None, limit: int, as_json: bool) -> int:
    """The first `letters`, or of what is `waiting`, a line each."""

    async def work(access: Access, loaded: Config) -> int:
        found = await _first(access.entries(what, full=as_json, pixel_id=pixel_id_of(loaded, pixel)), limit)
        if as_json:
            _print_json(found)
        else:
            _print_columns([_heading(what), *(_row(one, _names(loaded)) for one in found)])
        return FINE

    return _run(config, work)


def show_entry(config: Path, seq: int, *, as_json: bool) -> int:
    """Everything of one; PROBLEM if there is none of that number."""

    async def work(access: Access, loaded: Config) -> int:
        found = await access.find("waiting", seq) or await access.find("letters", seq)
        if not found:
            typer.echo(f"nothing of the outbox has the number {seq}; what was delivered is gone", err=True)
            return PROBLEM
        _show([found], loaded, as_json=as_json)
        return FINE

    return _run(config, work)


def explain_event(config: Path, event_id: str, *, as_json: bool) -> int:
    """Tell whatever waits or is a letter with that event id; PROBLEM if nothing does."""

    async def work(access: Access, loaded: Config) -> int:
        found = [
            one for what in ("waiting", "letters") async for one in access.entries(what, full=True, event_id=event_id)
        ]
        if not found:
            typer.echo(
                f"{plain(event_id)} is no file, and no event in the outbox; what was delivered is gone",
                err=True,
            )
            return PROBLEM
        _show(found, loaded, as_json=as_json)
        return FINE

    return _run(config, work)


def retry_letters(config: Path, choice: Choice) -> int:
    """Put them back; PROBLEM if one that was named did not go."""

    async def work(access: Access, loaded: Config) -> int:
        access.check_may_change()
        seqs = [letter["seq"] async for letter in choice.letters(access, loaded)]
        went = await access.requeue(seqs)
        stayed = f"; {len(seqs) - went} stayed, past their deadline" if went < len(seqs) else ""
        typer.echo(f"{went} back in the queue{stayed}{_missing(choice, seqs)}")
        return PROBLEM if went < len(set(choice.seqs)) else FINE

    return _run(config, work)


def purge_letters(config: Path, choice: Choice, *, yes: bool) -> int:
    """Delete them, once that was confirmed; PROBLEM if one that was named was not there."""
    if not yes and not is_terminal():
        raise typer.BadParameter("nobody can be asked here: say --yes")

    async def choose(access: Access, loaded: Config) -> list[int]:
        access.check_may_change()
        return [letter["seq"] async for letter in choice.letters(access, loaded)]

    async def discard(access: Access, _: Config) -> int:
        return await access.discard(seqs)

    seqs = _run(config, choose)  # nothing is held open while somebody thinks: a gateway may want to start
    if seqs and not yes and not typer.confirm(f"Delete {len(seqs)} letter(s) for good?", err=True):
        return PROBLEM
    typer.echo(f"{_run(config, discard) if seqs else 0} purged{_missing(choice, seqs)}")
    return PROBLEM if len(seqs) < len(set(choice.seqs)) else FINE


def export_letters(config: Path, file: str, *, pixel: str | None) -> int:
    """All letters with their events, as JSON lines; the file is for its owner's eyes alone."""

    async def work(access: Access, loaded: Config) -> int:
        pixel_id, number = pixel_id_of(loaded, pixel), 0
        with _output(file) as output:
            async for letter in access.entries("letters", full=True, pixel_id=pixel_id):
                output.write(to_json(letter) + "\n")
                number += 1
        typer.echo(f"{number} letters written", err=True)
        return FINE

    return _run(config, work)


def is_terminal() -> bool:
    return sys.stdin.isatty()


def _run[T](config: Path, work: Callable[[Access, Config], Awaitable[T]]) -> T:
    configure_logging("critical")  # what goes wrong is said once, in the command's own words
    loaded = load_config(config)

    async def run() -> T:
        async with access_to(loaded) as access:
            return await work(access, loaded)

    return asyncio.run(run())


async def _first(entries: AsyncIterator[Entry], limit: int) -> list[Entry]:
    found: list[Entry] = []
    async for one in entries:
        found.append(one)
        if len(found) == limit:
            break
    return found


def _missing(choice: Choice, found: Collection[int]) -> str:
    missing = sorted(set(choice.seqs) - set(found))
    return f"; no letter has the number {', '.join(map(str, missing))}" if missing else ""


@contextmanager
def _output(file: str) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdout
        return
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="ascii") as output:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)  # one that was there before may have been open to all
        yield output


def _names(config: Config) -> dict[str, str]:
    return {pixel.id: pixel.name for pixel in config.pixels}


def _pixel(one: Entry, names: Mapping[str, str]) -> str:
    """The pixel's name; the id of one that has none any more."""
    pixel_id: str = one["pixel_id"]
    return names.get(pixel_id, pixel_id)


def _print_json(entries: Collection[Any]) -> None:
    for one in entries:
        typer.echo(to_json(one))


def _print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    for line in columns(rows):
        typer.echo(line)


def _wanted_names(config: Config, pixel: str | None) -> dict[str, str]:
    wanted = pixel_id_of(config, pixel)
    return {known: name for known, name in _names(config).items() if wanted in (None, known)}


def _print_pixels(lines: list[Entry], names: dict[str, str]) -> None:
    """Their table; a pixel of which there is nothing has a line too."""
    now = time.time()
    rows: list[tuple[str, ...]] = [("pixel", "destination", *NUMBERS, "oldest", "last error")]
    for line in lines:
        oldest = span(now - line["oldest_at"]) if line["oldest_at"] else "–"
        numbers = (str(line[name]) for name in NUMBERS)
        rows.append((_pixel(line, names), line["destination"], *numbers, oldest, line["last_error"] or "–"))
    there = {line["pixel_id"] for line in lines}
    rows += [(name, "–", *["0"] * len(NUMBERS), "–", "–") for pixel, name in names.items() if pixel not in there]
    _print_columns(rows)
    for line in lines:
        if line["parked_until"]:
            pixel, rest = _pixel(line, names), span(line["parked_until"] - now)
            typer.echo(plain(f"{pixel}: parked for {rest}: {line['parked_because']}"))
            typer.echo(f"  → {remedy(line['parked_because'])}")


def _print_books(books: Entry) -> None:
    """What ever happened in each destination, and whether it adds up; nothing where nothing has happened."""
    for destination, tally in books["tally"].items():
        counts = ", ".join(f"{number} {what}" for what, number in tally.items() if number)
        typer.echo(f"{destination}: {counts or 'nothing'}; {books['unaccounted'].get(destination, 0)} unaccounted for")


def remedy(reason: str) -> str:
    """What to do about a park, by its reason."""
    if not reason.startswith(Cause.SETUP):
        return "nothing to do: it is tried again by itself"
    code = CODE.search(reason)
    return REMEDIES.get(int(code[1][:9]), CHECK_IDS) if code else CHECK_IDS


def _heading(what: str) -> tuple[str, ...]:
    if what == "letters":
        return "seq", "state", "event", "event_id", "pixel", "code", "age", "reason"
    return "seq", "state", "event", "event_id", "pixel", "attempts", "due in", "age", "last error"


def _row(one: Entry, names: dict[str, str]) -> tuple[str, ...]:
    now = time.time()
    first = (str(one["seq"]), one["state"], one["event_name"], one["event_id"], _pixel(one, names))
    if "code" in one:
        return *first, one["code"] or "–", span(now - one["at"]), one["reason"]
    due, age = span(one["due"] - now), span(now - one["appended_at"])
    return *first, str(one["attempts"]), due, age, one["last_reason"] or "–"


def _show(found: list[Entry], config: Config, *, as_json: bool) -> None:
    if as_json:
        _print_json(found)
        return
    for one in found:
        typer.echo(
            plain(f"{one['event_name']} {one['event_id']} of pixel {_pixel(one, _names(config))}: {one['state']}")
        )
        own = [(name, _text(name, value)) for name, value in one.items() if name != "event" and value not in (None, "")]
        event = [(path, str(value)) for path, value in to_rows(one["event"] or {})]
        _print_columns([(f"  {name}", value) for name, value in own])
        typer.echo("  event" if event else "  its event cannot be read")
        _print_columns([(f"    {path}", value) for path, value in event])


def _text(name: str, value: Any) -> str:
    if name in TIMES:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
