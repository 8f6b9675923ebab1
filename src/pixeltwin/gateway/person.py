"""Who is to be forgotten, and how stored bytes are found that are about that person.

A hash is looked for wherever it may stand; a customer's key, which may be a short number, only where a draft has
customers' keys. So nobody else's event is taken for the person's.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import orjson

from pixeltwin.capi.hashes import as_sha256, digits
from pixeltwin.capi.normalize import hashes
from pixeltwin.delivery.journal import Record
from pixeltwin.enrich.memory import needles
from pixeltwin.enrich.source import Profile
from pixeltwin.gateway.items import content_of
from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.pixel.request import HitRequest

TELLING: Final = ("em", "ph", "external_id")  # hashes that are one person's; a city's is half the world's

type Leg = tuple[str, str]  # pixel and event id: what a twin and the browser's copy of the same hit have in common


@dataclass(frozen=True)
class Person:
    """One or several people: the `keys` that the `sources` of these names know them by, and `hashes`, bare digits.

    `elements` are the data elements whose value is such a key.
    """

    keys: frozenset[str]
    hashes: frozenset[str]
    sources: frozenset[str]
    elements: frozenset[str]

    def is_in(self, payload: bytes) -> bool:
        """Whether the stored draft or browser's copy is about the person."""
        return self._has_hash(payload) or (self._may_have_key(payload) and self._has_key(content_of(payload)))

    def is_shown_in(self, record: Record) -> bool:
        """Whether the journal's record has one of the hashes."""
        return self._has_hash(orjson.dumps([record.hit, record.twin]))

    def _has_hash(self, text: bytes) -> bool:
        lower = text.lower()
        return any(needle in lower for needle in self._hash_needles)

    def _may_have_key(self, payload: bytes) -> bool:
        return any(needle in payload for needle in self._key_needles)

    @cached_property
    def _hash_needles(self) -> list[bytes]:
        return needles(self.hashes)

    @cached_property
    def _key_needles(self) -> list[bytes]:
        return [orjson.dumps(key) for key in self.keys]  # as a draft's JSON has it

    def _has_key(self, draft: Mapping[str, Any]) -> bool:
        named = ((draft.get("keys"), self.sources), (draft.get("elements"), self.elements))
        return any(found.get(name) in self.keys for found, names in named if isinstance(found, dict) for name in names)


def hashes_of_key(key: str) -> Iterable[str]:
    """What the key may be known as: itself if it is a hash, else an address's, a number's or an id's hashes."""
    if own := as_sha256(key):
        return bare([own])
    return bare(value for name in TELLING for value in hashes(name, key))


def hashes_of_profile(profile: Profile) -> Iterable[str]:
    """Those that are nobody else's."""
    return bare(value for name in TELLING for value in profile.user_data.get(name, ()))


def bare(values: Iterable[str]) -> Iterable[str]:
    """SHA-256 values without Meta's appendices."""
    return (found for value in values if (found := digits(value)))


def twin_of(payload: bytes) -> tuple[Leg | None, str]:
    """Of a draft, what its browser's copy is found by, and the journal's record; of anything else nothing."""
    draft = content_of(payload)
    event = draft.get("event")
    if not isinstance(event, dict):
        return None, ""
    leg = (str(draft.get("pixel_id", "")), str(event.get("event_id", "")))
    return leg, str(draft.get("record_id", ""))


def is_copy_of(legs: Collection[Leg], pixel_id: str, payload: bytes) -> bool:
    """Whether it is the browser's copy of one of these hits."""
    kept = content_of(payload)
    if "query" not in kept or not any(pixel_id == pixel for pixel, _ in legs):
        return False
    request = HitRequest(
        method="POST",
        host="",
        path="",
        query=kept["query"].encode("latin-1"),
        headers=kept["headers"],
        body=kept["body"].encode("latin-1"),
        peer="",
        received_at=0.0,
        first_party=True,
    )
    hit = parse_hit(request, Limits())
    return isinstance(hit, PixelHit) and (pixel_id, hit.event_id) in legs
