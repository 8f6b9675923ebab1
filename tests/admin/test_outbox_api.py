"""The outbox over the admin listener: sums, pages, and what changes letters; over the outbox in memory."""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from pixeltwin.admin.app import create_app
from pixeltwin.admin.outbox import OutboxView
from pixeltwin.delivery.outbox import Expired, Later, NewItem, Outbox, Outcome, Refused
from pixeltwin.outboxes.memory import MemoryOutbox
from tests.admin.factories import EM, NOW, PIXEL, View

TOKEN = "correct-horse-battery-staple-ü"
BEARER = {"Authorization": f"Bearer {TOKEN}".encode()}
API, RELAY = "conversions_api", "pixel_relay"


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Gateway:
    admin_token: str = TOKEN
    customer_stores: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(clock: Clock) -> MemoryOutbox:
    return MemoryOutbox(clock)


@pytest.fixture
async def admin(view: View, outbox: MemoryOutbox) -> AsyncIterator[httpx.AsyncClient]:
    async with client(view, outbox) as admin:
        yield admin


def client(view: View, outbox: OutboxView, token: str = TOKEN) -> httpx.AsyncClient:
    app = create_app(view, customers=Gateway(token), outbox=outbox)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8090", headers=BEARER)


def twin(event_id: str, pixel_id: str = PIXEL, *, payload: bytes | None = None, **more: Any) -> NewItem:
    event = {"event_name": "Purchase", "event_id": event_id, "user_data": {"em": [EM]}}
    draft = {"pixel_id": pixel_id, "event": event, "keys": {"crm": "canary"}, "elements": {"a": "canary"}}
    stored = payload or orjson.dumps(draft | {"rules": ["purchases"]})
    return NewItem(destination=API, pixel_id=pixel_id, key=event_id.encode(), payload=stored, **more)


async def ended(outbox: Outbox, item: NewItem, outcome: Outcome) -> int:
    """The item, settled that way; its number."""
    await outbox.append([item])
    lease = await outbox.lease(item.destination, limit=1, seconds=60)
    await outbox.settle(lease, {lease.items[0].seq: outcome})
    return lease.items[0].seq


async def test_letters_tell_what_meta_said_and_which_event_it_was(admin, outbox, clock) -> None:
    seq = await ended(outbox, twin("order-1", deadline=NOW + 60), Refused("Meta: too old", "100/2804003"))
    clock.now += 5
    assert (await admin.get("/api/outbox/letters")).json() == {
        "letters": [
            {
                "state": "dead",
                "seq": seq,
                "destination": API,
                "pixel_id": PIXEL,
                "event_name": "Purchase",
                "event_id": "order-1",
                "reason": "Meta: too old",
                "code": "100/2804003",
                "at": NOW,
                "appended_at": NOW,
                "attempts": 0,
                "deadline": NOW + 60,
            }
        ],
        "next": None,
    }


async def test_a_full_letter_has_its_event_and_never_a_look_up_key(admin, outbox) -> None:
    await ended(outbox, twin("order-1"), Expired("too late"))
    response = await admin.get("/api/outbox/letters?full")
    (letter,) = response.json()["letters"]
    assert letter["event"] == {"event_name": "Purchase", "event_id": "order-1", "user_data": {"em": [EM]}}
    assert (letter["state"], letter["rules"], letter["deadline"]) == ("expired", ["purchases"], None)
    assert "canary" not in response.text


async def test_what_waits_is_ready_retrying_or_held(admin, outbox) -> None:
    await outbox.append([twin("held", hold_until=NOW + 600)])
    await ended(outbox, twin("retrying"), Later(NOW + 30, "HTTP 503"))
    await outbox.append([twin("ready", priority=1)])
    waiting = (await admin.get("/api/outbox/waiting")).json()["waiting"]
    assert [(one["event_id"], one["state"], one["due"]) for one in waiting] == [
        ("held", "held", NOW + 600),
        ("retrying", "retrying", NOW + 30),
        ("ready", "ready", NOW),
    ]
    assert [(one["attempts"], one["last_reason"], one["priority"]) for one in waiting] == [
        (0, "", 0),
        (1, "HTTP 503", 0),
        (0, "", 1),
    ]


@pytest.mark.parametrize("payload", [b"\xff", b"[]", b"1", b'{"event": 7}', b"[" * 100_000])
async def test_what_cannot_be_read_is_listed_all_the_same(admin, outbox, payload) -> None:
    await ended(outbox, twin("odd", payload=payload), Refused("unreadable"))
    (letter,) = (await admin.get("/api/outbox/letters?full")).json()["letters"]
    assert (letter["event_name"], letter["event_id"]) == ("", "")


async def test_a_browser_s_copy_is_named_by_its_parameters(admin, outbox) -> None:
    copy = orjson.dumps({"query": f"id={PIXEL}&ev=Lead&eid=l-1", "headers": {}, "body": ""})
    item = NewItem(destination=RELAY, pixel_id=PIXEL, key=None, payload=copy)
    await outbox.append([item])
    (waiting,) = (await admin.get("/api/outbox/waiting?destination=pixel_relay&full")).json()["waiting"]
    assert (waiting["event_name"], waiting["event_id"], waiting["event"]["query"]) == (
        "Lead",
        "l-1",
        f"id={PIXEL}&ev=Lead&eid=l-1",
    )


async def test_pages_follow_one_another_and_none_is_told_twice(admin, outbox) -> None:
    await outbox.append([twin(f"e-{number}") for number in range(7)])
    seen, after, pages = [], 0, 0
    while after is not None:
        page = (await admin.get("/api/outbox/waiting", params={"after": after, "limit": 3})).json()
        seen += [one["event_id"] for one in page["waiting"]]
        after, pages = page["next"], pages + 1
    assert (seen, pages) == ([f"e-{number}" for number in range(7)], 3)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["a", "b", "c"]),
        ("code=100", ["a", "b"]),
        ("code=100/2804050", ["b"]),
        ("code=10", []),
        ("pixel_id=2345678901234567", ["c"]),
        ("event_id=b", ["b"]),
        ("destination=pixel_relay", []),
    ],
)
async def test_letters_are_chosen_by_code_pixel_and_id(admin, outbox, query, ids) -> None:
    for event_id, pixel, code in (
        ("a", PIXEL, "100/2804003"),
        ("b", PIXEL, "100/2804050"),
        ("c", "2345678901234567", ""),
    ):
        await ended(outbox, twin(event_id, pixel), Refused("no", code))
    letters = (await admin.get(f"/api/outbox/letters?{query}")).json()["letters"]
    assert [letter["event_id"] for letter in letters] == ids


@pytest.mark.parametrize("query", ["limit=many", "limit=1001", "limit=-1", "after=x", "after=9223372036854775808"])
async def test_a_page_without_sense_is_a_bad_request(admin, query) -> None:
    response = await admin.get(f"/api/outbox/letters?{query}")
    assert response.status_code == 400
    assert response.json()["error"].startswith(query.split("=")[0])


async def test_sums_by_pixel_count_every_state_and_tell_the_last_error_and_the_park(admin, outbox, clock) -> None:
    await ended(outbox, twin("dead"), Refused("Meta: no", "100/2804050"))
    await ended(outbox, twin("expired"), Expired("too late"))
    await outbox.append([twin("held", hold_until=NOW + 600)])
    clock.now += 10
    await ended(outbox, twin("retrying"), Later(NOW + 30, "HTTP 503"))
    await outbox.append([twin("ready"), twin("other", "2345678901234567")])
    await outbox.park(API, PIXEL, until=NOW + 60, reason="setup: HTTP 400, code 190: expired")
    told = (await admin.get("/api/outbox/pixels")).json()
    first, second = told["pixels"]
    assert told["complete"] is True
    assert first == {
        "destination": API,
        "pixel_id": PIXEL,
        "ready": 1,
        "retrying": 1,
        "held": 1,
        "dead": 1,
        "expired": 1,
        "oldest_at": NOW + 10,
        "last_error": "HTTP 503",
        "parked_until": NOW + 60,
        "parked_because": "setup: HTTP 400, code 190: expired",
    }
    assert (second["pixel_id"], second["ready"], second["last_error"]) == ("2345678901234567", 1, "")
    alone = (await admin.get("/api/outbox/pixels?pixel_id=2345678901234567")).json()["pixels"]
    assert [line["pixel_id"] for line in alone] == ["2345678901234567"]


async def test_the_last_error_of_letters_alone_is_the_newest_one_s(admin, outbox, clock) -> None:
    await ended(outbox, twin("a"), Refused("first"))
    clock.now += 1
    await ended(outbox, twin("b"), Refused("second"))
    (line,) = (await admin.get("/api/outbox/pixels")).json()["pixels"]
    assert (line["last_error"], line["oldest_at"]) == ("second", None)


async def test_the_outbox_tells_its_tally_and_parks_beside_its_depth(admin, outbox) -> None:
    await ended(outbox, twin("dead"), Refused("no"))
    await outbox.append([twin("ready")])
    await outbox.park(API, PIXEL, until=NOW + 60, reason="throttle: HTTP 429")
    told = (await admin.get("/api/outbox")).json()
    assert told[API] == {"ready": 1, "leased": 0, "held": 0, "dead": 1, "oldest_at": NOW}
    tally = told["tally"][API]
    assert (tally["accepted"], tally["dead"], tally["delivered"]) == (2, 1, 0)
    assert told["unaccounted"] == {API: 0}
    assert told["parks"] == [{"destination": API, "pixel_id": PIXEL, "until": NOW + 60, "reason": "throttle: HTTP 429"}]


async def test_letters_are_requeued_but_those_past_their_deadline(admin, outbox, clock) -> None:
    fresh = await ended(outbox, twin("fresh"), Refused("no"))
    late = await ended(outbox, twin("late", deadline=NOW + 60), Refused("no"))
    clock.now += 60
    response = await admin.post("/api/outbox/requeue", json={"seqs": [fresh, late, 4711]})
    assert response.json() == {"requeued": 1}
    assert [one.seq for one in await outbox.letters()] == [late]
    assert [(one.seq, one.attempts, one.deadline) for one in await outbox.waiting()] == [(fresh, 0, math.inf)]


async def test_letters_are_discarded(admin, outbox) -> None:
    seqs = [await ended(outbox, twin(name), Refused("no")) for name in "abc"]
    response = await admin.post("/api/outbox/discard", json={"seqs": [*seqs[:2], 4711]})
    assert response.json() == {"discarded": 2}
    assert [one.seq for one in await outbox.letters()] == seqs[2:]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[1]", 400),
        (b'{"seqs": 1}', 400),
        (b'{"seqs": [true]}', 400),
        (b'{"seqs": ["1"]}', 400),
        (b'{"seqs": [-1]}', 400),
        (b'{"seqs": [9223372036854775808]}', 400),
        (orjson.dumps({"seqs": list(range(1, 1002))}), 413),
        (b" " * ((1 << 20) + 1), 413),
    ],
)
@pytest.mark.parametrize("path", ["requeue", "discard"])
async def test_a_body_without_sense_changes_nothing(admin, outbox, path, body, status) -> None:
    await ended(outbox, twin("a"), Refused("no"))
    headers = {"Content-Type": "application/json"}
    response = await admin.post(f"/api/outbox/{path}", content=body, headers=headers)
    assert response.status_code == status
    assert len(await outbox.letters()) == 1


@pytest.mark.parametrize("path", ["requeue", "discard"])
async def test_nobody_changes_letters_without_the_token(view, outbox, path) -> None:
    seq = await ended(outbox, twin("a"), Refused("no"))
    async with client(view, outbox) as admin:
        stranger = await admin.post(f"/api/outbox/{path}", json={"seqs": [seq]}, headers={"Authorization": "Bearer x"})
        assert stranger.status_code == 401
        form = await admin.post(f"/api/outbox/{path}", content=b'{"seqs": [1]}')
        assert form.status_code == 415
        assert (await admin.get(f"/api/outbox/{path}")).status_code == 405
    async with client(view, outbox, token="") as closed:
        assert (await closed.post(f"/api/outbox/{path}", json={"seqs": [seq]})).status_code == 403
    assert len(await outbox.letters()) == 1


@pytest.mark.parametrize("path", ["", "/pixels", "/letters", "/waiting"])
async def test_an_outbox_that_fails_is_said_to_be_out_of_use(admin, outbox, path) -> None:
    await outbox.close()
    response = await admin.get(f"/api/outbox{path}")
    assert (response.status_code, "closed" in response.json()["error"]) == (503, True)
