"""A TC string of the IAB's Transparency and Consent Framework, in a cookie."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from pixeltwin.consent.signal import CookieName, Example, SignalSettings, at_least_one, cookie
from pixeltwin.consent.tc_string import decode
from pixeltwin.consent.verdict import Answer
from pixeltwin.pixel.visit import Visit

Purpose = Annotated[int, Field(ge=1, le=24)]


class Settings(SignalSettings):
    """`tcf` is the cookie's name. Each of the `purposes` needs consent, and so does the `vendor` where one is given."""

    kind: Literal["tcf"]
    tcf: CookieName
    purposes: Annotated[tuple[Purpose, ...], AfterValidator(at_least_one)]
    vendor: Annotated[int, Field(ge=1, le=65_535)] | None = None

    def read(self, visit: Visit) -> Answer:
        core = decode(cookie(visit, self.tcf))
        if core is None:
            return Answer.UNKNOWN
        return Answer.GRANTED if core.consents(self.purposes, self.vendor) else Answer.DENIED


# from the tests of the IAB's own decoder: consent to purposes 3 to 9, and to vendors 23, 37, 47, 48, 53, 65 and 98
IAB: Final = "COrEAV4OrXx94ACABBENAHCIAD-AAAAAAACAAxAAAAgAIAwgAgAAAAEAgQAAAAAEAYQAQAAAACAAAABAAA"

EXAMPLES: Final = (
    Example(
        written={"tcf": "euconsent-v2", "purposes": [3, 4, 7], "vendor": 23},
        headers={"cookie": f"a=b; euconsent-v2={IAB}"},
        answer=Answer.GRANTED,
    ),
    Example(
        written={"tcf": "euconsent-v2", "purposes": [1, 2, 7]},
        headers={"cookie": f"euconsent-v2={IAB}"},
        answer=Answer.DENIED,
    ),
    Example(
        written={"tcf": "euconsent-v2", "purposes": [3, 4, 7], "vendor": 24},
        headers={"cookie": f"euconsent-v2={IAB}"},
        answer=Answer.DENIED,
    ),
    Example(
        written={"tcf": "euconsent-v2", "purposes": [3]},
        headers={"cookie": f"euconsent-v2={IAB[:-10]}"},
        answer=Answer.UNKNOWN,
    ),
)
