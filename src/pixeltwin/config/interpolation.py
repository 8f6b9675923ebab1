"""`${NAME}`, `${NAME:-default}` and `${file:/path}` in the values of the config file: the only way in for secrets.

`$${` stands for a plain `${`. What is filled in is always text and is not looked at again.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MAX_SECRET_FILE: Final = 64 << 10  # bytes; a private key has 3 KiB, anything near this is the wrong file

_MARK: Final = re.compile(r"(\$?)\$\{([^}]*)(\}?)")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class UnresolvedError(Exception):
    """A `${…}` that cannot be filled in: what is the matter and what would work."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.found, self.remedy = found, remedy


def is_interpolated(text: str) -> bool:
    """Whether anything would be filled in."""
    return any(not mark[1] for mark in _MARK.finditer(text))


def interpolate(text: str, env: Mapping[str, str], base: Path) -> str:
    """The text with everything filled in; files are found from `base`. Raises `UnresolvedError`."""
    return _MARK.sub(lambda mark: _fill(mark, env, base), text)


def _fill(mark: re.Match[str], env: Mapping[str, str], base: Path) -> str:
    escaped, inner, closed = mark.groups()
    if escaped:
        return mark[0][1:]
    if closed and inner.startswith("file:"):
        return _content(base / inner.removeprefix("file:"))
    if not closed or not (variable := _VARIABLE.fullmatch(inner)):
        raise UnresolvedError("this ${…} cannot be read", "write ${NAME}, ${NAME:-default} or ${file:/path}")
    return _variable(variable[1], variable[2], env)


def _variable(name: str, default: str | None, env: Mapping[str, str]) -> str:
    value = env.get(name)
    if default is not None:
        return value or default  # as in a shell: `:-` also stands in for an empty variable
    if value is None:
        raise UnresolvedError(f"the variable {name} is not set", f"export {name}=…")
    return value


def _content(path: Path) -> str:
    try:
        if not path.is_file():
            raise UnresolvedError(f"there is no file {path}", "create it, or correct the path after `file:`")
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise UnresolvedError(f"{path} cannot be read: {reason}", "let pixeltwin's user read it") from None
    return _text(content, path)


def _text(content: bytes, path: Path) -> str:
    if len(content) > MAX_SECRET_FILE:
        raise UnresolvedError(f"{path} is bigger than 64 KiB", "name the file that holds the secret alone")
    try:
        return content.decode().rstrip("\r\n")  # editors end files with a newline, tokens do not
    except UnicodeDecodeError:
        raise UnresolvedError(f"{path} is not UTF-8 text", "name the file that holds the secret alone") from None
