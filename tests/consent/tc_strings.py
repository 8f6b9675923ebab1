"""TC strings, written field by field as the IAB's specification lists them.

https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework/blob/master/TCFv2/IAB%20Tech%20Lab%20-%20Consent%20string%20and%20vendor%20list%20formats%20v2.md#the-core-string
"""

from collections.abc import Iterable, Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

type Run = tuple[int, int]  # first and last vendor


def number(value: int, width: int) -> str:
    return format(value, f"0{width}b")


def letters(word: str) -> str:
    return "".join(number(ord(letter) - ord("A"), 6) for letter in word)


def flags(ones: Iterable[int], width: int) -> str:
    ones = set(ones)
    return "".join("1" if place in ones else "0" for place in range(1, width + 1))


def entries(runs: Sequence[Run]) -> str:
    """NumEntries, and for each IsARange, StartOrOnlyVendorId and, of a range, EndVendorId."""
    written = [
        "0" + number(first, 16) if first == last else "1" + number(first, 16) + number(last, 16) for first, last in runs
    ]
    return number(len(runs), 12) + "".join(written)


def bit_field(vendors: Iterable[int]) -> str:
    """MaxVendorId, IsRangeEncoding 0, BitField."""
    last = max(vendors, default=0)
    return number(last, 16) + "0" + flags(vendors, last)


def range_section(runs: Sequence[Run]) -> str:
    """MaxVendorId, IsRangeEncoding 1, the entries."""
    return number(max((last for _, last in runs), default=0), 16) + "1" + entries(runs)


def restriction(purpose: int, kind: int, runs: Sequence[Run]) -> str:
    """PurposeId, RestrictionType, the entries."""
    return number(purpose, 6) + number(kind, 2) + entries(runs)


def core(
    purposes: Iterable[int] = (),
    vendors: str = bit_field(()),
    interests: str = bit_field(()),
    restrictions: Sequence[str] = (),
    version: int = 2,
) -> str:
    """The bits of a core segment. `vendors` and `interests` are sections, `restrictions` are as above."""
    fields = [
        number(version, 6),  # Version
        number(15_774_000_000, 36),  # Created, in tenths of a second
        number(15_774_000_000, 36),  # LastUpdated
        number(675, 12),  # CmpId
        number(2, 12),  # CmpVersion
        number(1, 6),  # ConsentScreen
        letters("EN"),  # ConsentLanguage
        number(48, 12),  # VendorListVersion
        number(2, 6),  # TcfPolicyVersion
        number(1, 1),  # IsServiceSpecific
        number(0, 1),  # UseNonStandardTexts
        flags((1,), 12),  # SpecialFeatureOptIns
        flags(purposes, 24),  # PurposesConsent
        flags((2, 9), 24),  # PurposesLITransparency
        number(0, 1),  # PurposeOneTreatment
        letters("DE"),  # PublisherCC
        vendors,
        interests,
        number(len(restrictions), 12),  # NumPubRestrictions
        *restrictions,
    ]
    return "".join(fields)


def encoded(bits: str) -> str:
    """Six bits a letter, the last filled up with zeros."""
    padded = bits + "0" * (-len(bits) % 6)
    return "".join(LETTERS[int(padded[at : at + 6], 2)] for at in range(0, len(padded), 6))
