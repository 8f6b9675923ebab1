"""What rules see: of a hit that arrives, and later of its twin that is sealed.

When a hit arrives everything about the request is there, and nothing about the customer. When its twin is sealed the
request is gone, and the customer is known.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import SplitResult

from pixeltwin.capi.event import ServerEvent
from pixeltwin.consent.verdict import Verdict
from pixeltwin.expressions import Scope, plain
from pixeltwin.pixel.views import http_of, page_of, parts_of
from pixeltwin.pixel.visit import Visit

type Read = Callable[[], Any]


class Moment:
    """An event on its way through the rules. `event` changes as they set it; `element` answers data elements."""

    def __init__(
        self,
        event: ServerEvent,
        element: Callable[[str], str | None],
        seen: Mapping[str, Read],
        variables: Iterable[str],
        elements: Iterable[str],
    ) -> None:
        """`seen` are the variables there are; `variables` and `elements` those that any expression asks for."""
        self.event = event
        self.element = element
        own: dict[str, Read] = {
            "el": lambda: {name: element(name) or "" for name in elements},
            "event": lambda: event_of(self.event),
            "page": lambda: page_of(self.event.event_source_url or ""),
        }
        readers = {**seen, **own}
        self.scope = Scope(lambda name: readers[name](), variables)

    def set_event(self, event: ServerEvent) -> None:
        self.event = event
        for name in ("custom_data", "page"):
            self.__dict__.pop(name, None)
        self.scope.changed("event")
        self.scope.changed("page")

    @cached_property
    def custom_data(self) -> Mapping[str, Any]:
        """The event's custom data as JSON."""
        given = self.event.custom_data
        return given.model_dump(mode="json", exclude_none=True) if given else {}

    @cached_property
    def page(self) -> SplitResult:
        """The page's address; of a broken one nothing."""
        return parts_of(self.event.event_source_url or "")


class Arrival(Moment):
    """A hit that arrives: `pixel_id` and `pixel_name` are its own pixel's, `verdict` is what consent decided."""

    def __init__(
        self,
        visit: Visit,
        event: ServerEvent,
        verdict: Verdict,
        pixel_name: str,
        variables: Iterable[str] = (),
        elements: Iterable[str] = (),
    ) -> None:
        self.visit = visit
        self.verdict = verdict
        self.pixel_id, self.pixel_name = visit.hit.pixel_id, pixel_name
        place = visit.place
        seen: dict[str, Read] = {
            "consent": lambda: consent_of(str(verdict.answer), verdict.policy),
            "geo": lambda: {"country": place.country, "region": place.region},
            "hit": lambda: dict(visit.hit.last),
            "http": lambda: http_of(visit.request, visit.client_ip),
            "pixel": lambda: {"id": self.pixel_id, "name": pixel_name},
        }
        super().__init__(event, visit.element, seen, variables, elements)


def event_of(event: ServerEvent) -> dict[str, Any]:
    """An event as expressions see it: Meta's fields, custom_data and user_data always there."""
    return {key: plain(value) for key, value in {"custom_data": {}, "user_data": {}, **event.as_json()}.items()}


def consent_of(answer: str, policy: str) -> dict[str, Any]:
    return {"answer": answer, "granted": answer == "granted", "denied": answer == "denied", "policy": policy}
