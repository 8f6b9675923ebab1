"""How the fields of a rule's action read what somebody wrote or a data element holds.

A reader answers the value as Meta takes it, None where what is given is none. Literals are read when the config is, so
that a mistake is an error there; what comes from a hit and is none leaves the field as it was.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final, get_args

from pixeltwin.capi.event import ActionSource, MessagingChannel
from pixeltwin.consent.limited_data_use import REMEDIES as PLACE_REMEDIES
from pixeltwin.mapping.custom_data import number
from pixeltwin.mapping.server_event import is_web_page
from pixeltwin.pixel import browser_id
from pixeltwin.pixel.client_ip import is_public

MAX_TEXT: Final = 8 << 10  # characters (THREATS T10)
LATEST: Final = 10**10  # unix seconds; milliseconds are beyond

# PROTOCOL 1.4
SEGMENTS: Final = (
    *(
        f"{customer}_customer_to_{what}"
        for customer in ("new", "existing")
        for what in ("business", "business_line", "product_area", "medium")
    ),
    "customer_in_loyalty_program",
)

type Reader = Callable[[Any], Any]


def text(given: Any) -> str | None:
    """A text; numbers are taken as they print."""
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return None
    written = str(int(given)) if isinstance(given, float) and given.is_integer() else str(given)
    return written if len(written.strip()) > 0 and len(written) <= MAX_TEXT else None


def digits(given: Any) -> str | None:
    """An id that is a number to Meta (PROTOCOL 1.5)."""
    found = (text(given) or "").strip()
    return found if found.isascii() and found.isdecimal() else None


def truth(given: Any) -> bool | None:
    return given if isinstance(given, bool) else {"true": True, "false": False}.get(str(given).strip().lower())


def moment(given: Any) -> int | None:
    """Unix seconds, from a number or from a time as ISO 8601 writes it; without an offset it is UTC."""
    written = str(given).strip()
    seconds = number(written)
    if seconds is None:
        seconds = _iso(written)
    return int(seconds) if seconds is not None and 0 < seconds < LATEST else None


def one_of(*known: str) -> Reader:
    return lambda given: given if given in known else None


def page(given: Any) -> str | None:
    found = text(given)
    return found if found and is_web_page(found) else None


def browser(given: Any) -> str | None:
    """An `fbp` or `fbc`."""
    found = text(given)
    return browser_id.valid(found) if found else None


def public_address(given: Any) -> str | None:
    try:
        address = ip_address(str(given).strip())
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    return str(address) if is_public(address) else None


def _iso(given: str) -> float | None:
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


SERVER_EVENT: Final[Mapping[str, Reader]] = {
    "event_name": text,
    "event_time": moment,
    "event_id": text,
    "event_source_url": page,
    "referrer_url": text,
    "action_source": one_of(*get_args(ActionSource)),
    "opt_out": truth,
    "messaging_channel": one_of(*get_args(MessagingChannel)),
    "customer_segmentation": one_of(*SEGMENTS),
}
ORIGINAL_EVENT: Final[Mapping[str, Reader]] = {
    "event_name": text,
    "event_time": moment,
    "order_id": text,
    "event_id": text,
}
# what is not hashed; every other key of customer information is
PLAIN_USER_DATA: Final[Mapping[str, Reader]] = {
    "client_ip_address": public_address,
    "client_user_agent": text,
    "fbc": browser,
    "fbp": browser,
    "fb_login_id": digits,
    "lead_id": digits,
}
REMEDIES: Final[Mapping[Reader, str]] = {
    **PLACE_REMEDIES,
    moment: "write unix seconds or an ISO 8601 time, such as 2026-11-25T12:00:00Z",
    page: "write an address that begins with http:// or https://",
    truth: "write true or false",
    digits: "write the id's digits, in quotes",
    browser: "write a value such as fb.1.1596403881668.1116446470",
    public_address: "write a public IP address",
    SERVER_EVENT["action_source"]: f"write one of {', '.join(get_args(ActionSource))}",
    SERVER_EVENT["messaging_channel"]: f"write one of {', '.join(get_args(MessagingChannel))}",
    SERVER_EVENT["customer_segmentation"]: f"write one of {', '.join(SEGMENTS)}",
}
