"""What of a decision goes into the outbox: the twins of a hit, and the browser's copy where we bring it to Meta."""

import hashlib
from collections.abc import Iterator
from typing import Literal

from pixeltwin.consent.verdict import Treatment
from pixeltwin.delivery.outbox import NewItem
from pixeltwin.destinations import conversions_api, pixel_relay
from pixeltwin.destinations.pixel_relay import relay_payload
from pixeltwin.mirror import Admission, Draft

type Relay = Literal["native", "background", "browser", "none"]  # who brings the browser's copy to Meta


def items_of(admission: Admission, relay: Relay, now: float) -> Iterator[NewItem]:
    """The items of one hit, its twins first. What consent holds waits for its release."""
    subject = subject_of(admission.browser)
    until = now + admission.verdict.hold_seconds
    held = until if admission.verdict.twin is Treatment.HOLD else None
    for draft in admission.drafts:
        yield twin_item(draft, subject, held)
    if relay == "background" and admission.relay and admission.hit:
        yield NewItem(
            destination=pixel_relay.NAME,
            pixel_id=admission.hit.pixel_id,
            key=None,
            payload=relay_payload(admission.relay),
            subject=subject,
            hold_until=until if admission.verdict.relay is Treatment.HOLD else None,
        )


def twin_item(draft: Draft, subject: bytes | None = None, hold_until: float | None = None) -> NewItem:
    """A draft's item. Meta de-duplicates by event name and id, so that is its key."""
    return NewItem(
        destination=conversions_api.NAME,
        pixel_id=draft.pixel_id,
        key=_digest(f"{draft.event.event_name}\0{draft.event.event_id}"),
        payload=draft.as_bytes(),
        subject=subject,
        hold_until=hold_until,
    )


def subject_of(browser: str) -> bytes | None:
    """Whose browser an item is about, by its `fbp`; None for one that nobody could recognise."""
    return _digest(browser) if browser else None


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
