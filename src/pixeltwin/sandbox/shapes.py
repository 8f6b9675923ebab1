"""What single values have to look like. A shape takes a value and says what is wrong with it, or `None`.

No shape repeats the value: what is refused may be somebody's plain e-mail address, and answers get logged.
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from typing import Final

type Shape = Callable[[object], str | None]

# ParamBuilder's suffix: a language token of old releases, or any eight characters (PROTOCOL 2.3).
APPENDIX: Final = r"(?:\.(?:AQ|Ag|Aw|BA|BQ|Bg|[^\s.]{8}))"
HASH: Final = re.compile(rf"(?:[0-9a-f]{{64}}|[0-9a-f]{{32}}){APPENDIX}?", re.IGNORECASE)
NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
CURRENCY: Final = re.compile(r"[A-Za-z]{3}")
# PROTOCOL 2.1: fb.<subdomain index>.<creation time in ms>.<payload>[.<appendix>]
FBP: Final = re.compile(rf"fb\.\d+\.\d{{13}}\.\d+{APPENDIX}?", re.ASCII)
FBC: Final = re.compile(rf"fb\.\d+\.\d{{13}}\.\S+{APPENDIX}?", re.ASCII)


def text(value: object) -> str | None:
    """A string with something in it."""
    return None if isinstance(value, str) and value else "must be a non-empty string"


def string(value: object) -> str | None:
    """Any string, the empty one too."""
    return None if isinstance(value, str) else "must be a string"


def integer(value: object) -> str | None:
    """A whole JSON number; `true` is none."""
    return None if isinstance(value, int) and not isinstance(value, bool) else "must be an integer"


def boolean(value: object) -> str | None:
    """`true` or `false`, not their names."""
    return None if isinstance(value, bool) else "must be true or false"


def number(value: object) -> str | None:
    """A JSON number or a numeric string (PROTOCOL 1.6)."""
    if isinstance(value, str):
        return None if NUMBER.fullmatch(value) else "must be a number"
    return None if isinstance(value, int | float) and not isinstance(value, bool) else "must be a number"


def mapping(value: object) -> str | None:
    """A JSON object."""
    return None if isinstance(value, dict) else "must be an object"


def scalar(value: object) -> str | None:
    """One id: a string or a whole number."""
    return None if text(value) is None or integer(value) is None else "must be one string or number"


def currency(value: object) -> str | None:
    """Three letters, in either case."""
    fits = isinstance(value, str) and CURRENCY.fullmatch(value)
    return None if fits else "must be a three-letter ISO 4217 code"


def web_address(value: object) -> str | None:
    """A URL with a scheme browsers use; Meta checks the prefix (PROTOCOL 1.4)."""
    fits = isinstance(value, str) and value.lower().startswith(("http://", "https://"))
    return None if fits else "must begin with http:// or https://"


def hashed(value: object) -> str | None:
    """SHA-256 in hex, or an MD5 of old, either with ParamBuilder's appendix (PROTOCOL 1.5.1, 2.3)."""
    return None if isinstance(value, str) and HASH.fullmatch(value) else "must be a SHA-256 hash in hex"


def one_of(*choices: object) -> Shape:
    """Exactly one of the choices; `1` is not `true`."""
    names = ", ".join(map(str, choices))

    def shape(value: object) -> str | None:
        fits = any(type(value) is type(choice) and value == choice for choice in choices)
        return None if fits else f"must be one of {names}"

    return shape


def list_of(item: Shape) -> Shape:
    """A list of which every item has the shape."""

    def shape(value: object) -> str | None:
        return _first_wrong(value, item) if isinstance(value, list) else "must be a list"

    return shape


def one_or_more(item: Shape) -> Shape:
    """The shape itself, or a list of it."""

    def shape(value: object) -> str | None:
        return _first_wrong(value, item) if isinstance(value, list) else item(value)

    return shape


def _first_wrong(values: Collection[object], item: Shape) -> str | None:
    return next((wrong for value in values if (wrong := item(value))), None)


def public_address(value: object) -> str | None:
    """An address of the public internet, with or without ParamBuilder's appendix."""
    address = parse_address(str(value))
    if address is None:
        return "is not an IP address"
    return None if address.is_global else "is not an address of the public internet"


def parse_address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address a value holds, its appendix taken off."""
    for candidate in (value, re.sub(APPENDIX + r"\Z", "", value)):
        try:
            return ipaddress.ip_address(candidate)
        except ValueError:
            continue
    return None


def browser_id(value: object) -> str | None:
    """The form of `fbp`."""
    return None if FBP.fullmatch(str(value)) else "does not look like fb.1.<time in ms>.<random>"


def click_id(value: object) -> str | None:
    """The form of `fbc`."""
    return None if FBC.fullmatch(str(value)) else "does not look like fb.1.<time in ms>.<fbclid>"
