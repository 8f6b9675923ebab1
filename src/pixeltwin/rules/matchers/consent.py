"""What the visitor has said: `granted`, `denied` or `unknown`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from pixeltwin.rules.matcher import Matcher, listed
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """One answer or several."""

    want: Annotated[frozenset[Literal["granted", "denied", "unknown"]], BeforeValidator(listed)]

    def holds(self, moment: Arrival) -> bool:
        return str(moment.verdict.answer) in self.want

    def covers(self, other: "Settings") -> bool:
        return self.want >= other.want
