"""Finds what a set of filters looks for in a text, however often the text is percent-encoded."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote

from pixeltwin.memo import Memo
from pixeltwin.patterns import finder
from pixeltwin.privacy.filter import FilterSettings, Span, words

REMOVED: Final = "_removed_"  # Meta's own word (PROTOCOL 3.5)
ROUNDS: Final = 3  # of percent-encoding that are undone
NEVER: Final = r"[^\s\S]"  # matches nothing
PASSES: Final = 4  # what stood beside a mask may be found only without its neighbour
CODE: Final = re.compile(r"%(?:25)*[0-9A-Fa-f]{2}")
CODES: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


class Detector:
    """The filters at work. `removes`: what holds personal data has to go as a whole, instead of being masked."""

    def __init__(self, filters: Sequence[FilterSettings], *, removes: bool) -> None:
        self._filters = tuple(filters)
        self.hints = "|".join(it.HINT for it in filters if it.HINT)
        self._hinted = finder(self.hints or NEVER)
        self._unhinted = [it for it in filters if not it.HINT]
        self._removes = removes
        self.names = frozenset[str]().union(*(it.NAMES for it in filters))  # that tell what a text is
        self._tells = Memo[str, bool](lambda name: not self.names.isdisjoint(words(name)))

    def suspects(self, text: str, name: str = "") -> bool:
        """Whether anything may be found; cheap."""
        plain = unquote(text)
        if "%" in plain and self._filters:  # encoded twice, or not at all
            return True
        return self.suspects_plain(plain) or self.is_told_by((name,))

    def suspects_plain(self, text: str) -> bool:
        """Whether anything may be found in a text without percent codes, its name apart."""
        return self._hinted(text) or self.suspects_unhinted(text)

    def suspects_unhinted(self, text: str) -> bool:
        """The same for the filters that have no hint."""
        for it in self._unhinted:  # noqa: SIM110 `any` with a generator costs three times as much
            if it.suspects(text):
                return True
        return False

    def is_told_by(self, names: Iterable[str]) -> bool:
        """Whether a text of one of these names may be personal by its name, whatever it looks like."""
        for name in names:  # noqa: SIM110 the same
            if self._tells[name]:
                return True
        return False

    def clean(self, text: str, name: str = "") -> str | None:
        """The text, which has that name, without what is found in it; None where it has to go as a whole."""
        masked = self.masked(text, name)
        return None if self._removes and masked != text else masked

    def masked(self, text: str, name: str = "") -> str:
        """The text with `_removed_` in place of what is found in it."""
        return self._masked(text, words(name)) if self.suspects(text, name) else text

    def _masked(self, text: str, name: frozenset[str]) -> str:
        for _ in range(PASSES):
            if not (spans := self._spans(text, name)):
                break
            text = _without(text, spans)
        return text

    def _spans(self, text: str, name: frozenset[str]) -> list[Span]:
        filters = [(it, not it.NAMES.isdisjoint(name)) for it in self._filters]
        return [
            (places[behind], places[end])
            for plain, places in _layers(text)
            for it, named in filters
            if named or it.suspects(plain)
            for start, end in it.spans(plain, named=named)
            if (behind := _behind_code(plain, start)) < end
        ]


def _behind_code(text: str, start: int) -> int:
    """The start of a find; behind the percent code if it is within one: `%20a@b.example` has no name `20a`."""
    code = CODE.match(text, start - 1) if start else None
    return code.end() if code else start


def _without(text: str, spans: Iterable[Span]) -> str:
    pieces: list[str] = []
    at = 0
    for start, end in _united(spans):
        pieces += (text[at:start], REMOVED)
        at = end
    return "".join((*pieces, text[at:]))


def _united(spans: Iterable[Span]) -> list[Span]:
    """The spans in order; those that touch are one."""
    united: list[Span] = []
    for start, end in sorted(spans):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


def _layers(text: str) -> Iterator[tuple[str, Sequence[int]]]:
    """The text, and what it is with percent codes undone; and where each character, and the end, stands in the text."""
    places: Sequence[int] = range(len(text) + 1)
    yield text, places
    for _ in range(ROUNDS):
        if not CODES.search(text):
            return
        text, starts = _decoded(text)
        places = [places[start] for start in starts]
        yield text, places


def _decoded(text: str) -> tuple[str, list[int]]:
    """The text with its percent codes undone, and where each character, and the end, stood before."""
    characters: list[str] = []
    starts: list[int] = []
    at = 0
    for run in CODES.finditer(text):
        characters += text[at : run.start()]
        starts += range(at, run.start())
        at = run.start()
        for character in bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "surrogateescape"):
            characters.append(character)
            starts.append(at)
            at += 3 * len(character.encode("utf-8", "surrogateescape"))
    return "".join((*characters, text[at:])), [*starts, *range(at, len(text) + 1)]
