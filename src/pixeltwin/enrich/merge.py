"""What the browser said and what we know, as one user_data."""

from collections.abc import Iterable

from pixeltwin.capi.event import HASHED_PARTS, UserData
from pixeltwin.enrich.source import Profile


def merge(given: UserData, profiles: Iterable[Profile]) -> UserData:
    """The browser's own hash stays first; ours follow where they differ (PROTOCOL 1.5.3)."""
    merged = given.model_dump(exclude_none=True)
    for profile in profiles:
        for key, values in profile.user_data.items():
            if key in HASHED_PARTS:  # one value each
                merged.setdefault(key, values[0])
            else:
                merged[key] = tuple(dict.fromkeys((*merged.get(key, ()), *values)))
    return UserData.model_validate(merged)


def added(given: UserData, merged: UserData) -> list[str]:
    """The keys that carry more than the browser gave."""
    before, after = given.model_dump(exclude_none=True), merged.model_dump(exclude_none=True)
    return [key for key, value in after.items() if before.get(key) != value]
