"""A pixel hit: what the browser said happened (PROTOCOL 3.4 and 3.5).

`parse_hit` reads the three encodings the pixel uses: everything in the query of a GET (also noscript images),
an urlencoded form POST, and a multipart beacon. It never raises: what cannot be read is a `Skip`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import orjson

from pixeltwin.memo import memo_of_names
from pixeltwin.pixel import multipart
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"

MATCHING: Final = ("ud[", "udff[", "aud[", "audff[")
HASHED: Final = re.compile(r"[0-9a-fA-F]{32,64}(\.[\w-]{2,8})?", re.ASCII)

type Parameters = tuple[tuple[str, str], ...]
type Named = dict[str, str]
"""Parameters of which no name is there twice, in their order."""

NO_GROUP: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a hit may weigh: bytes of body, bytes of path and query, number of parameters."""

    body: int = 256 * 1024
    url: int = 40 * 1024  # in-app browsers send GETs of 32 KiB (PROTOCOL 3.3)
    params: int = 1000


# One is made for each hit. What is frozen takes Python four times as long to make, what has slots half as long again,
# and so does what has defaults: those make its fields slow to read, too.
@dataclass
class PixelHit:
    """A hit's parameters, decoded, in the order they came, blank values and repeats kept.

    `is_tidy`: every name in which a bracket opens ends where it closes. `is_hashed`: no matching data among the groups
    is anybody's in plain text. `repeating`: all parameters, if any name is there twice.
    `query` is what they were read from, empty where there was a body or something has been changed.
    """

    pixel_id: Final[str]
    event_name: Final[str]
    last: Final[Mapping[str, str]]  # by name
    groups: Final[Mapping[str, Mapping[str, str]]]
    is_tidy: Final[bool]
    is_hashed: Final[bool]
    repeating: Final[Parameters]
    query: Final[bytes] = field(compare=False)  # the same parameters can be written in many ways

    @classmethod
    def of(cls, parameters: Named | Parameters, query: bytes = b"") -> "PixelHit":
        """The hit of these parameters. A mapping of them becomes its own."""
        last = parameters if isinstance(parameters, dict) else dict(parameters)
        repeating = parameters if isinstance(parameters, tuple) and len(parameters) > len(last) else ()
        places, matching, is_tidy = LAYOUTS[(*last,)]
        groups = {prefix: {key: last[name] for key, name in named} for prefix, named in places}
        are_hashed = all(map(is_hashed, [last[name] for name in matching]))
        return cls(last.get("id", ""), last.get("ev", ""), last, groups, is_tidy, are_hashed, repeating, query)

    @property
    def parameters(self) -> Parameters:
        return self.repeating or tuple(self.last.items())

    def get(self, name: str) -> str:
        """The parameter's value, of repeated ones the last (PROTOCOL 3.4); empty when missing or blank."""
        return self.last.get(name, "")

    def has(self, name: str) -> bool:
        return name in self.last

    def group(self, prefix: str) -> Mapping[str, str]:
        """The values of `prefix[key]` by key: `group("cd")` for custom data."""
        return self.groups.get(prefix, NO_GROUP)

    @property
    def is_shown(self) -> bool:
        """Whether a person may see all of it, by name: no matching data but hashes, no name twice; so nearly all."""
        return self.is_tidy and not self.repeating and self.is_hashed

    def shown(self) -> Parameters:
        """The parameters as a person may see them: matching data that is no hash stays out of sight."""
        if self.is_shown:
            return self.parameters
        shown = [(pair[0], _hide(pair[1])) if pair[0].startswith(MATCHING) else pair for pair in self.parameters]
        return tuple(shown)

    @property
    def event_id(self) -> str:
        """The page's event id, the last that is not blank (PROTOCOL 3.7: a blank one counts as missing)."""
        if last := self.get("eid"):
            return last
        return next((value for name, value in reversed(self.parameters) if name == "eid" and value), "")


class Layout(NamedTuple):
    """What names of parameters say: which make up each group, by their keys in it, and which are matching data."""

    places: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    matching: tuple[str, ...]
    is_tidy: bool


def _layout(names: tuple[str, ...]) -> Layout:
    bracketed = [name for name in names if "[" in name]
    tidy = [name for name in bracketed if name[-1] == "]"]
    groups: dict[str, list[tuple[str, str]]] = {}
    for name in tidy:
        prefix, _, key = name[:-1].partition("[")  # `cd` and `value` of `cd[value]`
        groups.setdefault(prefix, []).append((key, name))
    places = tuple((prefix, tuple(named)) for prefix, named in groups.items())
    return Layout(places, tuple(name for name in tidy if name.startswith(MATCHING)), tidy == bracketed)


LAYOUTS: Final = memo_of_names(_layout)


def parse_hit(request: HitRequest, limits: Limits) -> PixelHit | Skip:
    """The hit that the request carries, or why it carries none."""
    if len(request.body) > limits.body:
        return Skip(Reason.BODY_TOO_LARGE)
    if len(request.path) + len(request.query) > limits.url:
        return Skip(Reason.URL_TOO_LONG)
    if isinstance(query := _form(request.query, limits), Skip):
        return query
    if isinstance(body := _body(request, limits), Skip):
        return body
    return checked(PixelHit.of(_together(query, body), b"" if body else request.query))


def _together(query: Named | Parameters, body: Named | Parameters) -> Named | Parameters:
    if not (query and body):  # nearly all
        return query or body
    return PixelHit.of(query).parameters + PixelHit.of(body).parameters


def is_hashed(value: str) -> bool:
    """Whether a value of matching data is nobody's in plain text."""
    return not value or HASHED.fullmatch(value) is not None


def _hide(value: str) -> str:
    return value if is_hashed(value) else "(not hashed, not shown)"


def body_type(request: HitRequest) -> str:
    """The media type of a request that has a body, lower-cased; empty when there is no body."""
    return request.header("content-type").partition(";")[0].strip().lower() if request.body else ""


def _body(request: HitRequest, limits: Limits) -> Named | Parameters | Skip:
    if not request.body:
        return ()
    if request.header("content-encoding"):  # the pixel never compresses; a small bomb would become 300 MB
        return Skip(Reason.ENCODED_BODY)
    read = BODY_READERS.get(body_type(request))
    return read(request, limits) if read else Skip(Reason.UNKNOWN_BODY_TYPE)


def _form(raw: bytes, limits: Limits) -> Named | Parameters | Skip:
    if (pairs := raw.count(b"&") + 1) > limits.params:
        return Skip(Reason.TOO_MANY_PARAMETERS)
    return _pairs_of(raw.decode("utf-8", "replace"), pairs)


def form_of(text: str) -> Named | Parameters:
    """What `parse_qsl` reads, blank values kept; of what browsers write in a small part of its time."""
    return _pairs_of(text, text.count("&") + 1)


def _pairs_of(text: str, pairs: int) -> Named | Parameters:
    named = _read_as_json(text, pairs)
    return tuple(parse_qsl(text, keep_blank_values=True, errors="replace")) if named is None else named


def _read_as_json(text: str, pairs: int) -> Named | None:
    """A form as JSON, which has other marks for the same: `&`, `=` and `%3A` are `","`, `":"` and `\\u003A` there.

    None for what no browser writes: marks of JSON, a code or a pair that is none, a name or a `=` once more.
    """
    if not text.isascii() or '"' in text or "\\" in text:
        return None
    # in bytes: in text it takes twice as long
    marked = text.encode().replace(b"=", b'":"').replace(b"&", b'","').replace(b"+", b" ").replace(b"%", rb"\u00")
    try:
        found: Named = orjson.loads(b'{"' + marked + b'"}')
    except orjson.JSONDecodeError:
        return None
    if not "".join([*found, *found.values()]).isascii():  # whatever is beyond is a byte of UTF-8
        found = {_of_bytes(name): _of_bytes(value) for name, value in found.items()}
    return found if len(found) == pairs else None


def _of_bytes(characters: str) -> str:
    """The text whose bytes in UTF-8 are characters here."""
    return characters.encode("latin-1").decode("utf-8", "replace")


def _parts(request: HitRequest, limits: Limits) -> Parameters | Skip:
    try:
        boundary = multipart.boundary_of(request.header("content-type"))
        if request.body.count(b"--" + boundary) > limits.params + 1:
            return Skip(Reason.TOO_MANY_PARAMETERS)
        return tuple((field.name, field.value) for field in multipart.fields(request.body, boundary))
    except multipart.BrokenMultipartError:
        return Skip(Reason.BROKEN_MULTIPART)


BODY_READERS: Final[Mapping[str, Callable[[HitRequest, Limits], Named | Parameters | Skip]]] = {
    FORM: lambda request, limits: _form(request.body, limits),
    MULTIPART: _parts,
}


def checked(hit: PixelHit) -> PixelHit | Skip:
    pixel_id = hit.pixel_id
    if not pixel_id:
        return Skip(Reason.NO_PIXEL_ID)
    if not (pixel_id.isascii() and pixel_id.isdigit()):
        return Skip(Reason.BAD_PIXEL_ID)
    if not hit.event_name:
        return Skip(Reason.NO_EVENT_NAME)
    return hit
