"""What no rule can lift: limited data use, and personal data that stays out.

The twin is never less limited than the browser's hit (THREATS T16), and what rules set is cleaned like the hit itself.
"""

from collections.abc import Set
from typing import Final

from pixeltwin.capi.event import CustomData, ServerEvent
from pixeltwin.capi.validate import LIMITED
from pixeltwin.consent.limited_data_use import GEOLOCATE, Limits
from pixeltwin.consent.verdict import Verdict
from pixeltwin.mapping.limited_data_use import limited_data_use
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.rewrite import put
from pixeltwin.privacy.address import clean_url
from pixeltwin.privacy.clean import EVENT_ADDRESSES, clean_event, mask_client
from pixeltwin.privacy.settings import Privacy
from pixeltwin.privacy.values import clean_properties
from pixeltwin.rules.action import Action
from pixeltwin.rules.ruleset import Ruled

CUSTOM: Final = "custom_data."
FIELDS: Final = ("data_processing_options", "data_processing_options_country", "data_processing_options_state")


def is_limited(event: ServerEvent) -> bool:
    return LIMITED in (event.data_processing_options or ())


def never_less_limited(event: ServerEvent, given: ServerEvent, verdict: Verdict) -> ServerEvent:
    """The event, limited where the browser's hit (`given`) or the consent says so, whatever rules have set."""
    if is_limited(event):
        return event
    if is_limited(given):
        return event.model_copy(update={name: getattr(given, name) for name in FIELDS})
    if verdict.limits is None:
        return event
    return event.model_copy(update=limited_data_use((LIMITED,), *verdict.limits))


def cleaned_of_rules(
    event: ServerEvent, ruled: Ruled, privacy: Privacy, clean_rules: frozenset[str]
) -> tuple[ServerEvent, list[str]]:
    """The event without personal data in plain text among what rules have set, and remarks about what there was.

    `clean_rules` are those of which it is known that they set none.
    """
    if clean_rules.issuperset(ruled.names) or _is_clean(event, ruled, privacy):
        return event, []
    event, removed = clean_event(event, privacy)
    return event, [f"personal_data_removed: {name}" for name in removed]


def _is_clean(event: ServerEvent, ruled: Ruled, privacy: Privacy) -> bool:
    """Whether what rules have set is clean. The hit's own part was cleaned when it came, and costs the most."""
    keys = {name.removeprefix(CUSTOM) for name in ruled.origins if name.startswith(CUSTOM)}
    addresses = [getattr(event, name) or "" for name in EVENT_ADDRESSES if name in ruled.origins]
    return (
        all(clean_url(address, privacy) == address for address in addresses)
        and (event.custom_data is None or _are_clean(event.custom_data, keys, privacy))
        and mask_client(event, privacy) is event
    )


def sets_nothing_personal(action: Action, privacy: Privacy) -> bool:
    """Whether it is known beforehand that what a rule sets is clean: properties that are the same for every event."""
    if action.server_event or action.user_data:
        return False
    if (section := action.custom_data) is None:
        return True
    properties = CustomData().model_copy(update=section.same.found)
    return section.is_same and _are_clean(properties, section.same.found.keys(), privacy)


def _are_clean(properties: CustomData, keys: Set[str], privacy: Privacy) -> bool:
    """Whether those of these keys are."""
    own = properties.model_dump(mode="json", exclude_none=True, include={*keys})
    return all(map(privacy.custom_data.admits, own)) and clean_properties(own, privacy) == own


def limited_copy(request: HitRequest, hit: PixelHit, limits: Limits | None) -> HitRequest:
    """The browser's copy with limited data use in it, as the pixel writes that (PROTOCOL 3.5)."""
    if LIMITED in hit.get("dpo").split(","):
        return request
    country, state = limits or GEOLOCATE
    for name, value in (("dpo", LIMITED), ("dpoco", str(country)), ("dpost", str(state))):
        request = put(request, name, value)
    return request
