"""What no rule can lift: limited data use, and personal data that stays out.

The twin is never less limited than the browser's hit (THREATS T16), and what rules set is cleaned like the hit itself.
"""

from collections.abc import Mapping
from typing import Any, Final

from pixeltwin.capi.event import EventJson, ServerEvent
from pixeltwin.capi.validate import LIMITED
from pixeltwin.consent.limited_data_use import GEOLOCATE, Limits
from pixeltwin.consent.verdict import Verdict
from pixeltwin.mapping.limited_data_use import limited_data_use
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.rewrite import put
from pixeltwin.privacy.address import clean_url
from pixeltwin.privacy.clean import EVENT_ADDRESSES, clean_event, masked_client
from pixeltwin.privacy.settings import Privacy
from pixeltwin.privacy.values import clean_properties
from pixeltwin.rules.action import Action
from pixeltwin.rules.ruleset import Ruled

FIELDS: Final = ("data_processing_options", "data_processing_options_country", "data_processing_options_state")


def is_limited(event: EventJson) -> bool:
    return LIMITED in event.get("data_processing_options", ())


def never_less_limited(event: EventJson, given: EventJson, verdict: Verdict) -> EventJson:
    """The event, limited where the browser's hit (`given`) or the consent says so, whatever rules have set."""
    if is_limited(event):
        return event
    if is_limited(given):
        return event | {name: given[name] for name in FIELDS if name in given}
    if verdict.limits is None:
        return event
    return event | limited_data_use((LIMITED,), *verdict.limits)


def taken_back(ruled: Ruled) -> None:
    """Whoever limited the event again, no rule set these fields any more."""
    for name in FIELDS:
        ruled.origins.pop(name, None)


def cleaned_of_rules(
    event: EventJson, ruled: Ruled, privacy: Privacy, clean_rules: frozenset[str]
) -> tuple[EventJson, list[str]]:
    """The event without personal data in plain text among what rules have set, and remarks about what there was.

    `clean_rules` are those of which it is known that they set none.
    """
    if clean_rules.issuperset(ruled.names) or _is_clean(event, ruled, privacy):
        return event, []
    cleaned, removed = clean_event(ServerEvent.model_validate(event), privacy)
    return cleaned.as_json(), [f"personal_data_removed: {name}" for name in removed]


def sets_nothing_personal(action: Action, privacy: Privacy) -> bool:
    """Whether it is known beforehand that what a rule sets is clean: properties that are the same for every event."""
    if action.server_event or action.user_data:
        return False
    section = action.custom_data
    return section is None or (section.is_same and _are_clean(section.same.found, privacy))


def _is_clean(event: EventJson, ruled: Ruled, privacy: Privacy) -> bool:
    """Whether what rules have set is clean. The hit's own part was cleaned when it came, and costs the most."""
    given = event.get("custom_data", {})
    own = {key: value for key, value in given.items() if f"custom_data.{key}" in ruled.origins}
    addresses = [event.get(name, "") for name in EVENT_ADDRESSES if name in ruled.origins]
    return (
        all(clean_url(address, privacy) == address for address in addresses)
        and _are_clean(own, privacy)
        and masked_client(event["user_data"], privacy) is event["user_data"]
    )


def _are_clean(properties: Mapping[str, Any], privacy: Privacy) -> bool:
    return all(map(privacy.custom_data.admits, properties)) and clean_properties(properties, privacy) == properties


def limited_copy(request: HitRequest, hit: PixelHit, limits: Limits | None) -> HitRequest:
    """The browser's copy with limited data use in it, as the pixel writes that (PROTOCOL 3.5)."""
    if LIMITED in hit.get("dpo").split(","):
        return request
    country, state = limits or GEOLOCATE
    for name, value in (("dpo", LIMITED), ("dpoco", str(country)), ("dpost", str(state))):
        request = put(request, name, value)
    return request
