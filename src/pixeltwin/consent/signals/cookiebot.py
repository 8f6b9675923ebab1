"""Cookiebot's cookie `CookieConsent`, a JavaScript object as text, with true or false for each category.

https://www.cookiebot.com/en/developer/
"""

from typing import Final, Literal
from urllib.parse import unquote

from pixeltwin.consent.signal import CookieName, Example, SignalSettings, cookie
from pixeltwin.consent.verdict import Answer
from pixeltwin.pixel.visit import Visit

WHOLE: Final = {
    "-1": Answer.GRANTED,  # "not within a region that requires consent"
    "0": Answer.DENIED,  # "has not accepted cookies": strictly necessary ones only
}


class Settings(SignalSettings):
    """`cookiebot` is the cookie's name, `category` the one that stands for advertising."""

    kind: Literal["cookiebot"]
    cookiebot: CookieName
    category: Literal["preferences", "statistics", "marketing"] = "marketing"

    def read(self, visit: Visit) -> Answer:
        text = unquote(cookie(visit, self.cookiebot))
        if text in WHOLE:
            return WHOLE[text]
        is_whole = text.startswith("{") and text.endswith("}")
        choices = text[1:-1].split(",") if is_whole else ()
        if f"{self.category}:false" in choices:
            return Answer.DENIED
        return Answer.GRANTED if f"{self.category}:true" in choices else Answer.UNKNOWN


CHOSEN: Final = "{stamp:%27Uum==%27%2Cnecessary:true%2Cpreferences:false%2Cstatistics:true%2Cmarketing:false%2Cver:1}"

EXAMPLES: Final = (
    Example(
        written={"cookiebot": "CookieConsent", "category": "marketing"},
        headers={"cookie": f"CookieConsent={CHOSEN}"},
        answer=Answer.DENIED,
    ),
    Example(
        written={"cookiebot": "CookieConsent", "category": "statistics"},
        headers={"cookie": f"CookieConsent={CHOSEN}"},
        answer=Answer.GRANTED,
    ),
    Example(
        written={"cookiebot": "CookieConsent"},
        headers={"cookie": "CookieConsent=-1"},
        answer=Answer.GRANTED,
    ),
    Example(
        written={"cookiebot": "CookieConsent"},
        headers={"cookie": "CookieConsent={stamp:%27marketing:true%27%2Cnecessary:true%2Cver:1}"},
        answer=Answer.UNKNOWN,
    ),
)
