"""The contract of a data element: a named value read from a hit. Kinds are the files of `elements/`.

Every kind finds a text in its own way; what comes after is the same for all of them, and lives here:

    find ─ pattern ─ transforms ─ seal, if it is a credential ─ default

Values are bounded and clean after each step (`fit`): they become keys of look-ups, many in one query, and one bad
text must not spoil the query for the others.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Protocol

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from pixeltwin import kinds
from pixeltwin.expressions import FaultError
from pixeltwin.kinds import KindSettings
from pixeltwin.mapping.transform import Text, transform_type
from pixeltwin.patterns import compiled
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

if TYPE_CHECKING:
    from pixeltwin.mapping.transform import TransformSettings as Transform
else:
    Transform = transform_type()

ELEMENTS: Final = "pixeltwin.mapping.elements"
MAX_VALUE: Final = 8 << 10  # characters (THREATS T10)
MAX_MATCHED: Final = 1 << 10  # characters that a pattern is run on
MAX_PATTERN: Final = 256
UNFIT: Final = "\0"  # PostgreSQL refuses it, and with it the whole query

type ClientMade = tuple[tuple[str | int, ...], str, bool]


def ignored(*_: str) -> None:
    """Nobody is told."""


class Element(Protocol):
    def read(self, request: HitRequest, hit: PixelHit, failed: Callable[[], None] = ignored) -> str | None:
        """The element's value in this hit, None where it has none. Never raises for what a request holds.

        `request.peer` is the visitor's address as far as it is believed (see `reader`). `failed` is called for an
        expression in it that fails.
        """

    @property
    def trusted(self) -> bool:
        """Whether the value is out of the client's hands: nobody can claim to be another customer with it."""


def reader(
    elements: Mapping[str, Element],
    request: HitRequest,
    hit: PixelHit,
    client_ip: str | None,
    failed: Callable[[str], None] = ignored,
) -> Callable[[str], str | None]:
    """Answers an element's value in this hit by name, each read once; None for a name that nobody gave.

    `client_ip` is the visitor's address as far as it is believed. `failed` is told in which element of the file
    (`elements.basket`) an expression fails.
    """
    known: dict[str, str | None] = {}

    def read(name: str) -> str | None:
        if name not in known:
            seen = request if request.peer == client_ip else request.of_peer(client_ip or "")
            known[name] = (
                elements[name].read(seen, hit, partial(failed, f"elements.{name}")) if name in elements else None
            )
        return known[name]

    return read


def fit(value: str | None) -> str | None:
    """The value if it can be used: not blank, not huge, and text that can be stored anywhere."""
    if not value or len(value) > MAX_VALUE or UNFIT in value:
        return None
    return value if value.isascii() or _is_unicode(value) else None


def _is_unicode(value: str) -> bool:
    try:
        return bool(value.encode())
    except UnicodeEncodeError:  # a lone surrogate
        return False


def check_pattern(pattern: str) -> str:
    """A pattern that can be run. Raises `ValueError`."""
    if compiled(pattern).groups > 1:
        raise ValueError("one group at most: it is the value; write the others as (?:…)")
    return pattern


def matched(pattern: str, value: str) -> str | None:
    """The group of a pattern that the whole value matches, or the value where it has no group."""
    if len(value) > MAX_MATCHED or not (found := compiled(pattern).fullmatch(value)):
        return None
    text: str | None = found[found.re.groups]
    return text


class ElementSettings(KindSettings):
    """What every element may have.

    `pattern` (RE2) has to match all that is found; its group, if it has one, is the value. `transforms` are done one
    after the other. `default` stands in where nothing is found, matches or is left. `trust: unsafe` lets it name
    customers though any client can make it up.
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # it may be a key

    TRUSTED: ClassVar[bool] = False  # whether the kind is out of the client's hands

    pattern: Annotated[str, Field(min_length=1, max_length=MAX_PATTERN), AfterValidator(check_pattern)] | None = None
    transforms: Annotated[tuple[Transform, ...], Field(max_length=20)] = ()
    default: Text | None = None
    trust: Literal["unsafe"] | None = None

    @property
    def trusted(self) -> bool:
        """Whether the value is out of the client's hands; `trust: unsafe` does not change that."""
        return self.TRUSTED

    def read(self, request: HitRequest, hit: PixelHit, failed: Callable[[], None] = ignored) -> str | None:
        """The element's value in this hit."""
        value = fit(self.found(request, hit, failed))
        if value is not None and self.pattern is not None:
            value = fit(matched(self.pattern, value))
        for transform in self.transforms:
            if value is not None:
                value = fit(transform.apply(value))
        return self.default if value is None else self.sealed(value)

    def sealed(self, value: str) -> str | None:
        """The value as it may be kept: itself, but for kinds whose values are credentials."""
        return value

    def found(self, request: HitRequest, hit: PixelHit, failed: Callable[[], None]) -> str | None:
        """What the kind finds; nothing where it fails, and then that is told."""
        try:
            return self.find(request, hit)
        except FaultError:
            failed()
            return None

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        """What the kind finds; a blank text is nothing. For what a request holds nothing is raised but `FaultError`."""
        raise NotImplementedError


def at_least_one[T](values: tuple[T, ...]) -> tuple[T, ...]:
    """Raises `ValueError` for none. (Pydantic's own check would also count members with a mistake as missing.)"""
    if not values:
        raise ValueError("name at least one")
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What an element that is written like this in the config file reads from a hit, and what from a bare one."""

    written: Mapping[str, Any]
    hit: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    gives: str
    else_gives: str | None = None


def client_made(written: Any, marked: bool = False) -> Iterator[ClientMade]:
    """The parts of an element in a config file that a client can make up: place, kind, and if marked as unsafe."""
    if not isinstance(written, Mapping):
        return
    marked = marked or written.get("trust") == "unsafe"
    kind = next((name for name in kinds.names(ELEMENTS) if name in written), None)
    if kind == "first_of" and isinstance(written[kind], list):
        for index, member in enumerate(written[kind]):
            for loc, made_by, is_marked in client_made(member, marked):
                yield (kind, index, *loc), made_by, is_marked
    elif kind and not _is_trusted(kind):
        yield (), kind, marked


def _is_trusted(kind: str) -> bool:
    return any(module.Settings.TRUSTED for module in kinds.modules(ELEMENTS) if module.__name__.endswith(f".{kind}"))


@cache
def element_type() -> Any:
    """A type for pydantic: any element, as people write it."""
    form = partial(kinds.named_form, folder=ELEMENTS, error="unknown_element")
    element: Any = Annotated[kinds.union(ELEMENTS), BeforeValidator(form)]
    for settings in kinds.settings(ELEMENTS):
        settings.model_rebuild(_types_namespace={"AnyElement": element})  # for elements made of elements
    return element
