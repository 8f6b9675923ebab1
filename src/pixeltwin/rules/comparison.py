"""Comparing a value with what a rule wants: `gold`, `[gold, vip]`, `{ above: 100 }`, `{ exists: true }`."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pixeltwin.kinds import FROZEN
from pixeltwin.units import wrong

type Scalar = str | float | bool


class Comparison(BaseModel):
    """What a value has to be; of several wishes all. Texts that are numbers are compared with numbers as numbers.

    `is` lists values of which one has to be it. `above`, `below`, `at_least` and `at_most` are for numbers. `exists` is
    whether there is a value at all.
    """

    model_config = ConfigDict(**FROZEN, json_schema_extra={"minProperties": 1})

    is_: Annotated[tuple[Scalar, ...] | None, Field(alias="is")] = None
    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    exists: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Comparison":
        if not self.model_fields_set:
            raise wrong("write a value, a list of values, or above, below, at_least, at_most or exists")
        return self

    def holds(self, value: Any) -> bool:
        """Whether the value is as wanted; None stands for none."""
        if self.exists is not None and (value is not None) is not self.exists:
            return False
        if self.is_ is not None and not any(_equal(value, wanted) for wanted in self.is_):
            return False
        return all(
            compare(number, limit)
            for limit, compare in ((getattr(self, name), compare) for name, compare in LIMITS.items())
            if limit is not None and (number := _number(value)) is not None
        ) and (not self._has_limits or _number(value) is not None)

    @property
    def _has_limits(self) -> bool:
        return any(getattr(self, name) is not None for name in LIMITS)


def _written(given: Any) -> Any:
    if isinstance(given, Comparison | Mapping):
        return given
    return {"is": tuple(given) if isinstance(given, list | tuple) else (given,)}


def _equal(value: Any, wanted: Scalar) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return str(value).lower() == str(wanted).lower()  # the wire writes true and false
    if isinstance(wanted, str):
        return value is not None and not isinstance(value, dict | list) and str(value) == wanted
    return _number(value) == wanted


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError):
        return None


LIMITS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "above": float.__gt__,
    "below": float.__lt__,
    "at_least": float.__ge__,
    "at_most": float.__le__,
}
Wanted = Annotated[Comparison, BeforeValidator(_written, Scalar | list[Scalar] | Comparison)]
Comparisons = Annotated[Mapping[str, Wanted], Field(min_length=1)]
