"""OneTrust's cookie `OptanonConsent`, in which every group of cookies is on or off.

OneTrust writes it when the page loads, with the groups as they are before anybody has chosen. Until then it names the
page on which the visitor arrived; afterwards it says `NotLandingPage`.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import unquote

from pydantic import Field

from pixeltwin.consent.signal import CookieName, Example, SignalSettings, Word, cookie
from pixeltwin.consent.verdict import Answer
from pixeltwin.pixel.visit import Visit

GPC: Final = ("isGpcEnabled", "browserGpcFlag")  # the browser has chosen for the visitor


class Settings(SignalSettings):
    """`onetrust` is the cookie's name, `group` that of the advertising cookies: C0004, if nobody has renamed it."""

    kind: Literal["onetrust"]
    onetrust: CookieName
    group: Annotated[Word, Field(min_length=1, max_length=100)]

    def read(self, visit: Visit) -> Answer:
        fields = _fields(cookie(visit, self.onetrust))
        groups = dict(group.partition(":")[::2] for group in fields.get("groups", "").split(","))
        match groups.get(self.group):
            case "1":
                return Answer.GRANTED
            case "0":
                return Answer.UNKNOWN if _is_untouched(fields) else Answer.DENIED
        return Answer.UNKNOWN


def _fields(text: str) -> dict[str, str]:
    """Decoded after they are taken apart: the landing page's address is among them, and anyone can make up that."""
    pairs = (pair.partition("=") for pair in text.split("&"))
    return {name: unquote(value) for name, _, value in pairs}


def _is_untouched(fields: Mapping[str, str]) -> bool:
    has_arrived = fields.get("landingPath", "NotLandingPage") != "NotLandingPage"
    return has_arrived and fields.get("interactionCount") == "0" and all(fields.get(flag) != "1" for flag in GPC)


EXAMPLES: Final = (
    Example(
        written={"onetrust": "OptanonConsent", "group": "C0004"},
        headers={"cookie": "OptanonConsent=isGpcEnabled=0&version=202411.2.0&groups=C0001%3A1%2CC0002%3A0%2CC0004%3A1"},
        answer=Answer.GRANTED,
    ),
    Example(
        written={"onetrust": "OptanonConsent", "group": "C0004"},
        headers={"cookie": "OptanonConsent=interactionCount=1&landingPath=NotLandingPage&groups=C0001%3A1%2CC0004%3A0"},
        answer=Answer.DENIED,
    ),
    Example(
        written={"onetrust": "OptanonConsent", "group": "C0004"},
        headers={
            "cookie": "OptanonConsent=interactionCount=0&landingPath=https%3A%2F%2Fshop.example%2F&groups=C0004%3A0"
        },
        answer=Answer.UNKNOWN,
    ),
    Example(
        written={"onetrust": "OptanonConsent", "group": 4},
        headers={"cookie": "OptanonConsent=groups=1%3A1%2C4%3A0"},
        answer=Answer.DENIED,
    ),
)
