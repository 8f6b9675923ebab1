"""Whatever a pattern of your own matches: member numbers, IBANs, the form of your customers' ids."""

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator

from pixeltwin.patterns import compiled, encodable
from pixeltwin.privacy.filter import Example, FilterSettings, Span

WHOLE_TEXT: Final = ("\\A", "\\z", "\\Z")


def check(pattern: str) -> str:
    """A pattern that finds something in a text. Raises `ValueError`."""
    if any(anchor in pattern for anchor in WHOLE_TEXT):
        raise ValueError("write ^ and $: of several texts each is a line")
    if _lines(pattern).search("") is not None:
        raise ValueError("write a pattern that does not match an empty text: it would be found everywhere")
    return pattern


class Settings(FilterSettings):
    """`pattern` is a regular expression of RE2, whose match is personal data; `^` and `$` are a text's ends."""

    kind: Literal["pattern"]
    pattern: Annotated[str, AfterValidator(check)]

    def suspects(self, text: str) -> bool:
        return _lines(self.pattern).search(encodable(text)) is not None

    def spans(self, text: str, *, named: bool) -> Iterable[Span]:
        return (found.span() for found in _lines(self.pattern).finditer(encodable(text)))


def _lines(pattern: str) -> Any:
    return compiled(f"(?m){pattern}")


MEMBER: Final = {"pattern": "M-[0-9]{6}"}

EXAMPLES: Final = (
    Example(written=MEMBER, given="member M-123456, hello", gives="member _removed_, hello"),
    Example(written=MEMBER, given="id%3DM%2D123456", gives="id%3D_removed_"),
    Example(written={"pattern": "(?i)^de[0-9]{20}$"}, given="DE89370400440532013000", gives="_removed_"),
    Example(written={"pattern": "größe [0-9]+"}, given="ü größe 44 ü", gives="ü _removed_ ü"),
    Example(written=MEMBER, given="M-12345", gives="M-12345"),
)
