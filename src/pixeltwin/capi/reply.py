"""What Meta answers (PROTOCOL 1.11). Texts are localised by the token's owner: only codes decide."""

from dataclasses import dataclass
from typing import Any, Final

import orjson

THROTTLED: Final = frozenset({4, 17, 32, 613, 80000, 80003, 80004, 80014})
TRANSIENT: Final = frozenset({1, 2, 341, 368, 5000, 21009})
# a token or permission that a human has to mend: the events wait, they are never dropped
SETUP: Final = frozenset({3, 10, 102, 104, 190, 294, 803, *range(200, 300)})
WRONG_OBJECT: Final = (100, 33)  # no such pixel, or no permission for it: a set-up fault despite its code
RETRY_STATUS: Final = frozenset({408, 429, *range(500, 600)})


@dataclass(frozen=True, slots=True)
class Accepted:
    """Meta took `events_received` events."""

    events_received: int
    fbtrace_id: str


@dataclass(frozen=True, slots=True)
class GraphError:
    """Meta refused. `code` and `subcode` are 0 where the answer was not Graph-shaped."""

    status: int
    code: int
    subcode: int
    message: str
    is_transient: bool

    @property
    def is_about_the_data(self) -> bool:
        """True when something in the batch is at fault, and would be again."""
        return not (self.is_transient or self._may_pass or self._is_setup)

    @property
    def _may_pass(self) -> bool:
        return (
            self.code <= 0  # no Graph answer at all, or one of Meta's negative codes
            or self.status in RETRY_STATUS
            or self.code in THROTTLED
            or self.code in TRANSIENT
        )

    @property
    def _is_setup(self) -> bool:
        return self.code in SETUP or (self.code, self.subcode) == WRONG_OBJECT

    def __str__(self) -> str:
        code = f"{self.code}/{self.subcode}" if self.subcode else str(self.code)
        return f"HTTP {self.status}, code {code}: {self.message}" if self.code else f"HTTP {self.status}"


type Reply = Accepted | GraphError


def parse_reply(status: int, body: bytes) -> Reply:
    """What the answer says. A body that is not Graph's counts as a passing fault, a 200 of that kind too."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        return GraphError(status, 0, 0, "", is_transient=True)
    if status == 200 and isinstance(answer.get("events_received"), int):
        return Accepted(answer["events_received"], str(answer.get("fbtrace_id", "")))
    error = answer.get("error")
    return _graph_error(status, error if isinstance(error, dict) else {})


def _graph_error(status: int, error: dict[str, Any]) -> GraphError:
    text = error.get("error_user_msg") or error.get("error_user_title") or error.get("message") or ""
    return GraphError(
        status,
        _number(error.get("code")),
        _number(error.get("error_subcode")),
        str(text),
        is_transient=error.get("is_transient") is True,
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
