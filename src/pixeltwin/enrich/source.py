"""The contract of a source of customer data. Kinds are the files of `sources/`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pixeltwin.kinds import KindSettings


@dataclass(frozen=True, slots=True)
class Profile:
    """What a source knows of one customer: SHA-256 values by Meta's key (`em`, `external_id`)."""

    user_data: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class SourceSettings(KindSettings):
    """The settings of a source. `key` names the data element whose value names a customer."""

    key: str


class Source(Protocol):
    async def look_up(self, keys: Collection[str]) -> Mapping[str, Profile]:
        """The profiles of those keys that the source knows, in one query. Raises `OSError` when it cannot answer."""

    async def close(self) -> None:
        """Close connections."""
