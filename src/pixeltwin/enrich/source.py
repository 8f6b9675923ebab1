"""The contract of a source of customer data. Kinds are the files of `sources/`; `guarded.py` makes them Sources."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pixeltwin.capi.normalize import NORMALIZERS, is_country
from pixeltwin.kinds import FROZEN, KindSettings
from pixeltwin.units import Duration, wrong

type Row = Mapping[str, Any]  # one customer's plaintext as a source has it: lives for one await, is never kept


@dataclass(frozen=True, slots=True)
class Profile:
    """What a source knows of one customer: SHA-256 values by Meta's key (`em`, `external_id`)."""

    user_data: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def check_country(code: str) -> str:
    """An ISO 3166-1 code of two letters."""
    if not is_country(code):
        raise wrong("write the country's two letters, such as DE")
    return code.upper()


def check_map(columns: Mapping[str, str]) -> Mapping[str, str]:
    """Meta's keys on the left; only what Meta hashes can come out of a source."""
    if not columns.keys() <= NORMALIZERS.keys():
        raise wrong(f"write Meta's key first, such as em: email; the keys are {', '.join(NORMALIZERS)}")
    return columns


Columns = Annotated[Mapping[str, str], AfterValidator(check_map)]
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
    is (`em: email`); without it they bear Meta's names. `timeout` is for a whole look-up.
    """

    model_config = ConfigDict(**FROZEN, hide_input_in_errors=True)  # a DSN has a password in it

    key: str
    map: Columns = Field(default_factory=dict)
    default_country: Country | None = None
    timeout: Duration = 1.0
    cache: CacheSettings | None = CacheSettings()

    @property
    def columns(self) -> Mapping[str, str]:
        """Where each of Meta's keys is."""
        return self.map or SAME_NAMES


SAME_NAMES: Final = {name: name for name in NORMALIZERS}


class Query(Protocol):
    """What a kind writes. It need not care for time, repetition, odd keys or failures: `Guarded` does."""

    async def fetch(self, keys: Collection[str]) -> Mapping[str, Row | Profile]:
        """The customers that are known, in one query; a `Profile` where only hashes are kept.

        Any exception means that there is no answer.
        """

    async def close(self) -> None:
        """Close connections."""


class Source(Protocol):
    async def look_up(self, keys: Collection[str]) -> Mapping[str, Profile]:
        """The profiles of those keys that the source knows, in one query. Raises `OSError` when it cannot answer."""

    async def close(self) -> None:
        """Close connections."""
