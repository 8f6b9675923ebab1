"""The TC string, in which consent platforms of the IAB's framework write down a visitor's choices (version 2).

Only its core segment is read, and of that what is about consent.
https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework/blob/master/TCFv2/IAB%20Tech%20Lab%20-%20Consent%20string%20and%20vendor%20list%20formats%20v2.md
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Collection, Container
from dataclasses import dataclass
from typing import Final

VERSION: Final = 2
REQUIRES_CONSENT: Final = 1  # the one kind of restriction that leaves a vendor its consent
WEB_SAFE: Final = re.compile(r"[A-Za-z0-9_-]{1,8192}")

type Vendors = tuple[Container[int], ...]


@dataclass(frozen=True, slots=True)
class Flags:
    """Zeros and ones, as the numbers of the ones; the first place is 1. Of thousands there, one is asked for."""

    bits: str

    def __contains__(self, place: object) -> bool:
        return isinstance(place, int) and 0 < place <= len(self.bits) and self.bits[place - 1] == "1"


@dataclass(frozen=True, slots=True)
class Restriction:
    """What the publisher allows some vendors for one purpose."""

    purpose: int
    kind: int
    vendors: Vendors


@dataclass(frozen=True, slots=True)
class Core:
    """The purposes and vendors that have the visitor's consent."""

    purposes: Container[int]
    vendors: Vendors
    restrictions: tuple[Restriction, ...]

    def consents(self, purposes: Collection[int], vendor: int | None) -> bool:
        """Whether there is consent to all the purposes, and, where a vendor is named, to them by that vendor."""
        if not all(purpose in self.purposes for purpose in purposes):
            return False
        return vendor is None or (_among(vendor, self.vendors) and not self._forbids(purposes, vendor))

    def _forbids(self, purposes: Collection[int], vendor: int) -> bool:
        return any(
            it.kind != REQUIRES_CONSENT and it.purpose in purposes and _among(vendor, it.vendors)
            for it in self.restrictions
        )


class Bits:
    """Numbers read off a text of zeros and ones, one after the other. Raises `EOFError` where it ends."""

    def __init__(self, bits: str) -> None:
        self._bits = bits
        self._at = 0

    def take(self, width: int) -> str:
        start, self._at = self._at, self._at + width
        if self._at > len(self._bits):
            raise EOFError
        return self._bits[start : self._at]

    def number(self, width: int) -> int:
        return int(self.take(width), 2)

    def flags(self, width: int) -> Flags:
        return Flags(self.take(width))


def decode(text: str) -> Core | None:
    """What the string says; None for what is no TC string of version 2, or not a whole one."""
    segment = text.partition(".")[0].rstrip("=")
    if not WEB_SAFE.fullmatch(segment):
        return None
    try:
        return _core(Bits(_bits(segment)))
    except EOFError:
        return None


def _bits(segment: str) -> str:
    """Six bits a letter: platforms fill the last letter, and not all of them the last byte."""
    raw = urlsafe_b64decode(segment + "A" * (-len(segment) % 4))
    return f"{int.from_bytes(raw):0{8 * len(raw)}b}"[: 6 * len(segment)]


def _core(bits: Bits) -> Core | None:
    if bits.number(6) != VERSION:
        return None
    bits.take(36 + 36 + 12 + 12 + 6 + 12 + 12 + 6 + 1 + 1 + 12)  # from Created to SpecialFeatureOptIns
    purposes = bits.flags(24)
    bits.take(24 + 1 + 12)  # PurposesLITransparency, PurposeOneTreatment, PublisherCC
    vendors = _vendors(bits)
    _vendors(bits)  # those with a legitimate interest
    return Core(purposes, vendors, tuple(_restriction(bits) for _ in range(bits.number(12))))


def _vendors(bits: Bits) -> Vendors:
    last, is_ranges = bits.number(16), bits.number(1)
    return _ranges(bits) if is_ranges else (bits.flags(last),)


def _ranges(bits: Bits) -> Vendors:
    return tuple(_range(bits) for _ in range(bits.number(12)))


def _range(bits: Bits) -> range:
    has_end, start = bits.number(1), bits.number(16)
    return range(start, (bits.number(16) if has_end else start) + 1)


def _restriction(bits: Bits) -> Restriction:
    return Restriction(bits.number(6), bits.number(2), _ranges(bits))


def _among(vendor: int, vendors: Vendors) -> bool:
    return any(vendor in some for some in vendors)
