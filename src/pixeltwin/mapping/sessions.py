"""The session elements of a config, wherever they are: also as alternatives within `first_of`."""

from collections.abc import Iterator, Mapping

from pixeltwin.mapping.element import Element
from pixeltwin.mapping.elements import first_of, session
from pixeltwin.mapping.elements.session import Settings as Session

type Place = tuple[str | int, ...]


def sessions_within(element: Element) -> Iterator[tuple[Place, Session]]:
    """The sessions that an element's value may be, and where in it they are written."""
    if isinstance(element, session.Settings):
        yield (), element
    elif isinstance(element, first_of.Settings):
        for index, member in enumerate(element.first_of):
            yield from ((("first_of", index, *place), found) for place, found in sessions_within(member))


def sessions_of(elements: Mapping[str, Element]) -> tuple[Session, ...]:
    """All of them."""
    return tuple(found for element in elements.values() for _, found in sessions_within(element))
