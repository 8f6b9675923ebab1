"""What Graph answers: success, and refusals in Meta's shape (PROTOCOL 1.11). Texts are our own; codes are Meta's."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

TOO_OLD: Final = 2804003
PURCHASE_WITHOUT_VALUE: Final = 2804009
EXTINFO_INCOMPLETE: Final = 2804043
CANNOT_MATCH: Final = 2804050
MESSAGING_CHANNEL_MISSING: Final = 2804063
NO_SUCH_OBJECT: Final = 33
TOKEN_EXPIRED: Final = 463

TITLES: Final = {
    TOO_OLD: "Event Timestamp Too Old",
    PURCHASE_WITHOUT_VALUE: "Missing Value for Purchase Event",
    EXTINFO_INCOMPLETE: "Incomplete extinfo",
    CANNOT_MATCH: "Not Enough Customer Information",
    MESSAGING_CHANNEL_MISSING: "Missing Messaging Channel",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is refused. `blame` is the path of the parameter at fault, as in `blame_field_specs`."""

    detail: str
    code: int = 100
    subcode: int | None = None
    blame: tuple[str, ...] = ()
    message: str = "Invalid parameter"
    type: str = "OAuthException"
    status: int = 400
    is_transient: bool = False

    def body(self) -> dict[str, Any]:
        """The answer as JSON. A new `fbtrace_id` each time."""
        error: dict[str, Any] = {
            "message": self.message,
            "type": self.type,
            "code": self.code,
            "is_transient": self.is_transient,
            "error_user_title": TITLES.get(self.subcode or 0, self.message),
            "error_user_msg": self.detail,
            "fbtrace_id": fbtrace_id(),
        }
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.blame:
            error["error_data"] = {"blame_field_specs": [list(self.blame)]}
        return {"error": error}


def accepted(count: int, messages: Sequence[str]) -> dict[str, Any]:
    """The answer to a batch that was taken: counts what was accepted, not what was matched or de-duplicated."""
    return {"events_received": count, "messages": list(messages), "fbtrace_id": fbtrace_id()}


def fbtrace_id() -> str:
    """A random id in the form of Meta's own."""
    return "A" + secrets.token_urlsafe(16)


def bad_token(detail: str, subcode: int | None = None) -> Refusal:
    """Code 190: live it comes with HTTP 401 (PROTOCOL 1.11)."""
    return Refusal(detail=detail, code=190, subcode=subcode, status=401, message="Invalid OAuth access token data.")


def no_such_pixel(pixel_id: str) -> Refusal:
    """Code 100, subcode 33: a pixel that is not there, or that the token may not use."""
    text = f"Unsupported post request. Object with ID '{pixel_id}' does not exist or cannot be loaded."
    return Refusal(detail=text, message=text, subcode=NO_SUCH_OBJECT, type="GraphMethodException")


def deprecated_version(current: int) -> Refusal:
    """What an expired version and a call without one get: Marketing API edges need a live version (PROTOCOL 1.1)."""
    text = f"(#2635) You are calling a deprecated version of the Ads API. Use the latest version: v{current}.0."
    return Refusal(detail=text, message=text, code=2635)


def unknown_path(path: str) -> Refusal:
    """What a path that Graph has no edge for gets."""
    text = f"Unknown path components: {path}"
    return Refusal(detail=text, message=text, code=2500)


def unsupported_method(method: str) -> Refusal:
    """What an edge answers to a method that it does not know."""
    text = f"Unsupported {method.lower()} request."
    return Refusal(detail=text, message=text, type="GraphMethodException")
