"""Bad days of Graph on order: each fault hits the next requests to the events edge, in the order asked for."""

import json
import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from pixeltwin.sandbox import answers
from pixeltwin.sandbox.answers import Refusal

type Name = Literal["rate_limit", "server_error", "slow", "reset_before_accept", "reset_after_accept", "expired_token"]
NAMES: Final[tuple[str, ...]] = get_args(Name.__value__)

RATE_LIMITED: Final = Refusal(
    detail="There have been too many calls to this ad-account. Wait a bit and try again.",
    message="(#80004) There have been too many calls to this ad-account.",
    code=80004,
)
UNAVAILABLE: Final = Refusal(
    detail="An unexpected error has occurred. Please retry your request later.",
    message="Service temporarily unavailable",
    code=2,
    status=500,
    is_transient=True,
)
EXPIRED: Final = answers.bad_token("Error validating access token: Session has expired.", answers.TOKEN_EXPIRED)
REFUSALS: Final = {"rate_limit": RATE_LIMITED, "server_error": UNAVAILABLE, "expired_token": EXPIRED}


@dataclass(frozen=True, slots=True)
class Fault:
    """One bad answer. `seconds`: how long `slow` takes, or until when `rate_limit` asks to wait."""

    name: Name
    seconds: float = 0.0

    @property
    def refusal(self) -> Refusal | None:
        """The answer in place of the real one, if the fault is of that sort."""
        return REFUSALS.get(self.name)

    def headers(self, pixel_id: str) -> dict[str, str]:
        """Meta's throttling header, which counts in minutes (PROTOCOL 1.11)."""
        if self.name != "rate_limit" or not self.seconds:
            return {}
        minutes = math.ceil(self.seconds / 60)
        usage = {
            "type": "ads_management",
            "call_count": 100,
            "estimated_time_to_regain_access": minutes,
        }
        return {"X-Business-Use-Case-Usage": json.dumps({pixel_id: [usage]})}


class Faults:
    """The faults still to come."""

    def __init__(self) -> None:
        self._queue: deque[Fault] = deque()
        self.served = 0

    def add(self, fault: Fault, times: int) -> None:
        """Let the next `times` requests that no earlier fault has taken meet this one."""
        self._queue.extend([fault] * times)

    def take(self) -> Fault | None:
        """The fault for this request."""
        if not self._queue:
            return None
        self.served += 1
        return self._queue.popleft()

    def clear(self) -> None:
        """Back to good days."""
        self._queue.clear()

    def __len__(self) -> int:
        return len(self._queue)


def parse_fault(body: Any) -> tuple[Fault, int]:
    """The fault that a request asks for, and how often. Raises `ValueError` with a text for the sender."""
    if not isinstance(body, dict) or body.get("fault") not in NAMES:
        raise ValueError(f"fault must be one of {', '.join(NAMES)}")
    times, seconds = body.get("times", 1), body.get("seconds", 0)
    if type(times) is not int or not 1 <= times <= 10_000:  # the queue holds one object a time
        raise ValueError("times must be an integer from 1 to 10000")
    if type(seconds) not in (int, float) or not 0 <= seconds <= 3600:
        raise ValueError("seconds must be a number from 0 to 3600")
    return Fault(body["fault"], float(seconds)), times
