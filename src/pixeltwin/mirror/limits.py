"""Limited data use on both copies: the twin is never less limited than the browser's hit (THREATS T16)."""

from typing import Final

from pixeltwin.capi.event import ServerEvent
from pixeltwin.capi.validate import LIMITED
from pixeltwin.consent.limited_data_use import GEOLOCATE, Limits
from pixeltwin.consent.verdict import Verdict
from pixeltwin.mapping.limited_data_use import limited_data_use
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.rewrite import put

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


def limited_copy(request: HitRequest, hit: PixelHit, limits: Limits | None) -> HitRequest:
    """The browser's copy with limited data use in it, as the pixel writes that (PROTOCOL 3.5)."""
    if LIMITED in hit.get("dpo").split(","):
        return request
    country, state = limits or GEOLOCATE
    for name, value in (("dpo", LIMITED), ("dpoco", str(country)), ("dpost", str(state))):
        request = put(request, name, value)
    return request
