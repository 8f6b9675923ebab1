"""A data element: any value that a hit carries, after its pattern and transforms."""

from typing import Final, Literal

from pixeltwin.consent.signal import Example, ListedAnswers
from pixeltwin.consent.verdict import Answer
from pixeltwin.pixel.visit import Visit


class Settings(ListedAnswers):
    """`element` is the element's name, `granted` and `denied` are lists of its values."""

    kind: Literal["element"]
    element: str

    def read(self, visit: Visit) -> Answer:
        value = visit.element(self.element)
        return Answer.UNKNOWN if value is None else self.answer(value)


EXAMPLES: Final = (
    Example(
        written={"element": "ads", "granted": ["yes"], "denied": ["no"]},
        elements={"ads": "yes"},
        answer=Answer.GRANTED,
    ),
    Example(
        written={"element": "ads", "denied": [0, False]},
        elements={"ads": "0"},
        answer=Answer.DENIED,
    ),
    Example(
        written={"element": "ads", "granted": ["yes"]},
        elements={"other": "yes"},
        answer=Answer.UNKNOWN,
    ),
)
