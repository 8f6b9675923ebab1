"""Server events that a shop's own back end posts: hashed and cleaned before anything is kept."""

import hmac
from collections.abc import Collection
from dataclasses import dataclass

from pixeltwin.capi.event import ServerEvent
from pixeltwin.mapping.ingest import Refused, parse_ingest
from pixeltwin.mirror.policy import Policy
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip
from pixeltwin.privacy.clean import clean_event


@dataclass(frozen=True, slots=True)
class Ingested:
    """Server events in the order they were posted, and those that are none. An `event_id` may be empty."""

    pixel_id: str
    events: tuple[ServerEvent | Refused, ...]
    test_event_code: str


def admit_ingest(pixel_id: str, request: HitRequest, policy: Policy) -> Ingested | Skip:
    """Decide about server events posted for a pixel. Nothing is read before the sender has shown the pixel's key."""
    posted = parse_ingest(pixel_id, request, policy.ingest_limits)
    if isinstance(posted, Skip):
        return posted
    pixel = policy.pixels.get(pixel_id)
    if pixel is None or not _is_one_of(posted.access_key, pixel.ingest_keys):
        return Skip(Reason.BAD_ACCESS_KEY)
    events = posted.events(policy.hash_values(pixel_id))
    return Ingested(pixel_id, tuple(_clean(event, policy) for event in events), posted.test_event_code)


def _clean(event: ServerEvent | Refused, policy: Policy) -> ServerEvent | Refused:
    return event if isinstance(event, Refused) else clean_event(event, policy.privacy)[0]


def _is_one_of(key: str, keys: Collection[str]) -> bool:
    matches = [hmac.compare_digest(key.encode(), own.encode()) for own in keys]  # all of them: time tells nothing
    return any(matches)
