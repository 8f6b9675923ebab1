"""Where each value of a twin came from, for people who want to know: the words of `pixeltwin explain`."""

from collections.abc import Callable, Mapping
from typing import Final

from pixeltwin.capi.event import HASHED, EventJson
from pixeltwin.capi.hashes import as_sha256
from pixeltwin.mapping.server_event import data_processing
from pixeltwin.pixel.browser_id import click_id
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

type Tell = Callable[[PixelHit, HitRequest, EventJson], str]


def origins_of(hit: PixelHit, request: HitRequest, event: EventJson) -> dict[str, str]:
    """By field (`user_data.fbp`): what of the hit or its request the value is."""
    found = {name: tell(hit, request, event) for name, tell in FIELDS.items() if name in event}
    known = event["user_data"]
    found |= {f"user_data.{key}": USER_DATA[key](hit, request, event) for key in known if key in USER_DATA}
    found |= {f"user_data.{key}": _hash(hit, key) for key in known if key in HASHED}
    return found | {f"custom_data.{key}": f"hit cd[{key}]" for key in event.get("custom_data", ())}


def _hash(hit: PixelHit, key: str) -> str:
    return f"hit ud[{key}]" if as_sha256(hit.get(f"ud[{key}]")) else f"hit udff[{key}]"


def _time(hit: PixelHit, request: HitRequest, event: EventJson) -> str:
    return "hit ts" if hit.get("ts")[:-3] == str(event["event_time"]) else "time of receipt"


def _fbp(hit: PixelHit, request: HitRequest, event: EventJson) -> str:
    fbp = event["user_data"]["fbp"]
    if fbp == hit.get("fbp"):
        return "hit fbp"
    return "cookie _fbp" if fbp == request.cookies.get("_fbp") else "new, set as cookie"


def _fbc(hit: PixelHit, request: HitRequest, event: EventJson) -> str:
    fbc = event["user_data"]["fbc"]
    if fbc == hit.get("fbc"):
        return "hit fbc"
    if fbc == request.cookies.get("_fbc"):
        return "cookie _fbc"
    return "fbclid of the page" if click_id(hit.get("dl")) else "fbclid of the referrer"


def _address(hit: PixelHit, request: HitRequest, event: EventJson) -> str:
    address = event["user_data"]["client_ip_address"]
    if address == request.peer:
        return "peer"
    if address in request.header("x-forwarded-for"):
        return "X-Forwarded-For"
    return "cookie _fbi" if address in request.cookies.get("_fbi", "") else "masked"


def _limits(hit: PixelHit, request: HitRequest, event: EventJson) -> str:
    """Consent limits what the page has not."""
    given = data_processing(hit).get("data_processing_options", ())
    return "hit dpo" if event["data_processing_options"] == list(given) else "consent"


FIELDS: Final[Mapping[str, Tell]] = {
    "event_name": lambda hit, request, event: "hit ev",
    "action_source": lambda hit, request, event: "gateway",
    "event_time": _time,
    "event_id": lambda hit, request, event: "hit eid" if hit.event_id else "new, written into the browser's copy",
    "event_source_url": lambda hit, request, event: "hit dl" if hit.get("dl") else "Referer",
    "referrer_url": lambda hit, request, event: "hit rl",
    "data_processing_options": _limits,
    "data_processing_options_country": _limits,
    "data_processing_options_state": _limits,
}
USER_DATA: Final[Mapping[str, Tell]] = {
    "client_ip_address": _address,
    "client_user_agent": lambda hit, request, event: "User-Agent",
    "fbp": _fbp,
    "fbc": _fbc,
}
