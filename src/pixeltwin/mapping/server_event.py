"""A pixel hit as a server event: the table of PROTOCOL section 5."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

from pixeltwin.capi.event import HASHED, ServerEvent, UserData
from pixeltwin.capi.hashes import as_sha256
from pixeltwin.capi.validate import MAX_AGE
from pixeltwin.mapping.custom_data import custom_data, whole_number
from pixeltwin.mapping.limited_data_use import limited_data_use
from pixeltwin.pixel.browser_id import BrowserIds
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

CLOCK: Final = re.compile(r"[0-9]{1,15}")
USUAL_PAGE: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?#]|\Z)")  # what nearly all addresses are


def server_event(
    hit: PixelHit, request: HitRequest, *, event_id: str, ids: BrowserIds, client_ip: str | None
) -> ServerEvent:
    """The event for a hit; what only our own servers know is added when the twin is sealed."""
    return ServerEvent(
        event_name=hit.event_name,
        event_time=event_time(hit.get("ts"), request.received_at),
        event_id=event_id,
        event_source_url=source_url(hit, request),
        referrer_url=hit.get("rl") or None,
        user_data=user_data(hit, request, ids, client_ip),
        custom_data=custom_data(hit.group("cd")),
        **data_processing(hit),
    )


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
    moment = int(ts) // 1000 if CLOCK.fullmatch(ts) else 0
    return moment if received_at - MAX_AGE < moment <= received_at else int(received_at)


def user_data(hit: PixelHit, request: HitRequest, ids: BrowserIds, client_ip: str | None) -> UserData:
    """Who it was, as the browser says. Masks (`cud`) and alternate hashes (`aud`) are ignored (PROTOCOL 3.6)."""
    return UserData(
        **_hashes(hit),
        client_ip_address=client_ip,
        client_user_agent=request.header("user-agent") or None,
        fbp=ids.fbp,
        fbc=ids.fbc,
    )


def data_processing(hit: PixelHit) -> dict[str, Any]:
    """Limited data use as the page set it. `dpo=` without a value is an explicit "not limited" (PROTOCOL 3.5)."""
    if not hit.has("dpo"):
        return {}
    options = [option for option in hit.get("dpo").split(",") if option]
    return limited_data_use(options, whole_number(hit.get("dpoco")), whole_number(hit.get("dpost")))


def _hashes(hit: PixelHit) -> dict[str, tuple[str, ...]]:
    given, from_form = hit.group("ud"), hit.group("udff")
    if not given and not from_form:  # most
        return {}
    return {
        key: (value,)
        for key in {**from_form, **given}
        if key in HASHED and (value := as_sha256(given.get(key, "")) or as_sha256(from_form.get(key, "")))
    }
