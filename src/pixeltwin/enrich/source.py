"""The contract of a source of customer data. Kinds are the files of `sources/`; `guarded.py` makes them Sources."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple, Protocol, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pixeltwin.capi.normalize import META_NAMES, NORMALIZERS, is_country
from pixeltwin.expressions import AT_ADMISSION, Expression, expression_type
from pixeltwin.kinds import FROZEN, KindSettings
from pixeltwin.units import KEY, Duration, wrong

type Row = Mapping[str, Any]  # one customer's plaintext as a source has it: lives for one await, is never kept
type Scalar = str | int | float | bool

IDS: Final = ("subscription_id", "fb_login_id", "lead_id")  # of Meta's keys, those that are not hashed (PROTOCOL 1.5)
SAME_NAMES: Final = {name: name for name in NORMALIZERS}
LISTS: Final = frozenset({"content_ids", "contents"})  # of custom_data
FACT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # what can stand behind `profile.` in an expression
LONGEST_NAME: Final = 64  # characters of a property; Meta's own have 20
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Profile(NamedTuple):
    """What a source knows of one customer.

    `user_data` has SHA-256 values by Meta's key, `ids` the texts of keys that are not hashed. `custom_data` may go into
    the event's own, `facts` are what rules ask about (`profile.orders_count`): short texts, numbers and booleans, none
    of them an address or a phone number.
    `left_out` names what a row has that could not be taken: `user_data.ph`, `custom_data.note`, `profile.segment`.
    """

    user_data: Mapping[str, tuple[str, ...]] = NOTHING
    custom_data: Mapping[str, Scalar] = NOTHING
    facts: Mapping[str, Scalar] = NOTHING
    left_out: tuple[str, ...] = ()
    ids: Mapping[str, str] = NOTHING

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known but that the customer exists."""
        return not (self.user_data or self.custom_data or self.facts or self.ids)

    def has_any(self, hashes: Collection[str]) -> bool:
        """Whether one of these is among its own."""
        return any(value in hashes for values in self.user_data.values() for value in values)


@dataclass(frozen=True, slots=True)
class Columns:
    """In which column of a row each thing is, or down which dotted path (`billing.email`).

    What is under `user_data`, by Meta's key, will be hashed; `custom_data`, `facts` and `ids`, Meta's keys too, stay
    readable.
    """

    user_data: Mapping[str, str] = field(default_factory=lambda: SAME_NAMES)
    custom_data: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)


def check_country(code: str) -> str:
    """An ISO 3166-1 code of two letters."""
    if not is_country(code):
        raise wrong("write the country's two letters, such as DE")
    return code.upper()


def check_map(columns: Mapping[str, str]) -> Mapping[str, str]:
    """Meta's keys on the left: those that are hashed, and the ids of a person that a shop's back end knows."""
    for name in columns.keys() - {*NORMALIZERS, *IDS}:
        meant = META_NAMES.get(name.lower().replace("-", "_"))
        remedy = f"the keys are {', '.join((*NORMALIZERS, *IDS))}"
        raise wrong(f"write Meta's key first, such as {meant or 'em'}: {columns[name]}; {remedy}", at=(name, KEY))
    return columns


def parted(columns: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The columns that are hashed, and those of ids."""
    ids = {name: column for name, column in columns.items() if name in IDS}
    return {name: column for name, column in columns.items() if name not in IDS}, ids


def check_custom_data(columns: Mapping[str, str]) -> Mapping[str, str]:
    """Names of custom data on the left, none of which Meta matches people by."""
    for name in columns:
        if name in NORMALIZERS:
            raise wrong(
                "choose another name: Meta's matching keys belong under `map`, where they are hashed", (name, KEY)
            )
        if name in LISTS:
            remedy = f"a column is a single value: {' and '.join(sorted(LISTS))} cannot come from a source"
            raise wrong(remedy, at=(name, KEY))
        if not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
            raise wrong(f"write names of up to {LONGEST_NAME} characters first, such as value: total", at=(name, KEY))
    return columns


def by_name(columns: Any) -> Any:
    """A list of columns as facts that bear their names."""
    is_list = isinstance(columns, list | tuple) and all(isinstance(column, str) for column in columns)
    return {column: column for column in columns} if is_list else columns


def check_facts(columns: Mapping[str, str]) -> Mapping[str, str]:
    """Names that an expression can have on the left."""
    for name in columns:
        if not FACT.fullmatch(name):
            raise wrong("write names of letters, digits and _ first, such as { orders: stats.orders }", at=(name, KEY))
    return columns


HashedColumns = Annotated[Mapping[str, str], AfterValidator(check_map)]
CustomDataColumns = Annotated[Mapping[str, str], AfterValidator(check_custom_data)]
FactColumns = Annotated[
    Mapping[str, str],
    BeforeValidator(by_name, json_schema_input_type=list[str] | dict[str, str]),
    AfterValidator(check_facts),
]
Country = Annotated[str, AfterValidator(check_country)]
Count = Annotated[int, Field(gt=0, le=1_000_000)]


class CacheSettings(BaseModel):
    """How long an answer counts: `ttl` where the customer was found, else `negative_ttl`. At most `max` are kept."""

    model_config = ConfigDict(**FROZEN, hide_input_in_errors=True)

    ttl: Duration = 600.0
    negative_ttl: Duration = 60.0
    max: Count = 50_000


class SourceSettings(KindSettings):
    """The settings of every source.

    `key` names the data element whose value names a customer. `map` says in which column or field each of Meta's keys
    is (`em: email`); without it those that are hashed bear Meta's names, and an empty one means that the source has no
    user_data. Ids that are not hashed (`lead_id: crm_lead`) have to be named.
    `custom_data` says where properties of the event are (`value: total`), `profile` what rules may ask about:
    `[orders_count]`, or `{ orders: stats.orders }` for `profile.orders`. Both stay as the row has them, so text stays
    text: of a CSV file everything is. `only_when` has to hold of a hit for its customer to be looked up. `timeout` is
    for a whole look-up.
    """

    model_config = ConfigDict(**FROZEN, hide_input_in_errors=True)  # a DSN has a password in it

    key: str
    map: HashedColumns | None = None
    custom_data: CustomDataColumns = Field(default_factory=dict)
    profile: FactColumns = Field(default_factory=dict)
    default_country: Country | None = None
    only_when: Annotated[Expression, *expression_type(AT_ADMISSION, condition=True)] | None = None
    timeout: Duration = 1.0
    cache: CacheSettings | None = CacheSettings()

    @property
    def columns(self) -> Columns:
        """What is taken of a row."""
        hashed, ids = parted(SAME_NAMES if self.map is None else self.map)
        return Columns(hashed, self.custom_data, self.profile, ids)

    @model_validator(mode="after")
    def _hashed_is_not_readable(self) -> Self:
        hashed = {*self.columns.user_data.values()}
        for option, columns in (("custom_data", self.custom_data), ("profile", self.profile)):
            if name := next((name for name, column in columns.items() if column in hashed), None):
                raise wrong("name another column: one that gets hashed must not stay readable", at=(option, name))
        return self


class Query(Protocol):
    """What a kind writes. It need not care for time, repetition, odd keys or failures: `Guarded` does."""

    async def fetch(self, keys: Collection[str]) -> Mapping[str, Row | Profile]:
        """The customers that are known, in one query; a `Profile` where no plaintext is kept.

        Any exception means that there is no answer.
        """

    async def close(self) -> None:
        """Close connections."""


class Source(Protocol):
    async def look_up(self, keys: Collection[str]) -> Mapping[str, Profile]:
        """The profiles of those keys that the source knows, in one query. Raises `OSError` when it cannot answer."""

    async def close(self) -> None:
        """Close connections."""
