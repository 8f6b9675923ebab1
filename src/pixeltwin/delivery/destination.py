"""The contract of whoever takes items out of the house. Kinds are the files of `destinations/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Taken:
    """The whole batch was accepted. `answer` is what to show beside it, e.g. Meta's fbtrace_id."""

    answer: str = ""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The batch may succeed later: no answer, a server error, a throttle, a token that a human must mend.

    `after` is how many seconds the other side asked us to wait, None when it did not say.
    """

    reason: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something in the batch will never be accepted. Meta refuses a whole batch for one bad event."""

    reason: str


type Verdict = Taken | TryAgain | Rejected


class Destination(Protocol):
    name: str
    max_batch: int

    async def send(
        self, pixel_id: str, payloads: Sequence[bytes], *, test_event_code: str, credential: str = ""
    ) -> Verdict:
        """Send a batch of one pixel's payloads, 1 to `max_batch` of them. Never raises for what the network does.

        `test_event_code` is that of all of them, empty for none; `credential` names whose token they are sent with,
        empty for the pixel's own.
        """

    async def close(self) -> None:
        """Close connections."""
