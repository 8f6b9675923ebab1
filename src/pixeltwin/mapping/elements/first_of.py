"""The first of several elements that has a value."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, Field

from pixeltwin.mapping.element import ElementSettings, Example, at_least_one
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

if TYPE_CHECKING:
    from pixeltwin.mapping.element import ElementSettings as AnyElement


class Settings(ElementSettings):
    """`first_of` lists elements, with options of their own. It can be trusted as far as all of them can."""

    kind: Literal["first_of"]
    first_of: Annotated[tuple["AnyElement", ...], Field(max_length=20), AfterValidator(at_least_one)]

    @property
    def trusted(self) -> bool:
        return all(element.trusted for element in self.first_of)

    def found(self, request: HitRequest, hit: PixelHit, failed: Callable[[], None]) -> str | None:
        values = (element.read(request, hit, failed) for element in self.first_of)
        return next((value for value in values if value is not None), None)


EXAMPLES: Final = (
    Example(
        written={"first_of": [{"custom_data": "lead_id"}, {"cookie": "lead", "pattern": "[0-9]+"}]},
        headers={"cookie": "lead=77"},
        gives="77",
    ),
    Example(
        written={"first_of": [{"custom_data": "lead_id"}, {"cookie": "lead"}]},
        hit={"cd[lead_id]": "78"},
        headers={"cookie": "lead=77"},
        gives="78",
    ),
)
