"""A lone event is refused, and nobody has documented why: is the event at fault, or all that its pixel sends?

The event, when the pixel is otherwise taken. The set-up, when another event of a different shape is refused alike.
While neither is known the event waits, for its first tries.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

TRIES: Final = 5  # half a minute: on most pixels another event has come by then


class Ruling(StrEnum):
    DATA = "data"
    SETUP = "setup"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Doubt:
    """What was refused, and since when that is unexplained. `is_setup`: it was explained by the pixel's set-up."""

    code: str
    shape: str
    since: float
    is_setup: bool = False


def ruling(refused: Doubt, earlier: Doubt | None, *, taken_at: float, attempts: int) -> Ruling:
    """Who is at fault. `refused.since` is when the search for it began, `taken_at` when the pixel was last taken."""
    known = earlier if earlier and earlier.code == refused.code else None
    if taken_at >= (known or refused).since:
        return Ruling.DATA
    if known and (known.is_setup or known.shape != refused.shape):
        return Ruling.SETUP
    return Ruling.DATA if attempts >= TRIES else Ruling.WAIT


def shape_of(payload: bytes) -> str:
    """What sort of event it is: its name and which fields it has; the same for all that is no JSON object."""
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return ""
    return f"{event.get('event_name')}: {' '.join(_fields(event))}" if isinstance(event, dict) else ""


def _fields(event: dict[str, Any]) -> list[str]:
    inner = [f"{name}.{key}" for name, value in event.items() if isinstance(value, dict) for key in value]
    return sorted((*event, *inner))
