"""What Meta answers, and what that asks of us (PROTOCOL 1.11). Texts are localised by the token's owner: codes decide.

https://developers.facebook.com/docs/graph-api/guides/error-handling
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

import orjson


class Fault(StrEnum):
    """What is wrong with a post that was not taken, by what is to be done about it."""

    TRANSIENT = "transient"  # try again
    THROTTLE = "throttle"  # leave the pixel alone for a while
    SETUP = "setup"  # a human must mend a token or a permission: the events wait, none is dropped
    DATA = "data"  # an event will never be taken
    TOO_BIG = "too_big"  # post less at once
    UNKNOWN = "unknown"  # refused, and nobody has documented why


BY_STATUS: Final[Mapping[int, Fault]] = {
    408: Fault.TRANSIENT,
    413: Fault.TOO_BIG,
    429: Fault.THROTTLE,
    **dict.fromkeys(range(500, 600), Fault.TRANSIENT),
}
BY_CODE: Final[Mapping[int, Fault]] = {
    **dict.fromkeys((1, 2, 341, 368, 5000, 21009), Fault.TRANSIENT),
    **dict.fromkeys((4, 17, 32, 613, *range(80000, 80015)), Fault.THROTTLE),
    **dict.fromkeys((3, 10, 102, 104, 190, 294, 803, *range(200, 300)), Fault.SETUP),
    **dict.fromkeys((100, 105), Fault.DATA),
    -3: Fault.TOO_BIG,
}
BY_SUBCODE: Final[Mapping[tuple[int, int], Fault]] = {
    (100, 33): Fault.SETUP,  # no such pixel, or no permission for it
}

RENEW: Final = "give the pixel a new access token, made in Events Manager; what waits is then sent"
GRANT: Final = "let the token's system user manage the data set, in Meta's business settings"
CHECK_IDS: Final = "compare the pixel's id and the token's owner with Events Manager: one of them is wrong"
REMEDIES: Final[Mapping[int, str]] = {
    102: RENEW,
    104: "let the app's settings not require an app secret proof, or give the pixel a system user's token",
    190: RENEW,
    **dict.fromkeys((3, 10, 294, *range(200, 300)), GRANT),
}

LONGEST_WAIT: Final = 24 * 3600.0  # seconds; no header parks a pixel for longer
LONGEST_TEXT: Final = 300  # characters of Meta's that are shown
BLAME: Final = re.compile(r"\bdata(?:\[|/)(\d{1,4})(?:\]|/|$)")
BUSINESS_USAGE: Final = ("x-business-use-case-usage", "x-business-use-case")
USAGE: Final = ("x-app-usage", "x-ad-account-usage")
SHARES: Final = ("call_count", "total_cputime", "total_time", "acc_id_util_pct")  # of what is allowed, in percent
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Accepted:
    """Meta took `events_received` events.

    `usage` is how much of what Meta allows has been used by now, in percent, 0 where it does not say; at 100 it would
    refuse. `after` is how many seconds it asks us to wait.
    """

    events_received: int
    fbtrace_id: str
    usage: float = 0.0
    after: float | None = None


@dataclass(frozen=True, slots=True)
class GraphError:
    """Meta took nothing. `code` and `subcode` are 0 where the answer was not Graph-shaped.

    `blamed` are the positions of the events that Meta names, `after` is how many seconds it asks us to wait.
    """

    status: int
    code: int
    subcode: int
    message: str
    fault: Fault
    blamed: tuple[int, ...] = ()
    after: float | None = None

    @property
    def codes(self) -> str:
        """Code and subcode: `100/2804050`, `190`; empty where there is none."""
        return "/".join(str(number) for number in (self.code, self.subcode) if number)

    @property
    def remedy(self) -> str:
        """What a human must do about a fault of the set-up."""
        return REMEDIES.get(self.code, CHECK_IDS)

    def __str__(self) -> str:
        return f"HTTP {self.status}, code {self.codes}: {self.message}" if self.code else f"HTTP {self.status}"


type Reply = Accepted | GraphError


def parse_reply(status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS, now: float = 0.0) -> Reply:
    """What the answer says. A body that is not Graph's counts as a passing fault, a 200 of that kind too.

    `headers` are asked for by lower-case names; `now` (unix seconds) is what a date in them is compared with.
    """
    answer = _json(body)
    received = answer.get("events_received")
    if status == 200 and type(received) is int:  # a bool is none
        return Accepted(received, str(answer.get("fbtrace_id", "")), _usage(headers), asked_wait(headers, now))
    error = answer.get("error")
    return _graph_error(status, error if isinstance(error, dict) else {}, asked_wait(headers, now))


def fault_of(status: int, code: int, subcode: int, *, is_transient: bool) -> Fault:
    """The fault, by the first of these that knows it.

    PROTOCOL 1.11 asks the status before the code. Throttles come first all the same: Meta sends them with
    `is_transient`, or with a 5xx, and whoever took one for a passing fault would keep knocking.
    """
    by_code = BY_CODE.get(code)
    return (
        (by_code if by_code is Fault.THROTTLE else None)
        or BY_STATUS.get(status)
        or (Fault.TRANSIENT if is_transient else None)
        or BY_SUBCODE.get((code, subcode))
        or by_code
        or (Fault.TRANSIENT if code <= 0 else Fault.UNKNOWN)  # no Graph answer, or one of Meta's negative codes
    )


def asked_wait(headers: Mapping[str, str], now: float) -> float | None:
    """For how many seconds the answer asks us to leave it alone; None: it does not say."""
    waits = [*_retry_after(headers.get("retry-after", ""), now), *_regain_access(headers)]
    longest = max(waits, default=0.0)
    return min(longest, LONGEST_WAIT) if longest > 0 else None


def _graph_error(status: int, error: dict[str, Any], after: float | None) -> GraphError:
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    return GraphError(
        status,
        code,
        subcode,
        _message(error),
        fault_of(status, code, subcode, is_transient=error.get("is_transient") is True),
        tuple(dict.fromkeys(_blamed(error))),
        after,
    )


def _message(error: dict[str, Any]) -> str:
    told = [str(error[name]) for name in ("error_user_title", "error_user_msg") if error.get(name)]
    return ": ".join(told or [str(error.get("message") or "")])[:LONGEST_TEXT]


def _blamed(error: dict[str, Any]) -> Iterator[int]:
    """Positions of events: `["data", "3", "event_time"]`, or `data[3]` in a text."""
    data = error.get("error_data")
    found = data if isinstance(data, dict) else _json(data) if isinstance(data, str) else {}
    specs = found.get("blame_field_specs")
    paths = ["/".join(map(str, spec)) for spec in specs if isinstance(spec, list)] if isinstance(specs, list) else []
    for text in (*paths, str(error.get("error_user_msg", "")), str(error.get("message", ""))):
        yield from map(int, BLAME.findall(text[:LONGEST_TEXT]))


def _retry_after(value: str, now: float) -> Iterator[float]:
    """Seconds, or a date (RFC 9110, 10.2.3)."""
    if value.isascii() and value.isdigit():
        yield float(value[:9])
        return
    try:
        yield parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return


def _regain_access(headers: Mapping[str, str]) -> Iterator[float]:
    """Meta's own header counts in minutes: `{"<id>": [{"estimated_time_to_regain_access": 2}]}`."""
    for usage in _business_usages(headers):
        yield _number(usage.get("estimated_time_to_regain_access")) * 60.0


def _usage(headers: Mapping[str, str]) -> float:
    """The fullest of all shares: `{"call_count": 95, …}`, or the same in lists by business."""
    usages = [*(_json(headers[name]) for name in USAGE if name in headers), *_business_usages(headers)]
    shares = (usage.get(share) for usage in usages for share in SHARES)
    return max((share for share in shares if isinstance(share, int | float) and share is not True), default=0.0)


def _business_usages(headers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    told = (_json(headers[name]) for name in BUSINESS_USAGE if name in headers)
    found = chain.from_iterable(_lists(by_business.values()) for by_business in told)
    return (usage for usage in found if isinstance(usage, dict))


def _lists(values: Iterable[object]) -> Iterator[object]:
    return chain.from_iterable(value for value in values if isinstance(value, list))


def _json(text: bytes | str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: object) -> int:
    return value if type(value) is int else 0
