"""One hit with everything that a decision about it may look at."""

from collections.abc import Callable
from typing import NamedTuple

from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest


class Place(NamedTuple):
    """Where the visitor is, as the front in front of us says: ISO 3166 codes in capitals, empty where not known."""

    country: str = ""
    region: str = ""  # of the country: CA for US-CA


def nothing(name: str) -> str | None:
    """There are no data elements."""
    return None


class Visit(NamedTuple):
    """A hit, the request that brought it, and what is known around it.

    `client_ip` is the visitor's public address as far as it is believed. `element` answers a data element's value by
    name, None where it has none.
    """

    request: HitRequest
    hit: PixelHit
    client_ip: str | None = None
    place: Place = Place()
    element: Callable[[str], str | None] = nothing
