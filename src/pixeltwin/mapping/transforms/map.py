"""Another text for some texts."""

from collections.abc import Mapping
from typing import Final, Literal

from pixeltwin.mapping.transform import Example, Text, TransformSettings


class Settings(TransformSettings):
    """`map` says what becomes what, `default` what anything else becomes; without it that becomes nothing."""

    kind: Literal["map"]
    map: Mapping[str, Text]
    default: Text | None = None

    def apply(self, value: str) -> str | None:
        return self.map.get(value, self.default)


EXAMPLES: Final = (
    Example({"map": {"gold": "vip", "silver": "vip"}, "default": "regular"}, "gold", "vip"),
    Example({"map": {"gold": "vip"}, "default": "regular"}, "bronze", "regular"),
    Example({"map": {"1": 2}}, "1", "2"),
    Example({"map": {"gold": "vip"}}, "bronze", None),
)
