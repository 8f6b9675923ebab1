"""What rules see: of a hit that arrives, and later of its twin that is sealed.

When a hit arrives everything about the request is there, and nothing about the customer. When its twin is sealed the
request is gone, and the customer is known.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import SplitResult

from pixeltwin.capi.event import EventJson
from pixeltwin.consent.verdict import Verdict
from pixeltwin.expressions import Path, Scope
from pixeltwin.pixel.views import http_of, page_of, parts_of
from pixeltwin.pixel.visit import Visit

type See = Callable[[Any], Any]
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Moment:
    """An event on its way through the rules: another `event` wherever one sets it. `element` answers data elements."""

    SEEN: ClassVar[Mapping[str, See]] = {}

    def __init__(
        self,
        event: EventJson,
        element: Callable[[str], str | None],
        paths: Mapping[str, Collection[Path]],
        elements: Iterable[str],
    ) -> None:
        """`paths` into variables and `elements` are those that any expression asks for."""
        self.event = event
        self.element = element
        self._paths = paths
        self._elements = elements
        self._scope: Scope | None = None
        self._page: SplitResult | None = None

    @property
    def scope(self) -> Scope:
        """What expressions see; made when the first one asks, as most hits meet none."""
        if self._scope is None:
            self._scope = Scope(lambda name: self.SEEN[name](self), self._paths)
        return self._scope

    def set(self, changes: Mapping[str, Any]) -> None:
        """Set fields of the event."""
        self.event = {**self.event, **changes}
        if not self.event.get("custom_data", True):
            del self.event["custom_data"]  # Meta gets no empty one
        self._page = None
        if self._scope is not None:
            self._scope.changed("event", "page")

    def elements(self) -> dict[str, str]:
        """The elements that expressions ask for; one without a value is an empty text."""
        return {name: self.element(name) or "" for name in self._elements}

    @property
    def custom_data(self) -> Mapping[str, Any]:
        given: Mapping[str, Any] = self.event.get("custom_data", NOTHING)
        return given

    @property
    def page(self) -> SplitResult:
        """The page's address; of a broken one nothing."""
        if self._page is None:
            self._page = parts_of(self.event.get("event_source_url", ""))
        return self._page


BOTH: Final[Mapping[str, See]] = {
    "el": Moment.elements,
    "event": lambda moment: event_of(moment.event),
    "page": lambda moment: page_of(moment.event.get("event_source_url", "")),
}


class Arrival(Moment):
    """A hit that arrives: `pixel_id` and `pixel_name` are its own pixel's, `verdict` is what consent decided."""

    SEEN: ClassVar[Mapping[str, See]] = {
        **BOTH,
        "consent": lambda moment: consent_of(str(moment.verdict.answer), moment.verdict.policy),
        "geo": lambda moment: {"country": moment.visit.place.country, "region": moment.visit.place.region},
        "hit": lambda moment: dict(moment.visit.hit.last),
        "http": lambda moment: http_of(moment.visit.request, moment.visit.client_ip),
        "pixel": lambda moment: {"id": moment.pixel_id, "name": moment.pixel_name},
    }

    def __init__(
        self,
        visit: Visit,
        event: EventJson,
        verdict: Verdict,
        pixel_name: str,
        paths: Mapping[str, Collection[Path]] = NOTHING,
        elements: Iterable[str] = (),
    ) -> None:
        super().__init__(event, visit.element, paths, elements)
        self.visit = visit
        self.verdict = verdict
        self.pixel_id, self.pixel_name = visit.hit.pixel_id, pixel_name


class Sealing(Moment):
    """A twin that is sealed.

    `seen` are the variables that its draft and its customer give, `asked` the elements that expressions ask for.
    """

    SEEN: ClassVar[Mapping[str, See]] = {
        **BOTH,
        "consent": lambda moment: moment.seen["consent"],
        "pixel": lambda moment: moment.seen["pixel"],
        "profile": lambda moment: moment.seen["profile"],
    }

    def __init__(
        self,
        event: EventJson,
        elements: Mapping[str, str],
        seen: Mapping[str, Any],
        paths: Mapping[str, Collection[Path]] = NOTHING,
        asked: Iterable[str] = (),
    ) -> None:
        super().__init__(event, elements.get, paths, asked)
        self.seen = seen


def event_of(event: EventJson) -> dict[str, Any]:
    """An event as expressions see it: Meta's fields, custom_data and user_data always there."""
    return {"custom_data": {}, "user_data": {}, **event}


def consent_of(answer: str, policy: str) -> dict[str, Any]:
    return {"answer": answer, "granted": answer == "granted", "denied": answer == "denied", "policy": policy}
