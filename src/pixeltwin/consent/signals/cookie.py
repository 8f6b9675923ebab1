"""A plain cookie, of the shop's own or of a platform that has no kind here."""

from typing import Final, Literal
from urllib.parse import unquote

from pixeltwin.consent import signal
from pixeltwin.consent.signal import CookieName, Example, ListedAnswers
from pixeltwin.consent.verdict import Answer
from pixeltwin.pixel.visit import Visit


class Settings(ListedAnswers):
    """`cookie` is the cookie's name, `granted` and `denied` are lists of what it may hold; percent codes are undone."""

    kind: Literal["cookie"]
    cookie: CookieName

    def read(self, visit: Visit) -> Answer:
        return self.answer(unquote(signal.cookie(visit, self.cookie)))


EXAMPLES: Final = (
    Example(
        written={"cookie": "ads", "granted": ["yes", 1, True], "denied": ["no"]},
        headers={"cookie": "ads=true"},
        answer=Answer.GRANTED,
    ),
    Example(
        written={"cookie": "ads", "granted": ["yes"], "denied": ["no way"]},
        headers={"cookie": "ads=no%20way"},
        answer=Answer.DENIED,
    ),
    Example(
        written={"cookie": "ads", "granted": ["yes"]},
        headers={"cookie": "ads=perhaps"},
        answer=Answer.UNKNOWN,
    ),
)
