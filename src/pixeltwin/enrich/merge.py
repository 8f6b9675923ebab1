"""What a source knows of a customer goes into the event; what the browser said stays as it is."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pixeltwin.capi.event import HASHED_PARTS, EventJson
from pixeltwin.enrich.source import NOTHING, Profile, Scalar

PARTS: Final = frozenset(HASHED_PARTS)  # of names; they have one value each
MONEY: Final = ("value", "currency", "predicted_ltv", "net_revenue")  # what a browser could make up

type Properties = Mapping[str, Any]  # of custom_data


class Addition(NamedTuple):
    """What a source has set in an event: keys of user_data, and properties of custom_data."""

    source: str
    user_data: tuple[str, ...]
    custom_data: tuple[str, ...] = ()

    @property
    def fields(self) -> Iterator[str]:
        """The same as paths: `user_data.em`."""
        yield from (f"user_data.{key}" for key in self.user_data)
        yield from (f"custom_data.{name}" for name in self.custom_data)


def joined(event: EventJson, source: str, profile: Profile, *, overrides: bool = False) -> tuple[EventJson, Addition]:
    """The event with what the source's profile knows, and what that has set.

    With `overrides` the profile's custom data wins, as `merged_custom_data` says.
    """
    more = more_user_data(event["user_data"], profile)
    if more:
        event = {**event, "user_data": {**event["user_data"], **more}}
    if not (profile.custom_data or overrides):
        return event, Addition(source, tuple(more))
    given = event.get("custom_data", NOTHING)
    made = merged_custom_data(given, profile, overrides=overrides)
    event = {name: value for name, value in event.items() if name != "custom_data"}
    if made:
        event["custom_data"] = made
    return event, Addition(source, tuple(more), tuple(name for name, it in made.items() if given.get(name) != it))


def more_user_data(given: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """The keys that the profile adds to, with all their values. What profiles hold was checked: it is not again.

    The browser's own hash stays first; ours follow where they differ (PROTOCOL 1.5.3). Of an id there is one, and what
    the event has already stays.
    """
    found: dict[str, Any] = {name: value for name, value in profile.ids.items() if name not in given}
    for key, values in profile.user_data.items():
        before = given.get(key)
        if not before:
            found[key] = values[0] if key in PARTS else list(values)
        elif key not in PARTS and (others := [value for value in values if value not in before]):
            found[key] = [*before, *others]
    return found


def merged_custom_data(given: Properties, profile: Profile, *, overrides: bool = False) -> dict[str, Any]:
    """The browser's own values, and the profile's where it gave none.

    With `overrides` the profile's values win, and no amount of the browser's counts, even where it knows none: what a
    verified purchase is worth, the order alone says.
    """
    if not overrides:
        return {**given, **_additions(profile, given)}
    stays = {name: value for name, value in given.items() if name not in MONEY}
    return {**stays, **profile.custom_data}


def _additions(profile: Profile, known: Properties) -> dict[str, Scalar]:
    """What the profile knows besides; no amount where it is of another currency than what is known."""
    given, ours = known.get("currency"), profile.custom_data.get("currency")
    is_foreign = None not in (given, ours) and str(given).upper() != ours
    unwanted = {*(name for name, value in known.items() if value is not None), *(MONEY if is_foreign else ())}
    return {name: value for name, value in profile.custom_data.items() if name not in unwanted}
