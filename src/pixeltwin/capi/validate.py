"""What Meta refuses, found before it is sent: one bad event makes Meta refuse the whole batch (PROTOCOL 1.9).

What Meta takes, but matches less well, is a remark. Codes are Meta's (PROTOCOL 1.11).
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from pixeltwin.capi.event import EventJson, UserData

DAY: Final = 24 * 3600
MAX_AGE: Final = 7 * DAY  # seconds
MAX_AGE_IN_STORE: Final = 62 * DAY  # for action_source physical_store

# user_data whose keys are a subset of one of these matches nobody (PROTOCOL 1.5)
INSUFFICIENT: Final = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)
# what is not in one of them is enough by itself
SUFFICIENT: Final = tuple(name for name in UserData.model_fields if not any(name in weak for weak in INSUFFICIENT))
CONTENT_TYPES: Final = (None, "product", "product_group")
LIMITED: Final = "LDU"
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Refusal(StrEnum):
    """Why Meta would refuse an event."""

    INSUFFICIENT_USER_DATA = "insufficient_user_data"
    PURCHASE_WITHOUT_VALUE = "purchase_without_value"
    PURCHASE_WITHOUT_CURRENCY = "purchase_without_currency"
    TOO_OLD = "too_old"
    NO_SOURCE_URL = "no_source_url"
    NO_MESSAGING_CHANNEL = "no_messaging_channel"
    NO_APP_DATA = "no_app_data"
    LIMITED_WITHOUT_COUNTRY = "limited_without_country"

    @property
    def code(self) -> str:
        """What Meta would answer: code, and subcode where one is known."""
        return CODES.get(self, "100")

    def __str__(self) -> str:
        return f"{self.value} ({self.code})"


class Remark(StrEnum):
    """What Meta takes, but says or matches less well."""

    NO_USER_AGENT = "no_user_agent"
    NO_CLIENT_IP = "no_client_ip"
    UNKNOWN_CONTENT_TYPE = "unknown_content_type"
    VALUE_WITHOUT_CURRENCY = "value_without_currency"
    LIMITED_WITHOUT_CLIENT_IP = "limited_without_client_ip"


CODES: Final = {
    Refusal.INSUFFICIENT_USER_DATA: "100/2804050",
    Refusal.PURCHASE_WITHOUT_VALUE: "100/2804009",
    Refusal.TOO_OLD: "100/2804003",
    Refusal.NO_MESSAGING_CHANNEL: "100/2804063",
    Refusal.NO_APP_DATA: "100/2804043",
}


def refusal(event: EventJson, now: float) -> Refusal | None:
    """The first reason for which Meta would refuse the event at unix second `now`."""
    for check in CHECKS:
        if reason := check(event, now):
            return reason
    return None


def remarks(event: EventJson) -> list[Remark]:
    """What Meta takes, but would say something about."""
    return [remark for remark, applies in REMARKS.items() if applies(event)]


def _age(event: EventJson, now: float) -> Refusal | None:
    longest = MAX_AGE_IN_STORE if event.get("action_source") == "physical_store" else MAX_AGE
    return Refusal.TOO_OLD if event["event_time"] < now - longest else None


def _user_data(event: EventJson, now: float) -> Refusal | None:
    told = event["user_data"]
    if any(map(told.get, SUFFICIENT)):  # nearly always
        return None
    keys = {key for key, value in told.items() if value}
    return Refusal.INSUFFICIENT_USER_DATA if any(keys <= weak for weak in INSUFFICIENT) else None


def _page(event: EventJson, now: float) -> Refusal | None:
    is_nowhere = event.get("action_source") == "website" and not event.get("event_source_url")
    return Refusal.NO_SOURCE_URL if is_nowhere else None


def _worth(event: EventJson, now: float) -> Refusal | None:
    if event["event_name"] != "Purchase":
        return None
    said = event.get("custom_data", NOTHING)
    if said.get("value") is None:
        return Refusal.PURCHASE_WITHOUT_VALUE
    return Refusal.PURCHASE_WITHOUT_CURRENCY if said.get("currency") is None else None


def _limits(event: EventJson, now: float) -> Refusal | None:
    is_placed = "data_processing_options_country" in event
    return Refusal.LIMITED_WITHOUT_COUNTRY if _is_limited(event) and not is_placed else None


def _channel(event: EventJson, now: float) -> Refusal | None:
    source = event.get("action_source")
    if source == "business_messaging":
        return None if event.get("messaging_channel") else Refusal.NO_MESSAGING_CHANNEL
    return Refusal.NO_APP_DATA if source == "app" and not event.get("app_data") else None


def _is_limited(event: EventJson) -> bool:
    return LIMITED in event.get("data_processing_options", ())


def _lacks(event: EventJson, key: str) -> bool:
    return event.get("action_source") == "website" and not event["user_data"].get(key)


def _limited_without_client_ip(event: EventJson) -> bool:
    return _is_limited(event) and not event["user_data"].get("client_ip_address")


def _unknown_content_type(event: EventJson) -> bool:
    return event.get("custom_data", NOTHING).get("content_type") not in CONTENT_TYPES


def _value_without_currency(event: EventJson) -> bool:
    said = event.get("custom_data", NOTHING)
    return said.get("value") is not None and not said.get("currency")


CHECKS: Final[tuple[Callable[[EventJson, float], Refusal | None], ...]] = (
    _age,
    _user_data,
    _page,
    _worth,
    _limits,
    _channel,
)

REMARKS: Final[dict[Remark, Callable[[EventJson], bool]]] = {
    Remark.NO_USER_AGENT: lambda event: _lacks(event, "client_user_agent"),
    Remark.NO_CLIENT_IP: lambda event: _lacks(event, "client_ip_address"),
    Remark.UNKNOWN_CONTENT_TYPE: _unknown_content_type,
    Remark.VALUE_WITHOUT_CURRENCY: _value_without_currency,
    Remark.LIMITED_WITHOUT_CLIENT_IP: _limited_without_client_ip,
}
