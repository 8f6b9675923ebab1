"""What expressions can ask for: the fields that each variable has, and of what type they are as far as that is fixed.

With them a mistyped field, or a comparison of a text with a number, is a mistake when the file is read: in the night's
traffic neither would ever hold, and nobody would be told.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, NamedTuple

from pixeltwin.units import wrong

TEXT: Final = "a text"
NUMBER: Final = "a number"
BOOLEAN: Final = "true or false"
LIST: Final = "a list"


@dataclass(frozen=True, slots=True)
class Fields:
    """An object. One that `is_open` may have fields besides those `named`, of the type of `others`."""

    named: "Mapping[str, Shape]" = field(default_factory=dict)
    others: "Shape" = None
    is_open: bool = False


type Shape = str | Fields | None
"""A type, or an object; None for what cannot be told before there is a hit."""
type Shapes = Mapping[str, Shape]

TEXTS: Final = Fields(others=TEXT, is_open=True)
CUSTOM_DATA: Final = Fields(
    {
        **dict.fromkeys(("value", "num_items", "predicted_ltv", "net_revenue"), NUMBER),
        "currency": TEXT,
        **dict.fromkeys(("content_ids", "contents"), LIST),
    },
    is_open=True,
)
USER_DATA: Final = Fields(
    {
        **dict.fromkeys(("em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country", "external_id"), LIST),
        **dict.fromkeys(("client_ip_address", "client_user_agent", "fbc", "fbp", "partner_name"), TEXT),
        **dict.fromkeys(("f5first", "f5last", "fi", "dobd", "dobm", "doby"), TEXT),
        **dict.fromkeys(("subscription_id", "fb_login_id", "lead_id", "anon_id", "madid", "page_id"), None),
        **dict.fromkeys(("page_scoped_user_id", "ctwa_clid", "ig_account_id", "ig_sid", "partner_id"), None),
    }
)
EVENT: Final = Fields(
    {
        **dict.fromkeys(("event_name", "event_id", "action_source", "event_source_url", "referrer_url"), TEXT),
        **dict.fromkeys(("messaging_channel", "advanced_measurement_table"), TEXT),
        **dict.fromkeys(("event_time", "data_processing_options_country", "data_processing_options_state"), NUMBER),
        **dict.fromkeys(("original_event_data", "attribution_data", "app_data"), None),
        "custom_data": CUSTOM_DATA,
        "data_processing_options": LIST,
        "opt_out": BOOLEAN,
        "user_data": USER_DATA,
    }
)
SHAPES: Final[Shapes] = {
    "consent": Fields({"answer": TEXT, "granted": BOOLEAN, "denied": BOOLEAN, "policy": TEXT}),
    "el": TEXTS,
    "event": EVENT,
    "geo": Fields({"country": TEXT, "region": TEXT}),
    "hit": TEXTS,
    "http": Fields(
        {
            **dict.fromkeys(("method", "host", "path", "client_ip", "user_agent"), TEXT),
            **dict.fromkeys(("cookies", "headers"), TEXTS),
        }
    ),
    "page": Fields({"url": TEXT, "host": TEXT, "path": TEXT, "query": TEXTS}),
    "pixel": Fields({"id": TEXT, "name": TEXT}),
}

# `.name` that is no function's, or `["name"]`, of which no text can be mistaken for code
STEP: Final = r"""\s*(?:\.\s*([A-Za-z_]\w*+)(?!\s*\()|\[\s*(?:"([\w.\[\]-]+)"|'([\w.\[\]-]+)')\s*\])"""
_BARE_STEP: Final = re.sub(r"\((?!\?)", "(?:", STEP)
_TOKEN: Final = re.compile(
    rf"""
    (?P<bytes>[bB][rR]?(?=["'])) | (?P<raw>[rR](?:"[^"]*"|'[^']*'))
    | (?P<text>\"\"\"(?:\\.|[^\\])*?\"\"\" | '''(?:\\.|[^\\])*?''' | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*')
    | (?P<comment>//[^\n]*)
    | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    | (?P<member>\.\s*\??\s*[A-Za-z_]\w*)
    | (?P<truth>(?:true|false)\b) | (?P<compare>[<>=!]=|[<>]|in\b)
    | (?P<path>[A-Za-z_]\w*(?:{_BARE_STEP})*)
    | (?P<other>\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_LITERALS: Final = {"raw": TEXT, "text": TEXT, "number": NUMBER, "truth": BOOLEAN}
_GOES_ON: Final = frozenset({"(", "[", "."})  # what comes before is no operand yet


class _Token(NamedTuple):
    kind: str
    text: str
    shape: Shape


def check_fields(source: str, shapes: Shapes) -> None:
    """Raises a pydantic error for a field that is never there, and for a comparison of what is never alike."""
    tokens = list(_tokens(source, shapes))
    for index, token in enumerate(tokens[:-1]):
        if token.kind == "compare" and token.text != "in" and index and _is_told(tokens, index):
            _check_alike(tokens[index - 1], tokens[index + 1])


def shape_of(source: str, shapes: Shapes) -> Shape:
    """Of what type an expression is that only names something; None for all others."""
    tokens = list(_tokens(source, shapes))
    return tokens[0].shape if len(tokens) == 1 else None


def _check_alike(left: _Token, right: _Token) -> None:
    types = [token.shape for token in (left, right) if isinstance(token.shape, str)]
    if len(types) == 2 and types[0] != types[1]:
        named, other = (left, right) if left.kind == "path" else (right, left)
        name = named.text if named.kind == "path" else "one"
        found = f"{name} is {named.shape}, what it is compared with {other.shape}"
        raise wrong(f"compare what is alike, or convert it by double(…) or string(…): {found}")


def _is_told(tokens: Sequence[_Token], index: int) -> bool:
    """Whether the neighbours of the comparison are what it compares: not so in `a < b == true`, `a == b.size()`."""
    before = tokens[index - 2].kind if index > 1 else ""
    behind = tokens[index + 2] if index + 2 < len(tokens) else None
    goes_on = behind is not None and (behind.kind == "member" or behind.text in _GOES_ON)
    return before != "compare" and not goes_on


def _tokens(source: str, shapes: Shapes) -> Iterator[_Token]:
    for found in _TOKEN.finditer(source):
        kind = found.lastgroup or ""
        if kind == "path":
            yield _Token(kind, found[0], _at(found[0], shapes))
        elif kind != "comment":
            yield _Token(kind, found[0], _LITERALS.get(kind))


def _at(path: str, shapes: Shapes) -> Shape:
    """What is at `event.custom_data.value`. Raises a pydantic error for a field that is never there."""
    root = re.match(r"\w+", path)
    way = root[0] if root else ""
    shape = shapes.get(way)
    for steps in re.findall(STEP, path):
        name = next(filter(None, steps))
        if not isinstance(shape, Fields):
            return None
        if name not in shape.named and not shape.is_open:
            raise wrong(_remedy(way, name, shape))
        way, shape = f"{way}.{name}", shape.named.get(name, shape.others)
    return shape


def _remedy(way: str, name: str, shape: Fields) -> str:
    close = get_close_matches(name, shape.named, 1)
    hint = f"did you mean {way}.{close[0]}?" if close else f"write one of {', '.join(shape.named)}."
    return f"{hint} There is no {way}.{name}"
