"""What no rule can lift: limited data use, and personal data that stays out.

The twin is never less limited than the browser's hit (THREATS T16), and what rules set is cleaned like the hit itself.
"""

from typing import Final

from pixeltwin.capi.event import CustomData, ServerEvent
from pixeltwin.capi.validate import LIMITED
from pixeltwin.consent.limited_data_use import GEOLOCATE, Limits
from pixeltwin.consent.verdict import Verdict
from pixeltwin.mapping.limited_data_use import limited_data_use
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.rewrite import put
from pixeltwin.privacy.clean import EVENT_ADDRESSES, clean_event
from pixeltwin.privacy.settings import Privacy
from pixeltwin.rules.ruleset import Ruled

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


def cleaned_of_rules(event: ServerEvent, ruled: Ruled, privacy: Privacy) -> tuple[ServerEvent, list[str]]:
    """The event without personal data in plain text among what rules have set, and remarks about what there was."""
    if not ruled.origins:
        return event, []
    own = _set_by_rules(event, ruled)  # the hit's own part was cleaned when it came, and costs the most
    if clean_event(own, privacy)[0] is own:
        return event, []
    event, removed = clean_event(event, privacy)
    return event, [f"personal_data_removed: {name}" for name in removed]


def _set_by_rules(event: ServerEvent, ruled: Ruled) -> ServerEvent:
    """The event with nothing of its page and its custom data but what rules have set."""
    properties = event.custom_data.model_dump(exclude_none=True) if event.custom_data else {}
    own = {key: value for key, value in properties.items() if f"custom_data.{key}" in ruled.origins}
    foreign = dict.fromkeys(name for name in EVENT_ADDRESSES if name not in ruled.origins)
    return event.model_copy(update={**foreign, "custom_data": CustomData.model_validate(own) if own else None})


def limited_copy(request: HitRequest, hit: PixelHit, limits: Limits | None) -> HitRequest:
    """The browser's copy with limited data use in it, as the pixel writes that (PROTOCOL 3.5)."""
    if LIMITED in hit.get("dpo").split(","):
        return request
    country, state = limits or GEOLOCATE
    for name, value in (("dpo", LIMITED), ("dpoco", str(country)), ("dpost", str(state))):
        request = put(request, name, value)
    return request
