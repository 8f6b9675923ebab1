"""What Meta refuses, found before it is sent: one bad event makes Meta refuse the whole batch (PROTOCOL 1.9).

What Meta takes, but matches less well, is a remark. Codes are Meta's (PROTOCOL 1.11).
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final

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
    for reason, applies in REFUSALS.items():
        if applies(event, now):
            return reason
    return None


def remarks(event: ServerEvent) -> Iterator[Remark]:
    """What Meta takes, but would say something about."""
    return (remark for remark, applies in REMARKS.items() if applies(event))


def _insufficient_user_data(event: ServerEvent, now: float) -> bool:
    told = vars(event.user_data)
    if any(map(told.get, SUFFICIENT)):  # nearly always
        return False
    keys = {key for key, value in told.items() if value}
    return any(keys <= weak for weak in INSUFFICIENT)


def _purchase_lacks(field: str) -> Callable[[ServerEvent, float], bool]:
    return lambda event, now: event.event_name == "Purchase" and _custom(event, field) is None


def _too_old(event: ServerEvent, now: float) -> bool:
    longest = MAX_AGE_IN_STORE if event.action_source == "physical_store" else MAX_AGE
    return event.event_time < now - longest


def _is_limited(event: ServerEvent) -> bool:
    return LIMITED in (event.data_processing_options or ())


def _custom(event: ServerEvent, field: str) -> Any:
    return getattr(event.custom_data, field, None)


def _content_type(event: ServerEvent) -> Any:
    """A property like any other: asking pydantic for it as for a field takes as long as all remarks together."""
    return ((event.custom_data and event.custom_data.model_extra) or {}).get("content_type")


REFUSALS: Final[dict[Refusal, Callable[[ServerEvent, float], bool]]] = {
    Refusal.TOO_OLD: _too_old,
    Refusal.INSUFFICIENT_USER_DATA: _insufficient_user_data,
    Refusal.NO_SOURCE_URL: lambda event, now: event.action_source == "website" and not event.event_source_url,
    Refusal.PURCHASE_WITHOUT_VALUE: _purchase_lacks("value"),
    Refusal.PURCHASE_WITHOUT_CURRENCY: _purchase_lacks("currency"),
    Refusal.LIMITED_WITHOUT_COUNTRY: lambda event, now: (
        _is_limited(event) and event.data_processing_options_country is None
    ),
    Refusal.NO_MESSAGING_CHANNEL: lambda event, now: (
        event.action_source == "business_messaging" and not event.messaging_channel
    ),
    Refusal.NO_APP_DATA: lambda event, now: event.action_source == "app" and not event.app_data,
}

REMARKS: Final[dict[Remark, Callable[[ServerEvent], bool]]] = {
    Remark.NO_USER_AGENT: lambda event: event.action_source == "website" and not event.user_data.client_user_agent,
    Remark.NO_CLIENT_IP: lambda event: event.action_source == "website" and not event.user_data.client_ip_address,
    Remark.UNKNOWN_CONTENT_TYPE: lambda event: _content_type(event) not in CONTENT_TYPES,
    Remark.VALUE_WITHOUT_CURRENCY: lambda event: _custom(event, "value") is not None and not _custom(event, "currency"),
    Remark.LIMITED_WITHOUT_CLIENT_IP: lambda event: _is_limited(event) and not event.user_data.client_ip_address,
}
