"""Text put before the text."""

from typing import Final, Literal

from pixeltwin.mapping.transform import Example, Text, TransformSettings


class Settings(TransformSettings):
    """`prefix` is what is put before it."""

    kind: Literal["prefix"]
    prefix: Text

    def apply(self, value: str) -> str | None:
        return self.prefix + value


EXAMPLES: Final = (Example({"prefix": "ord-"}, "42", "ord-42"),)
