"""What Meta refuses, found before it is sent: one bad event makes Meta refuse the whole batch (PROTOCOL 1.9)."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from pixeltwin.capi.event import ServerEvent

# user_data whose keys are a subset of one of these matches nobody (100/2804050, PROTOCOL 1.5)
INSUFFICIENT: Final = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)


class Refusal(StrEnum):
    """Why Meta would refuse an event."""

    INSUFFICIENT_USER_DATA = "insufficient_user_data"  # 100/2804050
    PURCHASE_WITHOUT_VALUE = "purchase_without_value"  # 100/2804009
    PURCHASE_WITHOUT_CURRENCY = "purchase_without_currency"


def refusal(event: ServerEvent) -> Refusal | None:
    """The first reason for which Meta would refuse the event."""
    return next((reason for reason, applies in CHECKS.items() if applies(event)), None)


def _insufficient_user_data(event: ServerEvent) -> bool:
    keys = frozenset(event.user_data.model_dump(exclude_none=True))
    return any(keys <= weak for weak in INSUFFICIENT)


def _purchase_lacks(field: str) -> Callable[[ServerEvent], bool]:
    def lacks(event: ServerEvent) -> bool:
        return event.event_name == "Purchase" and getattr(event.custom_data, field, None) is None

    return lacks


CHECKS: Final[dict[Refusal, Callable[[ServerEvent], bool]]] = {
    Refusal.INSUFFICIENT_USER_DATA: _insufficient_user_data,
    Refusal.PURCHASE_WITHOUT_VALUE: _purchase_lacks("value"),
    Refusal.PURCHASE_WITHOUT_CURRENCY: _purchase_lacks("currency"),
}
