"""An environment variable, read once when the config is loaded. It may end up in events: no place for secrets."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import PrivateAttr, ValidationInfo, field_validator

from pixeltwin.mapping.element import ElementSettings, Example
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest


def _environment(context: Any) -> Mapping[str, str]:
    """The variables the config is read with, else the process's own."""
    found: Mapping[str, str] = context["env"] if isinstance(context, dict) and "env" in context else os.environ
    return found


class Settings(ElementSettings):
    """`env` is the variable's name. One that is not set needs a `default`."""

    TRUSTED: ClassVar[bool] = True

    kind: Literal["env"]
    env: str

    _value: str | None = PrivateAttr(default=None)

    @field_validator("env")
    @classmethod
    def _is_set(cls, name: str, info: ValidationInfo) -> str:
        if not _environment(info.context).get(name) and info.data.get("default") is None:
            raise ValueError("export that variable, or write a `default`")
        return name

    def model_post_init(self, context: Any, /) -> None:
        self._value = _environment(context).get(self.env)

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        return self._value


EXAMPLES: Final = (
    Example(written={"env": "SHOP_REGION"}, env={"SHOP_REGION": "emea"}, gives="emea", else_gives="emea"),
    Example(written={"env": "SHOP_REGION", "default": "emea"}, gives="emea", else_gives="emea"),
)
