"""A customer as people put one into the store, by command or by the admin API."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pixeltwin.capi.normalize import NORMALIZERS
from pixeltwin.enrich.guarded import is_askable
from pixeltwin.enrich.plain import plain_values
from pixeltwin.enrich.profiles import EVERY_KEY, profile_of
from pixeltwin.enrich.source import Columns, Profile

SHOWN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")  # a name; anything else may be somebody's data


@dataclass(frozen=True, slots=True, repr=False)
class Customer:
    """Plaintext or hashes by Meta's key, and what stays readable. `place` stands before the fields in messages."""

    key: str
    user_data: Mapping[str, Any] = field(default_factory=dict)
    custom_data: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""


def profile_of_customer(customer: Customer, columns: Columns, default_country: str | None) -> Profile:
    """What can be stored of a customer; `columns` says which names there are.

    Raises `ValueError`, which names the field and repeats no value, for a name that the source has not, for a customer
    who could never be looked up, and for one of whom nothing is left.
    """
    if not is_askable(customer.key):
        raise ValueError(f"{customer.place}key: a customer's key is up to 512 printable characters")
    _check_names(customer, "", customer.user_data, (*(NORMALIZERS if columns.user_data else ()), *columns.ids))
    _check_names(customer, "custom_data.", customer.custom_data, columns.custom_data)
    _check_names(customer, "profile.", customer.facts, columns.facts)
    keys = replace(EVERY_KEY, ids={name: name for name in columns.ids})
    hashed = profile_of(customer.user_data, keys, default_country)
    plain = plain_values(customer.custom_data, customer.facts)
    left_out = (*hashed.left_out, *plain.left_out)
    profile = Profile(hashed.user_data, plain.custom_data, plain.facts, left_out, hashed.ids)
    if profile.is_empty:
        raise ValueError(f"{customer.place or 'customer: '}there is nothing that can be used")
    return profile


def _check_names(customer: Customer, prefix: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    if unknown := next((name for name in given if name not in known), None):
        shown = unknown if SHOWN.fullmatch(unknown) else "a name"
        names = ", ".join(known) or "none"
        raise ValueError(f"{customer.place}{prefix}{shown}: the source does not take it; what it takes: {names}")
