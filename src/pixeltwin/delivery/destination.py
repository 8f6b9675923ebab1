"""The contract of whoever takes items out of the house. Kinds are the files of `destinations/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Taken:
    """The whole batch was accepted. `answer` is what to show beside it, e.g. Meta's fbtrace_id.

    `missing` is how many fewer items the other side says it received than were sent; which ones, it does not say.
    """

    answer: str = ""
    missing: int = 0


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The batch may succeed later: no answer, a server error.

    `after` is how many seconds the other side asked us to wait, None when it did not say. `ambiguous`: it may have
    been accepted, as the answer was lost and not the batch.
    """

    reason: str
    after: float | None = None
    ambiguous: bool = False
    code: str = ""


@dataclass(frozen=True, slots=True)
class Throttled:
    """We send too much for this pixel. `after` as in `TryAgain`."""

    reason: str
    after: float | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Nothing of this pixel is accepted until a human has mended its set-up. `remedy` says how."""

    reason: str
    remedy: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something in the batch will never be accepted. Meta refuses a whole batch for one bad event.

    `blamed` are the positions of the payloads that the answer names. `is_known`: the answer is documented to be about
    the payload. `answered` is False where nobody answered and a repeat is out of the question.
    """

    reason: str
    code: str = ""
    blamed: tuple[int, ...] = ()
    is_known: bool = True
    answered: bool = True


@dataclass(frozen=True, slots=True)
class TooBig:
    """The batch, or its only payload, is more than the other side reads."""

    reason: str
    code: str = ""


type Verdict = Taken | TryAgain | Throttled | Misconfigured | Rejected | TooBig


class Destination(Protocol):
    """`max_posts` may be under way at a time, `max_posts_of_a_pixel` of them for one pixel.

    `takes_repeats`: a batch that may have arrived may be sent again, as its events are told apart over there.
    """

    name: str
    takes_repeats: bool
    max_batch: int
    max_posts: int
    max_posts_of_a_pixel: int

    async def send(
        self, pixel_id: str, payloads: Sequence[bytes], *, test_event_code: str, credential: str = ""
    ) -> Verdict:
        """Send a batch of one pixel's payloads, 1 to `max_batch` of them. Never raises for what the network does.

        `test_event_code` is that of all of them, empty for none; `credential` names whose token they are sent with,
        empty for the pixel's own. It ends within `POST_SECONDS` of `delivery.sender`, and at once when it is cancelled.
        """

    async def close(self) -> None:
        """Close connections."""
