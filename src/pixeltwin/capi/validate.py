"""What Meta refuses, found before it is sent: one bad event makes Meta refuse the whole batch (PROTOCOL 1.9).

What Meta takes, but matches less well, is a remark. Codes are Meta's (PROTOCOL 1.11).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from pixeltwin.capi.event import ServerEvent, UserData

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


def refusal(event: ServerEvent, now: float) -> Refusal | None:
    """The first reason for which Meta would refuse the event at unix second `now`."""
    for check in CHECKS:
        if reason := check(event, now):
            return reason
    return None


def remarks(event: ServerEvent) -> list[Remark]:
    """What Meta takes, but would say something about."""
    return [remark for remark, applies in REMARKS.items() if applies(event)]


def _age(event: ServerEvent, now: float) -> Refusal | None:
    longest = MAX_AGE_IN_STORE if event.action_source == "physical_store" else MAX_AGE
    return Refusal.TOO_OLD if event.event_time < now - longest else None


def _user_data(event: ServerEvent, now: float) -> Refusal | None:
    told = vars(event.user_data)
    if any(map(told.get, SUFFICIENT)):  # nearly always
        return None
    keys = {key for key, value in told.items() if value}
    return Refusal.INSUFFICIENT_USER_DATA if any(keys <= weak for weak in INSUFFICIENT) else None


def _page(event: ServerEvent, now: float) -> Refusal | None:
    return Refusal.NO_SOURCE_URL if event.action_source == "website" and not event.event_source_url else None


def _worth(event: ServerEvent, now: float) -> Refusal | None:
    if event.event_name != "Purchase":
        return None
    if event.custom_data is None or event.custom_data.value is None:
        return Refusal.PURCHASE_WITHOUT_VALUE
    return Refusal.PURCHASE_WITHOUT_CURRENCY if event.custom_data.currency is None else None


def _limits(event: ServerEvent, now: float) -> Refusal | None:
    is_placed = event.data_processing_options_country is not None
    return Refusal.LIMITED_WITHOUT_COUNTRY if _is_limited(event) and not is_placed else None


def _channel(event: ServerEvent, now: float) -> Refusal | None:
    if event.action_source == "business_messaging":
        return None if event.messaging_channel else Refusal.NO_MESSAGING_CHANNEL
    return Refusal.NO_APP_DATA if event.action_source == "app" and not event.app_data else None


def _is_limited(event: ServerEvent) -> bool:
    return LIMITED in (event.data_processing_options or ())


def _unknown_content_type(event: ServerEvent) -> bool:
    """A property like any other: asking pydantic for it as for a field takes as long as all remarks together."""
    return ((event.custom_data and event.custom_data.model_extra) or {}).get("content_type") not in CONTENT_TYPES


def _value_without_currency(event: ServerEvent) -> bool:
    said = event.custom_data
    return said is not None and said.value is not None and not said.currency


CHECKS: Final[tuple[Callable[[ServerEvent, float], Refusal | None], ...]] = (
    _age,
    _user_data,
    _page,
    _worth,
    _limits,
    _channel,
)

REMARKS: Final[dict[Remark, Callable[[ServerEvent], bool]]] = {
    Remark.NO_USER_AGENT: lambda event: event.action_source == "website" and not event.user_data.client_user_agent,
    Remark.NO_CLIENT_IP: lambda event: event.action_source == "website" and not event.user_data.client_ip_address,
    Remark.UNKNOWN_CONTENT_TYPE: _unknown_content_type,
    Remark.VALUE_WITHOUT_CURRENCY: _value_without_currency,
    Remark.LIMITED_WITHOUT_CLIENT_IP: lambda event: _is_limited(event) and not event.user_data.client_ip_address,
}
