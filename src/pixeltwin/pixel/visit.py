"""One hit with everything that a decision about it may look at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest


class Place(NamedTuple):
    """Where the visitor is, as the front in front of us says: ISO 3166 codes in capitals, empty where not known."""

    country: str = ""
    region: str = ""  # of the country: CA for US-CA


NOWHERE: Final = Place()


def nothing(name: str) -> str | None:
    """There are no data elements."""
    return None


@dataclass  # frozen by its types alone, like a hit
class Visit:
    """A hit, the request that brought it, and what is known around it.

    `client_ip` is the visitor's public address as far as it is believed. `element` answers a data element's value by
    name, None where it has none.
    """

    request: Final[HitRequest]
    hit: Final[PixelHit]
    client_ip: Final[str | None]
    place: Final[Place]
    element: Final[Callable[[str], str | None]]
