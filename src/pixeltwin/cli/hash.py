"""`pixeltwin hash`: what a field's value becomes before Meta sees it, for people step by step, for programs by line."""

import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, Final, TextIO

import orjson
from rich.console import Console
from rich.text import Text

from pixeltwin.capi.hashes import sha256
from pixeltwin.capi.normalize import NORMALIZERS, Normalised, explain, is_country, normalise

FINE: Final = 0
PROBLEM: Final = 1
USAGE: Final = 2
FIELDS: Final = ", ".join(NORMALIZERS)
LABELS: Final = 50  # columns; the longest step has 48


def hash_command(
    field: str | None, value: str | None, *, jsonl: bool, default_country: str | None, stdin: TextIO, stdout: TextIO
) -> int:
    """Print one value's way, or with `jsonl` answer each line of stdin. The exit code."""
    if default_country and not is_country(default_country):
        return _misused(f"{default_country!r} is no country's two-letter code, such as DE")
    if jsonl and field is None:
        return answer_lines(getattr(stdin, "buffer", stdin), stdout, default_country)
    if jsonl or field is None or value is None:
        return _misused("give a FIELD and a VALUE, or --jsonl and lines on standard input")
    if field not in NORMALIZERS:
        return _misused(f"{field!r} is no field that Meta hashes; they are {FIELDS}")
    return print_way(field, value, default_country, Console(file=stdout, highlight=False, soft_wrap=True))


def answer_lines(lines: Iterable[bytes | str], stdout: TextIO, default_country: str | None) -> int:
    """One JSON object a line. A line that cannot be answered says so, and the rest goes on."""
    code = FINE
    for line in lines:
        if not line.strip():
            continue
        answer = answer_line(line, default_country)
        code = PROBLEM if "error" in answer else code
        print(orjson.dumps(answer).decode(), file=stdout, flush=True)
    return code


def answer_line(line: bytes | str, default_country: str | None) -> dict[str, Any]:
    """The answer to a line such as {"field": "em", "value": "…"}. No error repeats the value."""
    try:
        field, value, country = _asked(orjson.loads(line))
    except ValueError as error:
        reason = "is no JSON" if isinstance(error, orjson.JSONDecodeError) else str(error)
        return {"error": reason}
    return as_json(normalise(field, value, country or default_country))


def as_json(result: Normalised) -> dict[str, Any]:
    return {
        "normalised": result.canonical,
        "sha256": result.sha256,
        "also": result.also,
        "also_sha256": [sha256(further) for further in result.also],
        "kept": result.kept,
        "warnings": result.warnings,
    }


def _asked(line: object) -> tuple[str, str, str | None]:
    if not isinstance(line, dict):
        raise ValueError('has to be an object such as {"field": "em", "value": "…"}')
    field, value, country = line.get("field"), line.get("value"), line.get("default_country")
    if not isinstance(field, str) or field not in NORMALIZERS:
        raise ValueError(f"field: has to be one of {FIELDS}")
    if not isinstance(value, str | int | None) or isinstance(value, bool):
        raise ValueError("value: has to be a text")
    if country is not None and not (isinstance(country, str) and is_country(country)):
        raise ValueError("default_country: has to be a country's two-letter code, such as DE")
    return field, "" if value is None else str(value), country


def print_way(field: str, value: str, default_country: str | None, console: Console) -> int:
    """Print every step, then what is sent. PROBLEM where that is nothing."""
    result = normalise(field, value, default_country)
    console.print(Text.assemble((field, "bold"), " ", quoted(value)), end="\n\n")
    for line in _steps(field, value, default_country):
        console.print(line)
    console.print()
    for line in _sent(result, NORMALIZERS[field].further):
        console.print(line)
    return FINE if result.canonical or result.also else PROBLEM


def _steps(field: str, value: str, default_country: str | None) -> Iterator[Text]:
    before = value
    for step, text in explain(field, value, default_country):
        shown = quoted(text) if text else "refused"
        yield Text.assemble(f"  {step:<{LABELS}}", (shown, "dim" if text == before else ""))
        before = text


def _sent(result: Normalised, further: str) -> Iterator[Text]:
    if result.canonical and result.sha256:
        yield from _pair("canonical", result.canonical, result.sha256)
    else:
        yield Text("  refused: no canonical value", style="yellow")
    for text in result.also:
        yield from _pair("also", text, sha256(text), f"  {further}")
    for warning in result.warnings:
        yield Text(f"  warning    {warning}", style="yellow")


def _pair(label: str, text: str, digest: str, why: str = "") -> tuple[Text, Text]:
    shown = Text.assemble(f"  {label:<11}", (quoted(text), "bold"), (why, "dim"))
    return shown, Text.assemble(f"  {'sha256':<11}", (digest, "green"))


def quoted(text: str) -> str:
    """The text in quotation marks; what could steer a terminal, or not be seen, as an escape."""
    return '"' + "".join(char if _is_plain(char) else _escaped(char) for char in text) + '"'


def _is_plain(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] not in "CZ"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _misused(reason: str) -> int:
    Console(file=sys.stderr, highlight=False, soft_wrap=True).print(Text(f"hash: {reason}", style="red"))
    return USAGE
