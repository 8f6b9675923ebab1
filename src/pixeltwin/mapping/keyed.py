"""What elements have that only a key of the shop's makes believable."""

from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from pixeltwin.mapping.element import ElementSettings

Key = Annotated[SecretStr, Field(min_length=1)]  # an empty key is everybody's


class KeyedElement(ElementSettings):
    """`key` is a secret, `keys` are several while one is replaced: the first is the new one."""

    keys: tuple[Key, ...] = ()
    key: Annotated[Key | None, Field(validate_default=True)] = None

    @field_validator("key")
    @classmethod
    def _or_keys(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and not info.data.get("keys", True):
            raise PydanticKnownError("missing")
        return key

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """All keys, the one in use first."""
        keys = (self.key, *self.keys) if self.key else self.keys
        return tuple(key.get_secret_value().encode() for key in keys)
