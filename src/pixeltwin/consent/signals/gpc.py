"""Global Privacy Control: a browser that says for its user that data are not to be sold or shared.

https://www.w3.org/TR/gpc/
"""

from typing import Final, Literal

from pixeltwin.consent.signal import Example, SignalSettings
from pixeltwin.consent.verdict import Answer
from pixeltwin.pixel.visit import Visit


class Settings(SignalSettings):
    """It has no options."""

    kind: Literal["gpc"]

    def read(self, visit: Visit) -> Answer:
        sent = (value.strip() for value in visit.request.header("sec-gpc").split(","))
        return Answer.DENIED if "1" in sent else Answer.UNKNOWN


EXAMPLES: Final = (
    Example(written="gpc", headers={"sec-gpc": "1"}, answer=Answer.DENIED),
    Example(written="gpc", headers={"sec-gpc": "0"}, answer=Answer.UNKNOWN),
)
