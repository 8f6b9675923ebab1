"""What the browser said and what we know, as one user_data and one custom_data."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from pixeltwin.capi.event import HASHED_PARTS, CustomData, UserData
from pixeltwin.enrich.source import Profile, Scalar

PARTS: Final = frozenset(HASHED_PARTS)  # of names; they have one value each
MONEY: Final = ("value", "currency", "predicted_ltv", "net_revenue")  # what a browser could make up


def merge(given: UserData, profiles: Iterable[Profile]) -> UserData:
    """The browser's own hash stays first; ours follow where they differ (PROTOCOL 1.5.3)."""
    for profile in profiles:
        given = given.model_copy(update=more_user_data(given, profile))
    return given


def more_user_data(given: UserData, profile: Profile) -> dict[str, Any]:
    """The keys that the profile adds to, with all their values. What profiles hold was checked: it is not again.

    Of an id there is one, and what the event has already stays.
    """
    known = vars(given)
    found: dict[str, Any] = {name: value for name, value in profile.ids.items() if known[name] is None}
    for key, values in profile.user_data.items():
        before = known[key]
        if not before:
            found[key] = values[0] if key in PARTS else values
        elif key not in PARTS and (both := tuple(dict.fromkeys((*before, *values)))) != before:
            found[key] = both
    return found


def merged_custom_data(
    given: CustomData | None, profiles: Iterable[Profile], *, overrides: bool = False
) -> CustomData | None:
    """The browser's own values, and the profiles' where it gave none; None when there is nothing at all.

    With `overrides` the profiles' values win, and no amount of the browser's counts, even where they know none: what a
    verified purchase is worth, the order alone says.
    """
    stays = {name: value for name, value in _values(given).items() if not (overrides and name in MONEY)}
    found: dict[str, Scalar] = {}
    for profile in profiles:
        found |= _additions(profile, found if overrides else {**stays, **found})
    gone = dict.fromkeys(_values(given).keys() - stays.keys())
    return (given or CustomData()).model_copy(update={**gone, **found}) if stays or found else None


def added(given: BaseModel | None, merged: BaseModel | None) -> list[str]:
    """The names that carry more than the browser gave, or something else."""
    before = _values(given)
    return [name for name, value in _values(merged).items() if before.get(name) != value]


def _additions(profile: Profile, known: Mapping[str, Any]) -> dict[str, Scalar]:
    """What the profile knows besides; no amount where it is of another currency than what is known."""
    given, ours = known.get("currency"), profile.custom_data.get("currency")
    is_foreign = None not in (given, ours) and str(given).upper() != ours
    unwanted = {*known, *(MONEY if is_foreign else ())}
    return {name: value for name, value in profile.custom_data.items() if name not in unwanted}


def _values(model: BaseModel | None) -> dict[str, Any]:
    return model.model_dump(exclude_none=True) if model else {}
