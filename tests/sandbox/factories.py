"""Events and requests as a well-behaved sender makes them; a test changes what it is about."""

import time
from collections.abc import Mapping
from typing import Any

PIXEL = "1234567890123456"
EVENTS = f"/v26.0/{PIXEL}/events"
TOKEN = {"Authorization": "Bearer test-token"}
NOW = 1_795_461_800  # 2026-11-23T19:23:20Z, where hits/pixel_hits.txt freezes the clock

# PROTOCOL 1.5, Meta's documentation samples.
EM = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
PH = "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"
FBP = "fb.1.1596403881668.1116446470"


def user_data(**changes: Any) -> dict[str, Any]:
    given = {"em": [EM], "client_user_agent": "Mozilla/5.0", "client_ip_address": "2600:1f18::1", "fbp": FBP}
    return _changed(given, changes)


def event(**changes: Any) -> dict[str, Any]:
    """A Lead on a website that Meta takes without a word. A change to `None` takes the key away."""
    given = {
        "event_name": "Lead",
        "event_time": NOW,
        "event_id": "lead-1",
        "action_source": "website",
        "event_source_url": "https://www.shop.example/",
        "user_data": user_data(),
    }
    return _changed(given, changes)


def purchase(**changes: Any) -> dict[str, Any]:
    given = {"event_name": "Purchase", "custom_data": {"value": 129.9, "currency": "USD"}}
    return event(**_changed(given, changes))


def fresh(**changes: Any) -> dict[str, Any]:
    """An event for a sandbox that runs on the real clock."""
    return event(event_time=int(time.time()), **changes)


def _changed(given: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**given, **changes}.items() if value is not None}
