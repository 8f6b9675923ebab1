"""Why a hit gets no twin. Every hit ends as a twin or as one of these names.

What is found only when a twin is sealed has its names in `capi.validate`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    # what arrived cannot be read as a hit
    OTHER_PATH = "other_path"
    BODY_TOO_LARGE = "body_too_large"
    URL_TOO_LONG = "url_too_long"
    ENCODED_BODY = "encoded_body"
    UNKNOWN_BODY_TYPE = "unknown_body_type"
    BROKEN_MULTIPART = "broken_multipart"
    TOO_MANY_PARAMETERS = "too_many_parameters"
    BROKEN_JSON = "broken_json"
    NO_EVENTS = "no_events"
    TOO_MANY_EVENTS = "too_many_events"
    BAD_ACCESS_KEY = "bad_access_key"
    # the hit names no event of ours
    NO_PIXEL_ID = "no_pixel_id"
    BAD_PIXEL_ID = "bad_pixel_id"
    UNKNOWN_PIXEL = "unknown_pixel"
    NO_EVENT_NAME = "no_event_name"
    FOREIGN_HOST = "foreign_host"
    FOREIGN_ORIGIN = "foreign_origin"
    RATE_LIMITED = "rate_limited"
    # policy
    AUTOMATIC_EVENT = "automatic_event"
    PRIVACY_SANDBOX_COPY = "privacy_sandbox_copy"
    BOT = "bot"
    NO_WEB_PAGE = "no_web_page"
    EVENT_NOT_LISTED = "event_not_listed"
    DROPPED_BY_RULE = "dropped_by_rule"
    SAMPLED_OUT = "sampled_out"
    CONSENT_DENIED = "consent_denied"
    CONSENT_UNKNOWN = "consent_unknown"
    NOT_VERIFIED = "not_verified"  # no source knows the order
    # ours
    OUTBOX_FAILED = "outbox_failed"
    OUTBOX_BUSY = "outbox_busy"  # it has not answered for so long that no more is kept waiting for it
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Skip:
    """There is no twin, for `reason`."""

    reason: Reason
