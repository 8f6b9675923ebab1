"""A pixel hit as a server event: the table of PROTOCOL section 5.

The event is what Meta gets. It is read into a `ServerEvent`, and with that validated, when it leaves the outbox.
"""

import re
from typing import Any, Final
from urllib.parse import urlsplit

from pixeltwin.capi.event import HASHED, EventJson
from pixeltwin.capi.hashes import as_sha256
from pixeltwin.capi.validate import MAX_AGE
from pixeltwin.mapping.custom_data import custom_data, whole_number
from pixeltwin.mapping.limited_data_use import limited_data_use
from pixeltwin.pixel.browser_id import BrowserIds
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

LONGEST_CLOCK: Final = 15  # digits
USUAL_PAGE: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?#]|\Z)")  # what nearly all addresses are


def server_event(
    hit: PixelHit, request: HitRequest, *, event_id: str, ids: BrowserIds, client_ip: str | None
) -> EventJson:
    """The event for a hit; what only our own servers know is added when the twin is sealed."""
    event: EventJson = {
        "event_name": hit.event_name,
        "event_time": event_time(hit.get("ts"), request.received_at),
        "event_id": event_id,
        "action_source": "website",
    }
    if page := source_url(hit, request):
        event["event_source_url"] = page
    if referrer := hit.get("rl"):
        event["referrer_url"] = referrer
    event["user_data"] = user_data(hit, request, ids, client_ip)
    if properties := custom_data(hit.group("cd")):
        event["custom_data"] = properties
    event.update(data_processing(hit))
    return event


def source_url(hit: PixelHit, request: HitRequest) -> str | None:
    """The page's address: `dl`, or the Referer of an image tag that has none. None when it is no web page."""
    address = hit.get("dl") or request.header("referer")
    return address if is_web_page(address) else None


def is_web_page(address: str) -> bool:
    """Whether a browser could have been there: an address with a host, of the web."""
    if USUAL_PAGE.match(address):
        return True
    try:
        parts = urlsplit(address)
    except ValueError:  # such as an unclosed [ in the host
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def event_time(ts: str, received_at: float) -> int:
    """`ts` (ms) in seconds. Client clocks lie: a time to come or over 7 days old becomes the time of receipt."""
    moment = int(ts) // 1000 if ts.isdecimal() and ts.isascii() and len(ts) <= LONGEST_CLOCK else 0
    return moment if received_at - MAX_AGE < moment <= received_at else int(received_at)


def user_data(hit: PixelHit, request: HitRequest, ids: BrowserIds, client_ip: str | None) -> dict[str, Any]:
    """Who it was, as the browser says. Masks (`cud`) and alternate hashes (`aud`) are ignored (PROTOCOL 3.6)."""
    found: dict[str, Any] = _hashes(hit)
    if client_ip is not None:
        found["client_ip_address"] = client_ip
    if user_agent := request.header("user-agent"):
        found["client_user_agent"] = user_agent
    if ids.fbc:
        found["fbc"] = ids.fbc
    if ids.fbp:
        found["fbp"] = ids.fbp
    return found


def data_processing(hit: PixelHit) -> dict[str, Any]:
    """Limited data use as the page set it. `dpo=` without a value is an explicit "not limited" (PROTOCOL 3.5)."""
    if not hit.has("dpo"):
        return {}
    options = [option for option in hit.get("dpo").split(",") if option]
    return limited_data_use(options, whole_number(hit.get("dpoco")), whole_number(hit.get("dpost")))


def _hashes(hit: PixelHit) -> dict[str, list[str]]:
    """Those that the page has given, and from forms those of other keys."""
    given, from_form = hit.group("ud"), hit.group("udff")
    if not from_form:  # nearly all
        return {key: [value] for key, text in given.items() if key in HASHED and (value := as_sha256(text))}
    return {
        key: [value]
        for key in {**from_form, **given}
        if key in HASHED and (value := as_sha256(given.get(key, "")) or as_sha256(from_form.get(key, "")))
    }
