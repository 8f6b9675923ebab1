"""What the mapping of a hit had to repair or leave out: worth a line on the page, never a reason to fail."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from pixeltwin.capi.event import HASHED, EventJson
from pixeltwin.capi.hashes import as_sha256
from pixeltwin.pixel.hit import PixelHit

EVENT_IDS: Final = frozenset({"eventID", "event_id"})


class Note(StrEnum):
    """One remark about a hit."""

    CLOCK_REPAIRED = "clock_repaired"  # ts lies in the future or over 7 days back: event_time is the time of receipt
    EVENT_ID_IN_CUSTOM_DATA = "event_id_in_custom_data"  # the page gave eventID as third argument: no de-duplication
    VALUE_IGNORED = "value_ignored"  # cd[value] is no number
    CURRENCY_IGNORED = "currency_ignored"  # cd[currency] is no currency code
    CONTENTS_IGNORED = "contents_ignored"  # cd[contents] holds no product with id and quantity
    MATCHING_DATA_IGNORED = "matching_data_ignored"  # ud[…] is no SHA-256 value
    LIMITED_BY_GEOLOCATION = "limited_by_geolocation"  # LDU without usable country and state


def notes(hit: PixelHit, event: EventJson) -> tuple[Note, ...]:
    """The remarks about a hit that became `event`."""
    if _is_plain(hit, event):
        return ()
    return tuple([note for note, applies in NOTES.items() if applies(hit, event)])


def _is_plain(hit: PixelHit, event: EventJson) -> bool:
    """Whether there is plainly nothing to remark, as about most hits: all that was given is in the event."""
    properties = hit.group("cd")
    return (
        len(properties) == len(event.get("custom_data", ()))
        and EVENT_IDS.isdisjoint(properties)
        and "udff" not in hit.groups
        and "data_processing_options_country" not in event
        and _has_hashes(event, hit.group("ud"))
        and not _clock_repaired(hit, event)
    )


def _has_hashes(event: EventJson, given: Mapping[str, str]) -> bool:
    """Whether the event has all these hashes, as they are."""
    for key, value in given.items():  # noqa: SIM110 `all` with a generator costs three times as much
        if event["user_data"].get(key) != [value]:
            return False
    return True


def _lost(field: str) -> Callable[[PixelHit, EventJson], bool]:
    parameter = f"cd[{field}]"
    return lambda hit, event: bool(hit.last.get(parameter)) and field not in event.get("custom_data", ())


def _clock_repaired(hit: PixelHit, event: EventJson) -> bool:
    ts = hit.get("ts")
    return ts != "" and ts[:-3] != str(event["event_time"])


def _event_id_in_custom_data(hit: PixelHit, event: EventJson) -> bool:
    return any(hit.group("cd").get(name) for name in EVENT_IDS) and not hit.event_id


def _matching_data_ignored(hit: PixelHit, event: EventJson) -> bool:
    given, from_form = hit.group("ud"), hit.group("udff")
    if not given and not from_form:  # most
        return False
    return any(value and key in HASHED and not as_sha256(value) for key, value in {**from_form, **given}.items())


def _limited_by_geolocation(hit: PixelHit, event: EventJson) -> bool:
    if event.get("data_processing_options_country") != 0 or event.get("data_processing_options_state") != 0:
        return False
    return (hit.get("dpoco"), hit.get("dpost")) != ("0", "0")


NOTES: Final[dict[Note, Callable[[PixelHit, EventJson], bool]]] = {
    Note.CLOCK_REPAIRED: _clock_repaired,
    Note.EVENT_ID_IN_CUSTOM_DATA: _event_id_in_custom_data,
    Note.VALUE_IGNORED: _lost("value"),
    Note.CURRENCY_IGNORED: _lost("currency"),
    Note.CONTENTS_IGNORED: _lost("contents"),
    Note.MATCHING_DATA_IGNORED: _matching_data_ignored,
    Note.LIMITED_BY_GEOLOCATION: _limited_by_geolocation,
}
