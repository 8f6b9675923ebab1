"""From what went wrong to what a person reads: found this, write that.

No secret gets out here. Values that came out of a `${…}` are shown as `${…}`, values of secret options are not
shown, and in the quoted line of the file whatever looks like a secret is covered.
"""

import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, SecretStr
from pydantic_core import ErrorDetails

from pixeltwin import kinds
from pixeltwin.capi.normalize import META_NAMES
from pixeltwin.config.document import Document, Fault, Loc, Spot
from pixeltwin.config.interpolation import is_interpolated
from pixeltwin.errors import Problem
from pixeltwin.units import KEY

_WIDTH: Final = 120  # columns of a quoted line; a longer one would bury the message
_LONGEST: Final = 2000  # characters of any text; also keeps the patterns below quick
_NAMES: Final = 20  # of what is known, as many as a reader looks through
_SHORT: Final = 8  # shorter values are no secrets, and would be found everywhere

_KEYED: Final = re.compile(
    r"""(?P<key>(?<![\w-])[\w-]{0,40}(?:token|secret|passw|key)[\w-]{0,40}["']?\s*:\s+)
        (?: (?P<kept>["']?\$\{(?:file:[^}]*|\w+)\}["']?(?=[\s,}\]]|$))
          | (?P<value>"(?:\\.|[^"\\])*" | '[^']*' | .+?(?=,\s+["']?\w+["']?\s*:|\s+\}|$)) )""",
    re.IGNORECASE | re.VERBOSE,
)
# Meta's tokens and base64 mix capitals, small letters and digits; the other common form of a key is hex.
_RUN: Final = re.compile(
    r"\$\{\w+ | (?=[\w-]*[0-9])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{20,} | [0-9a-fA-F]{32,}", re.VERBOSE
)


def did_you_mean(word: str, known: list[str], nothing: str = "remove it") -> str:
    """The remedy for a name that is not among the known ones."""
    if not known:
        return nothing
    if (meant := META_NAMES.get(word.lower().replace("-", "_"))) in known:
        return f"did you mean '{meant}'?"
    if close := get_close_matches(word, known, 1):
        return f"did you mean '{close[0]}'?"
    return f"known here: {', '.join(known[:_NAMES])}{', …' if len(known) > _NAMES else ''}"


def element_keys(document: Document) -> frozenset[Spot]:
    """Where a key is called `key` and holds no secret: a source's names an element, a row's a path."""
    spots = [(spot, _names_no_secret(loc)) for loc, spot in document.keys.items() if loc[-1] == "key"]
    return frozenset(spot for spot, _ in spots) - {spot for spot, is_harmless in spots if not is_harmless}


class Explainer:
    """Explains pydantic's errors about a document."""

    def __init__(self, document: Document, places: list[tuple[Loc, type]]) -> None:
        self._document = document
        self._models = {loc: model for loc, model in places if issubclass(model, BaseModel)}
        self._secrets = {loc for loc, kind in places if issubclass(kind, SecretStr)}
        self._unknown_keys: set[Loc] = set()

    def literal_secrets(self) -> list[Fault]:
        """The secrets that stand in the file itself."""
        raw = self._document.raw
        written = [loc for loc in self._secrets if loc in raw and self._document.at(loc) not in {None, ""}]
        return [self._literal(loc) for loc in written if not self._is_filled(loc)]

    def covers(self) -> dict[str, str]:
        """What must not be shown, longest first, and what is shown instead."""
        filled = {value: _without_default(self._document.raw[loc]) for loc, value in self._document.filled.items()}
        hidden = {self._document.raw.get(loc, "") for loc in self._secrets | self._unknown_keys}
        covers = {value: "*" * len(value) for value in hidden if not is_interpolated(value)} | filled
        return {value: covers[value] for value in sorted(covers, key=len, reverse=True) if len(value) >= _SHORT}

    def explain(self, error: ErrorDetails) -> Fault:
        """One error as a fault."""
        loc = self._without_kinds((*error["loc"], *_context(error, "at")))
        loc, is_key = self._named(loc[:-1]) if loc[-1:] == (KEY,) else (self._document.resolve(loc), False)
        if error["type"] == "missing":
            return self._missing(loc, str(error["loc"][-1]))
        if error["type"] == "extra_forbidden":
            return self._unknown(loc)
        if is_key:
            return Fault(loc, self._document.key_spot(loc), repr(loc[-1]), error["msg"])
        if error["type"] == "union_tag_invalid":
            loc = (*loc, "kind")
        found = FOUND.get(error["type"]) or self._shown(loc)
        spot = self._document.key_spot(loc) if self._is_secret(loc) else self._document.value_spot(loc)
        return Fault(loc, spot, found, REMEDIES.get(error["type"], _as_it_says)(error))

    def _named(self, loc: Loc) -> tuple[Loc, bool]:
        """Where a key is, and whether it is one in the file: some may be written as a list's items."""
        place = self._document.resolve(loc)
        if place[-1:] == loc[-1:]:
            return place, bool(place)
        given = self._document.at(place)
        is_item = isinstance(given, list) and loc[-1] in given
        return ((*place, given.index(loc[-1])) if is_item else place), False

    def _without_kinds(self, loc: Loc) -> Loc:
        """Pydantic puts a model's kind before its options; an element has a key of that name, so that it misleads."""
        path: Loc = ()
        was_kind = False
        for step in loc:
            was_kind = not was_kind and step in _kinds_of(self._models.get(path))
            path = path if was_kind else (*path, step)
        return path

    def _is_filled(self, loc: Loc) -> bool:
        return loc in self._document.filled or is_interpolated(self._document.raw[loc])

    def _literal(self, loc: Loc) -> Fault:
        remedy = 'write "${NAME}" or "${file:/path}", and keep the secret out of the file'
        return Fault(loc, self._document.key_spot(loc), "a secret in plain text", remedy)

    def _missing(self, loc: Loc, name: str) -> Fault:
        hint = _kind_hint(loc) if name == "kind" else HINTS.get(name, f"add `{name}: …`")
        return Fault((*loc, name), self._document.value_spot(loc), "missing", hint)

    def _unknown(self, loc: Loc) -> Fault:
        model = self._models.get(loc[:-1])
        known = [option.alias or name for name, option in model.model_fields.items()] if model else []
        self._unknown_keys.add(loc)
        return Fault(loc, self._document.key_spot(loc), UNKNOWN, did_you_mean(str(loc[-1]), known))

    def _is_secret(self, loc: Loc) -> bool:
        return any(loc[:length] in self._secrets for length in range(len(loc) + 1))

    def _shown(self, loc: Loc) -> str:
        if self._is_secret(loc):
            return "a value that is not shown here" if self._document.raw.get(loc) else "no value"
        if loc in self._document.raw:
            return repr(self._document.raw[loc][:60]) if self._document.raw[loc] else "no value"
        given = self._document.at(loc)
        return "nothing in it" if given == {} else "a list" if isinstance(given, list) else PAIRS


def dress(
    fault: Fault, file: str, lines: list[str], covers: Mapping[str, str], harmless: Collection[Spot] = ()
) -> Problem:
    """The fault as the reader sees it. `covers` says what is shown in place of what.

    `harmless` are keys that look as if they held a secret and do not.
    """

    def clean(text: str) -> str:
        for value, shown in covers.items():
            text = text.replace(value, shown)
        text = _RUN.sub(_cover_run, text[:_LONGEST])
        return text if text.isprintable() else repr(text)  # no file may steer the reader's terminal

    line, column = fault.spot
    source = clean(_quoted(lines, line, column, fault.found == UNKNOWN, harmless))
    return Problem(file, line, column, clean(key_text(fault.loc)), clean(fault.found), clean(fault.remedy), source)


def key_text(loc: Loc) -> str:
    """The path of an option as people write it: `pixels[0].hosts`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).lstrip(".") or "the file"


def _quoted(lines: list[str], line: int, column: int, is_unknown: bool, harmless: Collection[Spot]) -> str:
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    if is_unknown:  # a mistyped `access_token` has a token behind it
        text = text[: column - 1] + re.sub(r"(?<=:)\s+(?!\$\{\w+\}\s*$).*", " …", text[column - 1 :])
    text = _covered(text[:_LONGEST], {place - 1 for at, place in harmless if at == line})
    if not text.isprintable() or column > _WIDTH:
        return ""
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _covered(text: str, harmless: Collection[int]) -> str:
    """The line with a cover over what its keys say is a secret; not of those that begin at the `harmless` places."""

    def cover(match: re.Match[str]) -> str:
        if match.start() in harmless or match.start() - 1 in harmless:  # behind its quote
            return match["key"] + _KEYED.sub(_cover_value, match[0].removeprefix(match["key"]))
        return _cover_value(match)

    return _KEYED.sub(cover, text)


def _names_no_secret(loc: Loc) -> bool:
    return (loc[:1] == ("sources",) and len(loc) == 3) or (loc[:1] == ("rules",) and loc[-3:-2] == ("rows",))


def _without_default(text: str) -> str:
    return re.sub(r":-[^}]*", "", text)


def _cover_value(match: re.Match[str]) -> str:
    return match[0] if match["kept"] else match["key"] + "*" * len(match["value"])


def _cover_run(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith("$") else "*" * len(match[0])


def _as_it_says(error: ErrorDetails) -> str:
    return error["msg"].removeprefix("Value error, ").replace("Input should", "it should")


def _kinds_of(model: type[BaseModel] | None) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind") if model else None
    return get_args(kind.annotation) if kind else ()


def _kind_hint(loc: Loc) -> str:
    folder = FOLDERS.get(loc[0])
    names = [module.__name__.rpartition(".")[2] for module in kinds.modules(folder)] if folder else ["…"]
    return f"say which kind: {' or '.join(f'`kind: {name}`' for name in names)}"


def _one_of_the_known(error: ErrorDetails, otherwise: str) -> str:
    known = _context(error, "known")
    close = [name for word in _context(error, "written") for name in get_close_matches(str(word), known, 1)]
    return f"did you mean '{close[0]}'?" if close else f"{otherwise}: {', '.join(known)}"


def _one_of_them(error: ErrorDetails) -> str:
    several = "; `first_of` takes several" if "first_of" in _context(error, "known") else ""
    return f"write one of {', '.join(_context(error, 'found'))}{several}"


def _context(error: ErrorDetails, name: str) -> Any:
    return error.get("ctx", {}).get(name, "")


HINTS: Final = {
    "pixels": 'add a pixel: `pixels: [{ id: "…", access_token: "${NAME}" }]`',
    "access_token": 'add `access_token: "${NAME}"`, with the token in that variable',
    "id": 'add `id: "…"`, the pixel\'s digits',
}
FOLDERS: Final[dict[str | int, str]] = {
    "outbox": "pixeltwin.outboxes",
    "sources": "pixeltwin.sources",
    "identity": "pixeltwin.memories",
}
UNKNOWN: Final = "unknown key"
FOUND: Final = {
    "unknown_element": "nothing that is known here",
    "unknown_transform": "nothing that is known here",
    "unknown_signal": "nothing that is known here",
    "unknown_filter": "nothing that is known here",
    "two_kinds": "more than one thing",
    "union_tag_not_found": "no kind",
}
PAIRS: Final = "`name: value` pairs"
WRITE_PAIRS: Final = f"write {PAIRS}"

REMEDIES: Final[dict[str, Callable[[ErrorDetails], str]]] = {
    "literal_error": lambda error: f"use {_context(error, 'expected')}",
    "union_tag_invalid": lambda error: f"its kind is one of {_context(error, 'expected_tags')}",
    "union_tag_not_found": lambda error: _kind_hint(error["loc"]),
    "unknown_element": lambda error: _one_of_the_known(error, "say where it is read from"),
    "unknown_transform": lambda error: _one_of_the_known(error, "use one of"),
    "unknown_signal": lambda error: _one_of_the_known(error, "say where the visitor's answer is read"),
    "unknown_filter": lambda error: _one_of_the_known(error, "use one of"),
    "needs_options": lambda error: f"write what it needs: {{ {_context(error, 'word')}: … }}",
    "two_kinds": _one_of_them,
    "model_type": lambda error: WRITE_PAIRS,
    "model_attributes_type": lambda error: WRITE_PAIRS,
    "dict_type": lambda error: WRITE_PAIRS,
    "mapping_type": lambda error: WRITE_PAIRS,
    "tuple_type": lambda error: "write a list, such as [a, b]",
    "list_type": lambda error: "write a list, such as [a, b]",
    "string_type": lambda error: "write text, in quotes",
}
