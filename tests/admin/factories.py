"""A gateway as the admin listener sees one, and records to fill it with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from pixeltwin.delivery.journal import Journal, Record, State
from pixeltwin.delivery.outbox import Depth

PIXEL = "1234567890123456"
NOW = 1_795_461_800.0
EM = sha256(b"alex.doe@example.com").hexdigest()
FN = sha256(b"alex").hexdigest()

PURCHASE = Record(
    id="a-1",
    received_at=NOW,
    pixel_id=PIXEL,
    event_name="Purchase",
    event_id="order-1001",
    source_url="https://www.shop.example/thanks?o=1",
    state=State.QUEUED,
    relay="background",
    hit=(
        ("id", PIXEL),
        ("ev", "Purchase"),
        ("eid", "order-1001"),
        ("ts", f"{NOW * 1000 + 7:.0f}"),
        ("dl", "https://www.shop.example/thanks?o=1"),
        ("ud[em]", EM),
        ("cd[value]", "24.90"),
        ("cd[contents]", '[{"quantity":1,"id":"mugs"}]'),
        ("sw", "1512"),
    ),
    twin={
        "event_name": "Purchase",
        "event_time": int(NOW),
        "event_id": "order-1001",
        "action_source": "website",
        "event_source_url": "https://www.shop.example/thanks",
        "user_data": {"em": (EM,), "fn": (FN,)},
        "custom_data": {"value": 24.9, "contents": [{"id": "mugs", "quantity": 1}]},
        "data_processing_options": [],
    },
    origins={"user_data.fn": "customers"},
    rules=("purchases",),
    consent="granted (eu)",
    notes=("value_without_currency", "personal_data_removed: dl", "personal_data_removed: cd[note]"),
)


@dataclass
class View:
    """A gateway that is what the test says."""

    journal: Journal = field(default_factory=Journal)
    config_digest: str = "3fa94c1d77aa"
    pixels: Mapping[str, str] = field(default_factory=lambda: {PIXEL: "shop"})
    depths: Mapping[str, Depth] = field(default_factory=dict)
    not_ready: str | None = None

    async def stats(self) -> Mapping[str, Depth]:
        return self.depths

    def ready(self) -> str | None:
        return self.not_ready

    def note(self, record_id: str, **changes: Any) -> Record:
        """Journal a purchase, changed."""
        record = replace(PURCHASE, id=record_id, **changes)
        self.journal.add(record)
        return record
