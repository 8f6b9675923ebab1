"""`pixeltwin outbox`: the commands' words. Their work is in `outbox_work.py`, which takes a while to import."""

from pathlib import Path
from typing import Annotated

import typer

from pixeltwin.cli.ending import finish

app = typer.Typer(no_args_is_help=True, help="The queue: what waits, and the letters of what was not delivered.")

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The config file.")]
PixelName = Annotated[str | None, typer.Option("--pixel", help="Of this pixel alone, by name or id.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Seqs = Annotated[list[int] | None, typer.Argument(metavar="SEQ…", min=1, help="Letters, as `ls --letters` numbers.")]
All = Annotated[bool, typer.Option("--all", help="All letters, or all that the other options leave.")]


@app.command()
def ls(
    config: ConfigFile,
    letters: Annotated[bool, typer.Option("--letters", help="List the letters.")] = False,
    waiting: Annotated[bool, typer.Option("--waiting", help="List what waits.")] = False,
    pixel: PixelName = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Tell how it stands with each pixel, or list letters or what waits."""
    if letters and waiting:
        raise typer.BadParameter("--letters or --waiting, one of them")
    from pixeltwin.cli.outbox_work import list_entries, list_pixels

    what = "letters" if letters else "waiting" if waiting else ""
    if what:
        finish(lambda: list_entries(config, what, pixel=pixel, limit=limit, as_json=as_json))
    finish(lambda: list_pixels(config, pixel=pixel, limit=limit, as_json=as_json))


@app.command()
def show(
    seq: Annotated[int, typer.Argument(min=1, help="The number of a letter, or of what waits.")],
    config: ConfigFile,
    as_json: AsJson = False,
) -> None:
    """Tell everything about one item or letter."""
    from pixeltwin.cli.outbox_work import show_entry

    finish(lambda: show_entry(config, seq, as_json=as_json))


@app.command()
def retry(
    config: ConfigFile,
    seqs: Seqs = None,
    every: All = False,
    pixel: PixelName = None,
    code: Annotated[str | None, typer.Option(metavar="100/2804050", help="Of Meta's code, or code/subcode.")] = None,
) -> None:
    """Put letters back into the queue; they are sealed and checked anew. Those past their deadline stay."""
    _check_choice(seqs, every, pixel, code)
    from pixeltwin.cli.outbox_work import Choice, retry_letters

    finish(lambda: retry_letters(config, Choice(seqs=seqs or (), pixel=pixel, code=code)))


@app.command()
def purge(
    config: ConfigFile,
    seqs: Seqs = None,
    every: All = False,
    pixel: PixelName = None,
    older_than: Annotated[str | None, typer.Option(metavar="3d", help="That are letters for longer.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete letters for good."""
    _check_choice(seqs, every, pixel, older_than)
    age = _seconds(older_than)
    from pixeltwin.cli.outbox_work import Choice, purge_letters

    finish(lambda: purge_letters(config, Choice(seqs=seqs or (), pixel=pixel, older_than=age), yes=yes))


@app.command()
def export(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="Where to write; - is standard output.")],
    config: ConfigFile,
    pixel: PixelName = None,
) -> None:
    """Write the letters with their events, one JSON object a line."""
    from pixeltwin.cli.outbox_work import export_letters

    finish(lambda: export_letters(config, file, pixel=pixel))


def _seconds(text: str | None) -> float | None:
    from pixeltwin.units import parse_duration

    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(f"--older-than: {error}") from None


def _check_choice(seqs: list[int] | None, every: bool, *narrowing: str | None) -> None:
    """Letters are named, or all are meant; only all can be narrowed down."""
    if bool(seqs) == every:
        raise typer.BadParameter("name letters by their SEQ, or say --all")
    if seqs and any(narrowing):
        raise typer.BadParameter("options that narrow down go with --all")
