"""What was looked up lately: bounded, the least recently used goes first, and a miss is an answer too."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pixeltwin.enrich.source import CacheSettings, Profile


@dataclass(frozen=True, slots=True)
class Known:
    """An answer, and until when it counts. None: the source does not know the key."""

    profile: Profile | None
    until: float


class ProfileCache:
    """Profiles by the digest of their key, so that a long key costs no more than any other.

    A profile is bounded: so many hashes a key, and `plain.ROOM` bytes of what stays readable.
    """

    def __init__(self, settings: CacheSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self.generation = 0  # counts what was forgotten: an answer that was on its way meanwhile must not be remembered

    def __len__(self) -> int:
        return len(self._known)

    def split(self, keys: Collection[str]) -> tuple[dict[str, Profile], list[str]]:
        """What is known of the keys, and which of them have to be asked for."""
        found, unknown = {}, []
        for key in keys:
            if (known := self._get(key)) is None:
                unknown.append(key)
            elif known.profile is not None:
                found[key] = known.profile
        return found, unknown

    def remember(self, asked: Collection[str], found: Mapping[str, Profile]) -> None:
        """Keep a source's answer about the keys it was asked for."""
        now, settings = self._clock(), self._settings
        for key in asked:
            profile = found.get(key)
            ttl = settings.negative_ttl if profile is None else settings.ttl
            self._known[_digest(key)] = Known(profile, now + ttl)
            self._known.move_to_end(_digest(key))
        while len(self._known) > settings.max:
            self._known.popitem(last=False)

    def forget(self, keys: Collection[str]) -> list[Known]:
        """Know nothing of these keys; answers what was known, misses too."""
        self.generation += 1
        return [known for key in keys if (known := self._known.pop(_digest(key), None))]

    def forget_hashes(self, hashes: Collection[str]) -> int:
        """Forget every customer who has one of these hashes; answers how many."""
        self.generation += 1
        gone = [digest for digest, known in self._known.items() if known.profile and known.profile.has_any(hashes)]
        for digest in gone:
            del self._known[digest]
        return len(gone)

    def _get(self, key: str) -> Known | None:
        digest = _digest(key)
        known = self._known.get(digest)
        if known is None:
            return None
        if known.until <= self._clock():
            del self._known[digest]
            return None
        self._known.move_to_end(digest)
        return known


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=16).digest()
