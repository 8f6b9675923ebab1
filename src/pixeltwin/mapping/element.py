"""The contract of a data element: a named value read from a request. Kinds are the files of `elements/`."""

from typing import Protocol

from pixeltwin.pixel.request import HitRequest


class Element(Protocol):
    def read(self, request: HitRequest) -> str | None:
        """The element's value in this request, None where it has none. Never raises for what a request holds."""
