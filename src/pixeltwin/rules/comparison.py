"""Comparing a value with what a rule wants: `gold`, `[gold, vip]`, `{ above: 100 }`, `{ exists: true }`."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pixeltwin.kinds import FROZEN
from pixeltwin.mapping.custom_data import number
from pixeltwin.units import wrong

type Scalar = str | float | bool
type Compare = Callable[[float, float], bool]


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
        if not self._is_possible:
            raise wrong("write wishes that one value can fulfil: these exclude each other")
        return self

    @property
    def _is_possible(self) -> bool:
        """Whether there may be a value that is as wanted."""
        if self.exists is False:
            return self.is_ is None and not self._limits
        if self.is_ is not None:
            return any(map(self.holds, self.is_))
        lowest = [limit for limit in (self.above, self.at_least) if limit is not None]
        highest = [limit for limit in (self.below, self.at_most) if limit is not None]
        if not lowest or not highest:
            return True
        low, high = max(lowest), min(highest)
        return low < high or (low == high and self.above != low and self.below != high)

    def holds(self, value: Any) -> bool:
        """Whether the value is as wanted; None stands for none."""
        if self.exists is not None and (value is not None) is not self.exists:
            return False
        if self.is_ is not None and not any(_equal(value, wanted) for wanted in self.is_):
            return False
        return not self._limits or self._is_within(_number(value))

    @cached_property
    def _limits(self) -> tuple[tuple[Compare, float], ...]:
        limits = ((compare, getattr(self, name)) for name, compare in LIMITS.items())
        return tuple((compare, limit) for compare, limit in limits if limit is not None)

    def _is_within(self, number: float | None) -> bool:
        return number is not None and all(compare(number, limit) for compare, limit in self._limits)


def _written(given: Any) -> Any:
    if isinstance(given, Comparison | Mapping):
        return given
    return {"is": tuple(given) if isinstance(given, list | tuple) else (given,)}


def _equal(value: Any, wanted: Scalar) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return str(value).lower() == str(wanted).lower()  # the wire writes true and false
    if isinstance(value, str) and isinstance(wanted, str):
        return value == wanted
    found = _number(value)
    return found is not None and found == _number(wanted)


def _number(value: Any) -> float | None:
    return number(str(value).strip()) if isinstance(value, str | int | float) else None


LIMITS: Final[Mapping[str, Compare]] = {
    "above": float.__gt__,
    "below": float.__lt__,
    "at_least": float.__ge__,
    "at_most": float.__le__,
}
Wanted = Annotated[Comparison, BeforeValidator(_written, Scalar | list[Scalar] | Comparison)]
Comparisons = Annotated[Mapping[str, Wanted], Field(min_length=1)]
