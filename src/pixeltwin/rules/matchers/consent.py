"""What the visitor has said: `granted`, `denied` or `unknown`."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator

from pixeltwin.consent.signal import at_least_one
from pixeltwin.consent.verdict import Answer
from pixeltwin.rules.matcher import Example, Matcher, listed
from pixeltwin.rules.moment import Arrival

Answers = frozenset[Literal["granted", "denied", "unknown"]]


class Settings(Matcher):
    """One answer or several."""

    want: Annotated[Answers, BeforeValidator(listed), AfterValidator(at_least_one)]

    def holds(self, moment: Arrival) -> bool:
        return str(moment.verdict.answer) in self.want

    def covers(self, other: "Settings") -> bool:
        return self.want >= other.want


EXAMPLES: Final = (
    Example(written="granted", answer=Answer.GRANTED, holds=True),
    Example(written="granted", holds=False),
    Example(written=["denied", "unknown"], holds=True),
)
