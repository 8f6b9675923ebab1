"""What of a decision goes into the outbox: the twins of a hit, and the browser's copy where we bring it to Meta.

A twin must reach Meta within 48 hours of the browser's copy, or both are counted (PROTOCOL 1.10). Where Meta gets no
copy from a browser, it has the seven days that Meta takes events for.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson

from pixeltwin.capi.validate import MAX_AGE, MAX_AGE_IN_STORE
from pixeltwin.consent.verdict import Treatment
from pixeltwin.delivery.outbox import MINOR, MONEY, ORDINARY, REPEATABLE, NewItem
from pixeltwin.destinations import conversions_api, pixel_relay
from pixeltwin.destinations.pixel_relay import relay_payload
from pixeltwin.mirror import Admission, Draft
from pixeltwin.mirror.admission import AUTOMATIC
from pixeltwin.pixel.browser_id import bare

MARGIN: Final = 900.0  # seconds before Meta would refuse an event as too old
# Events by which ad spend is steered are delivered first after an outage and shed last; page views the other way.
STEERING: Final = frozenset(
    {"Purchase", "Lead", "CompleteRegistration", "Subscribe", "StartTrial", "SubmitApplication", "Schedule", "Donate"}
)
PRIORITIES: Final = dict.fromkeys(STEERING, MONEY) | dict.fromkeys(AUTOMATIC | {"PageView"}, MINOR)
DIGEST: Final = hashlib.blake2b(digest_size=16)  # of nothing yet: copies of it take up texts

type Relay = Literal["native", "background", "browser", "none"]  # who brings the browser's copy to Meta


def items_of(admission: Admission, relay: Relay, now: float) -> list[NewItem]:
    """The items of one hit, its twins first. What consent holds waits for its release.

    The copy has the highest priority of its twins, so that one is not shed without the other.
    """
    subject = subject_of(admission.browser)
    until = now + admission.verdict.hold_seconds
    held = until if admission.verdict.twin is Treatment.HOLD else None
    seen_at = now if relay != "none" and not admission.withheld else math.inf
    items = [_item(twin.pixel_id, twin.event, twin.payload, subject, held, seen_at) for twin in admission.twins]
    if relay == "background" and admission.relay and admission.hit:
        copy = NewItem(
            destination=pixel_relay.NAME,
            pixel_id=admission.hit.pixel_id,
            key=None,
            payload=relay_payload(admission.relay),
            subject=subject,
            hold_until=until if admission.verdict.relay is Treatment.HOLD else None,
            priority=max([_priority(admission.hit.event_name), *(item.priority for item in items)]),
            deadline=now + REPEATABLE,
        )
        items.append(copy)
    return items


def twin_item(draft: Draft) -> NewItem:
    """The item of a draft that no browser's hit has made."""
    return _item(draft.pixel_id, draft.event, draft.as_bytes(), None, None, math.inf)


def _item(
    pixel_id: str,
    event: Mapping[str, Any],
    payload: bytes,
    subject: bytes | None,
    hold_until: float | None,
    seen_at: float,
) -> NewItem:
    """A twin's item. Meta de-duplicates by event name and id, so that is its key.

    `seen_at` is when Meta gets the browser's copy (unix seconds), infinity for never.
    """
    event_name = event["event_name"]
    key, priority = _digest(f"{event_name}\0{event['event_id']}"), _priority(event_name)
    deadline = min(too_old_at(event), seen_at + REPEATABLE)
    return NewItem(conversions_api.NAME, pixel_id, key, payload, subject, hold_until, priority, deadline)


def content_of(payload: bytes) -> Mapping[str, Any]:
    """What an item's payload says by name, a draft or a browser's copy; nothing for one that cannot be read."""
    try:
        found = orjson.loads(payload)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def too_old_at(event: Mapping[str, Any]) -> float:
    """When Meta would refuse the event, less a margin."""
    longest = MAX_AGE_IN_STORE if event["action_source"] == "physical_store" else MAX_AGE
    said_at: int = event["event_time"]
    return said_at + longest - MARGIN


def subject_of(browser: str) -> bytes | None:
    """Whose browser an item is about, by its `fbp`; None for one that nobody could recognise.

    Meta's parameter builder may append to the id between a hit that waits and the one that releases it.
    """
    return _digest(bare(browser)) if browser else None


def _priority(event_name: str) -> int:
    return PRIORITIES.get(event_name, ORDINARY)


def _digest(text: str) -> bytes:
    digest = DIGEST.copy()  # in two thirds of the time of a new one
    digest.update(text.encode("utf-8", "replace"))
    return digest.digest()
