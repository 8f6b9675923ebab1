"""One part of a text that has a separator."""

from typing import Annotated, Final, Literal

from pydantic import Field

from pixeltwin.mapping.transform import Example, TransformSettings


class Settings(TransformSettings):
    """`split` is the separator, `index` says which part: 0 is the first, -1 the last."""

    kind: Literal["split"]
    split: Annotated[str, Field(min_length=1, max_length=100)]
    index: Annotated[int, Field(ge=-1000, le=1000)] = 0

    def apply(self, value: str) -> str | None:
        parts = value.split(self.split)
        return parts[self.index] if -len(parts) <= self.index < len(parts) else None


EXAMPLES: Final = (
    Example({"split": "|", "index": 1}, "de|1001", "1001"),
    Example({"split": "|"}, "de|1001", "de"),
    Example({"split": "|", "index": -1}, "a|b|c", "c"),
    Example({"split": "|", "index": 2}, "de|1001", None),
)
