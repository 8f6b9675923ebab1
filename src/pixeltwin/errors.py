"""Errors that a user is meant to read."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the config file: where it is, what was found there, what would work.

    `line` and `column` count from 1; 0 where a place cannot be named. `source` is the text of that line.
    """

    file: str
    line: int
    column: int
    key: str
    found: str
    remedy: str
    source: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        head = f"{place}: {self.key}: {self.found}; {self.remedy}"
        if not self.source:
            return head
        return f"{head}\n    {self.source}\n    {' ' * (self.column - 1)}^"


class ConfigError(ValueError):
    """The config file cannot be used. Its text has one `Problem` a paragraph."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class UnreachableError(OSError):
    """Neither a gateway nor what it keeps can be reached."""
