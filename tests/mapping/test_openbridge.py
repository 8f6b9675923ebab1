"""An OpenBridge post as the hit it stands for (PROTOCOL 3.10): one twin whichever of the two copies comes first."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import NOW, PAGE, PIXEL, UA, hit_query, parsed, request
from tests.shared_hits import HITS

from pixeltwin.capi.event import EventJson, ServerEvent
from pixeltwin.capi.hashes import as_hash, sha256
from pixeltwin.capi.validate import Refusal, refusal
from pixeltwin.mapping.openbridge import OpenBridgePost, parse_openbridge, with_every_hash
from pixeltwin.mapping.server_event import server_event
from pixeltwin.mirror import PixelPolicy
from pixeltwin.mirror.admission import why_not
from pixeltwin.pixel.browser_id import browser_ids
from pixeltwin.pixel.hit import Limits, PixelHit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip

# PROTOCOL 1.5: john_smith@gmail.com, and user-42 as the pixel hashes it
EM = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
EXTERNAL_ID = "6d894aa3ee802549d7f340e7c1cf0d1c1cb14cd84f768d92ffaa6785337c4997"
TEXT = "text/plain;charset=UTF-8"
FBP, FBC = "fb.1.1795000000009.20461357902468135", "fb.1.1795460000000.IwAR0fAkE-cLiCk_1dAaBb"


ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(ATOMS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


# stands in for the real rules, which have tests of their own
RULES: dict[str, Callable[[str], str]] = {
    "em": lambda text: text.strip().lower() if "@" in text else "",
    "external_id": lambda text: "".join(text.split()).lower(),
}


def hash_values(key: str, value: str) -> tuple[str, ...]:
    if kept := as_hash(value):
        return (kept,)
    normalised = RULES.get(key, lambda text: "")(value)
    return (sha256(normalised),) if normalised else ()


def arrived(body: Any, *, content_type: str = TEXT, **kwargs: Any) -> HitRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request("cee=no", body=raw, content_type=content_type, path="/events", **kwargs)


def body(**said: Any) -> dict[str, Any]:
    """A plausible post; what is said as `fb_fbp` is `fb.fbp`."""
    named = {name.replace("fb_", "fb.", 1): value for name, value in said.items()}
    context = {"location": PAGE, "referrer": "", "isInIFrame": False}
    return {"event_name": "PageView", "fb.pixel_id": PIXEL, "event_id": "e-1", "website_context": context} | named


def parse(arrived: HitRequest, limits: Limits | None = None) -> OpenBridgePost | Skip:
    return parse_openbridge(arrived, limits or Limits(), lambda pixel_id: hash_values)


def read(arrived: HitRequest) -> OpenBridgePost:
    post = parse(arrived)
    assert isinstance(post, OpenBridgePost), post
    return post


def of_hit(hit: PixelHit, arrived: HitRequest) -> EventJson:
    ids = browser_ids(hit, arrived, random=None)
    return server_event(hit, arrived, event_id=hit.event_id, ids=ids, client_ip="203.0.113.9")


def event(post: OpenBridgePost, arrived: HitRequest) -> ServerEvent:
    return ServerEvent.model_validate(with_every_hash(of_hit(post.hit, arrived), post))


def twin(said: Any, **kwargs: Any) -> dict[str, Any]:
    came = arrived(said, **kwargs)
    return dict(event(read(came), came).as_json())


def test_a_post_says_what_when_where_and_who():
    said = body(
        event_name="Purchase",
        event_id="order-42",
        conversion_value={"value": 129.9, "currency": "USD"},
        custom_data={"value": 129.9, "currency": "USD"},
        website_context={"location": PAGE, "referrer": "https://l.facebook.com/", "isInIFrame": False},
        fb_advanced_matching={"em": EM, "external_id": "user-42"},
        fb_dynamic_product_ads={
            "content_type": "product",
            "content_ids": ["a"],
            "contents": [{"id": "a", "quantity": 1}],
        },
        fb_clickID=FBC,
        fb_fbp=FBP,
        event_meta_info={"experiment_detail": {"name": "CEE_STRONG_PII"}},
    )
    assert twin(said) == {
        "event_name": "Purchase",
        "event_time": int(NOW),
        "event_id": "order-42",
        "action_source": "website",
        "event_source_url": PAGE,
        "referrer_url": "https://l.facebook.com/",
        "user_data": {
            "em": [EM],
            "external_id": [EXTERNAL_ID],
            "client_ip_address": "203.0.113.9",
            "client_user_agent": UA,
            "fbc": FBC,
            "fbp": FBP,
        },
        "custom_data": {
            "value": 129.9,
            "currency": "USD",
            "content_ids": ["a"],
            "contents": [{"id": "a", "quantity": 1}],
            "content_type": "product",
        },
    }


def test_both_copies_of_one_event_give_one_twin():
    custom = {"value": 9.5, "currency": "EUR", "content_ids": ["a", "b"], "plan": {"tier": "gold"}, "new": True, "n": 3}
    query = hit_query("Lead", eid="e-1", rl="", fbp=FBP, fbc=FBC, ts="", dpo="LDU", dpoco="0", dpost="0")
    query += (
        f"&ud[em]={EM}&ud[external_id]={EXTERNAL_ID}&cd[value]=9.5&cd[currency]=EUR&cd[content_ids]=[%22a%22,%22b%22]"
    )
    query += "&cd[plan]={%22tier%22:%22gold%22}&cd[new]=true&cd[n]=3"
    hit = request(query)
    said = body(
        event_name="Lead",
        custom_data=custom,
        fb_fbp=FBP,
        fb_clickID=FBC,
        fb_advanced_matching={"em": EM, "external_id": "user-42"},
        fb_data_processing_options=["LDU"],
    )
    assert twin(said) == of_hit(parsed(hit), hit)


# Customer data.


@pytest.mark.parametrize(
    ("matching", "known"),
    [
        ({"external_id": "user-42"}, {"external_id": [EXTERNAL_ID]}),
        ({"external_id": " User-42 "}, {"external_id": [EXTERNAL_ID]}),  # the pixel's rule, PROTOCOL 1.5.2
        ({"external_id": EXTERNAL_ID.upper()}, {"external_id": [EXTERNAL_ID]}),
        ({"em": "john_smith@gmail.com"}, {"em": [EM]}),
        ({"em": None, "ph": "", "fn": [], "ln": True, "external_id": {"id": 1}}, {}),
        ({"chpv": "13", "foo": EM}, {}),  # client hints travel here too
        ([EM], {}),
        ("x", {}),
    ],
)
def test_customer_data_is_hashed_unless_it_is_and_only_where_meta_knows_the_key(matching, known):
    found = twin(body(fb_advanced_matching=matching))["user_data"]
    assert {key: value for key, value in found.items() if not key.startswith("client_")} == known


def test_where_we_hash_every_value_is_sent_and_the_hit_shows_the_canonical_one():
    came = arrived(body(fb_advanced_matching={"ct": "Zürich"}))
    post = parse_openbridge(came, Limits(), lambda pixel_id: lambda key, value: (EM, EXTERNAL_ID))
    assert isinstance(post, OpenBridgePost)
    assert event(post, came).user_data.ct == (EM, EXTERNAL_ID)
    assert post.hit.get("ud[ct]") == EM


def test_values_are_hashed_for_the_pixel_that_the_post_is_for():
    asked = []
    parse_openbridge(arrived(body()), Limits(), lambda pixel_id: asked.append(pixel_id) or hash_values)
    assert asked == [PIXEL]


def test_plaintext_ends_where_the_post_is_read():
    post = read(arrived(body(fb_advanced_matching={"em": "john_smith@gmail.com", "external_id": "user-42"})))
    assert "john_smith" not in repr(post)
    assert ("ud[external_id]", EXTERNAL_ID) in post.hit.shown()


def test_ids_missing_from_the_post_come_from_the_cookies():
    found = twin(body(), headers={"cookie": f"_fbp={FBP}; _fbc={FBC}"})["user_data"]
    assert (found["fbp"], found["fbc"]) == (FBP, FBC)


# Custom data.


@pytest.mark.parametrize(
    ("custom", "conversion", "sent"),
    [
        ({"value": "n/a", "currency": "Euro"}, {"value": 0, "currency": "USD"}, {}),
        ({}, {"value": 0, "currency": "USD"}, {}),
        ({"value": "n/a", "currency": "EUR"}, {"value": 0, "currency": "EUR"}, {"currency": "EUR"}),
        ({"value": 0, "currency": "usd"}, {"value": 0, "currency": "USD"}, {"value": 0.0, "currency": "USD"}),
        ({"value": "24.00"}, {"value": 24, "currency": "USD"}, {"value": 24.0}),
        ({}, {"value": 12.5, "currency": "EUR"}, {"value": 12.5, "currency": "EUR"}),
        ({"value": 5, "currency": "EUR"}, {"value": 7, "currency": "GBP"}, {"value": 5.0, "currency": "EUR"}),
        ({}, "12", {}),
    ],
)
def test_a_value_or_currency_that_the_browser_put_in_place_of_none_is_not_sent(custom, conversion, sent):
    assert twin(body(custom_data=custom, conversion_value=conversion)).get("custom_data", {}) == sent


def test_a_purchase_whose_value_was_no_number_is_reported_as_one_without():
    said = body(event_name="Purchase", conversion_value={"value": 0, "currency": "USD"}, custom_data={"value": "n/a"})
    came = arrived(said)
    post = read(came)
    assert refusal(event(post, came).as_json(), NOW) == Refusal.PURCHASE_WITHOUT_VALUE
    assert ("cd[value]", "n/a") in post.hit.shown()


@pytest.mark.parametrize(
    ("key", "value", "name", "sent"),
    [
        ("fb.num_items", 3, "num_items", 3),
        ("fb.predicted_ltv", 99.5, "predicted_ltv", 99.5),
        ("fb.registration_status", "done", "status", "done"),
        ("fb.search_string", "shoes", "search_string", "shoes"),
        ("fb.order_id", "8001", "order_id", "8001"),
        ("fb.order_id", 8001, "order_id", "8001"),
        ("fb.dynamic_product_ads", {"content_ids": ["a", 7]}, "content_ids", ["a", "7"]),
        ("fb.dynamic_product_ads", {"content_name": "Shoes"}, "content_name", "Shoes"),
    ],
)
def test_what_stands_beside_custom_data_belongs_to_it(key, value, name, sent):
    assert twin(body(**{key: value}))["custom_data"] == {name: sent}


def test_the_pages_own_custom_data_comes_first_where_it_is_usable():
    said = body(
        custom_data={"content_ids": "single", "contents": "[object Object]", "order_id": "mine"},
        fb_order_id="other",
        fb_dynamic_product_ads={"content_ids": ["other"], "contents": [{"id": "a", "quantity": 1}], "value": 10},
    )
    assert twin(said)["custom_data"] == {
        "content_ids": ["single"],
        "contents": [{"id": "a", "quantity": 1}],
        "order_id": "mine",
    }


# Limited data use.


def limited(country: int, state: int) -> dict[str, Any]:
    return {
        "data_processing_options": ["LDU"],
        "data_processing_options_country": country,
        "data_processing_options_state": state,
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, {}),
        ([], {"data_processing_options": []}),
        (["LDU"], limited(0, 0)),
        ("LDU", limited(0, 0)),
        ([["LDU"]], limited(0, 0)),  # what cannot be read is never less limited than the browser's copy
        ({"options": "LDU"}, limited(0, 0)),
    ],
)
def test_limited_data_use_is_as_the_page_set_it(options, expected):
    found = twin(body(fb_data_processing_options=options))
    assert {key: value for key, value in found.items() if key.startswith("data_processing")} == expected


# What is no event.


def test_a_button_click_goes_by_its_own_name_and_is_automatic():
    came = arrived(body(event_name="InputData"))
    post = read(came)
    assert post.hit.event_name == "SubscribedButtonClick"
    assert why_not(post.hit, came, PixelPolicy(), of_hit(post.hit, came)) == Reason.AUTOMATIC_EVENT


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", Skip(Reason.BROKEN_JSON)),
        (b"[]", Skip(Reason.BROKEN_JSON)),
        (b"\xff", Skip(Reason.BROKEN_JSON)),
        (b"", Skip(Reason.BROKEN_JSON)),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", Skip(Reason.BROKEN_JSON)),
        (json.dumps(body(fb_pixel_id=None)).encode(), Skip(Reason.NO_PIXEL_ID)),
        (json.dumps(body(fb_pixel_id="shop")).encode(), Skip(Reason.BAD_PIXEL_ID)),
        (json.dumps(body(event_name="")).encode(), Skip(Reason.NO_EVENT_NAME)),
        (json.dumps(body(event_name={"a": 1})).encode(), Skip(Reason.NO_EVENT_NAME)),
        (json.dumps(body(custom_data={str(n): n for n in range(1001)})).encode(), Skip(Reason.TOO_MANY_PARAMETERS)),
        (b'"' + b" " * 300_000, Skip(Reason.BODY_TOO_LARGE)),
    ],
)
def test_what_is_no_post_is_told_by_name(raw, reason):
    assert parse(arrived(raw)) == reason


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        ("text/plain", None),
        ("application/json", None),
        ("", None),
        ("image/gif", Reason.UNKNOWN_BODY_TYPE),
    ],
)
def test_json_comes_as_text_or_as_json(content_type, reason):
    post = parse(arrived(body(), content_type=content_type))
    assert post == Skip(reason) if reason else isinstance(post, OpenBridgePost)


def test_a_compressed_body_is_not_unpacked():
    assert parse(arrived(body(), headers={"content-encoding": "gzip"})) == Skip(Reason.ENCODED_BODY)


def test_a_pixel_id_may_be_a_number():
    assert read(arrived(body(fb_pixel_id=int(PIXEL)))).hit.pixel_id == PIXEL


def test_a_text_cut_through_an_emoji_does_not_cost_the_event():
    """JavaScript writes half an emoji as an escape that JSON forbids."""
    raw = json.dumps(body(custom_data={"note": "x"})).replace('"x"', r'"gift \ud83c \ud83c\udf81 C:\\ud83c"')
    assert twin(raw.encode())["custom_data"] == {"note": "gift \ufffd \U0001f381 C:\\ud83c"}


# Nothing breaks it.


@given(JSON)
def test_no_json_breaks_it(value):
    came = arrived(value)
    post = parse(came)
    assert not isinstance(post, OpenBridgePost) or event(post, came).as_json()


KEYS = (*body(), "custom_data", "conversion_value", "fb.dynamic_product_ads", "fb.advanced_matching", "fb.fbp")
KEYS = (*KEYS, "fb.data_processing_options", "fb.num_items", "fb.order_id", "fb.clickID")
INNER = st.dictionaries(st.sampled_from(("em", "external_id", "value", "currency", "contents", "content_ids")), JSON)


@given(st.dictionaries(st.sampled_from(KEYS), JSON | INNER))
def test_no_value_in_a_known_place_breaks_it(said):
    came = arrived(body() | said)
    post = parse(came)
    assert not isinstance(post, OpenBridgePost) or event(post, came).as_json()


@given(st.binary(max_size=200))
def test_no_bytes_break_it(raw):
    assert parse(arrived(raw)) is not None


# The shared hits, read where they lie.


def shared_posts() -> Iterator[tuple[dict[str, Any], HitRequest]]:
    if not HITS.exists():
        pytest.skip(f"{HITS} is not there")
    for line in HITS.read_text(encoding="utf-8").split("\n"):
        kind, _, text = line.partition(" ")
        if kind == "OPENBRIDGE":
            yield json.loads(text), arrived(text.encode())


def test_the_shared_posts_say_what_they_say():
    posts = list(shared_posts())
    assert len(posts) >= 4
    for said, came in posts:
        hit = read(came).hit
        assert (hit.pixel_id, hit.event_id) == (said["fb.pixel_id"], said["event_id"])
        assert hit.get("dl") == said["website_context"]["location"]


def test_of_the_shared_posts_only_the_button_click_has_no_twin():
    for said, came in shared_posts():
        expected = Reason.AUTOMATIC_EVENT if said["event_name"] == "InputData" else None
        post = read(came)
        assert why_not(post.hit, came, PixelPolicy(), of_hit(post.hit, came)) == expected


def test_a_shared_post_and_its_hit_are_one_event_of_one_person():
    """Comment: the copy and the hit share the id; external_id is raw in the first, hashed in the second."""
    posts = {said["event_id"]: came for said, came in shared_posts()}
    hits = (line.partition(" ") for line in HITS.read_text(encoding="utf-8").split("\n"))
    queries = (rest.partition("?")[2] for kind, _, rest in hits if kind == "GET")
    pairs = [(posts[hit.event_id], hit) for query in queries if (hit := _hit_of(query, posts))]
    assert pairs
    for came, hit in pairs:
        ours, its = event(read(came), came), ServerEvent.model_validate(of_hit(hit, came))
        assert ours.model_copy(update={"event_time": its.event_time}) == its


def _hit_of(query: str, posts: dict[str, HitRequest]) -> PixelHit | None:
    return parsed(request(query)) if any(f"eid={event_id}&" in query for event_id in posts) else None


def test_the_shared_purchase_without_a_number_is_refused_for_its_value_and_stays_limited():
    """Comment: the value was not a number, so the client sent 0 USD; LDU; unicode."""
    purchases = [(said, came) for said, came in shared_posts() if said["event_name"] == "Purchase"]
    assert purchases
    for said, came in purchases:
        found = event(read(came), came)
        assert refusal(found.as_json(), NOW) == Refusal.PURCHASE_WITHOUT_VALUE
        assert found.as_json().items() >= limited(0, 0).items()
        custom = found.as_json()["custom_data"]
        assert custom == {
            "note": said["custom_data"]["note"],
            **said["fb.dynamic_product_ads"],
            "num_items": said["fb.num_items"],
            "order_id": said["fb.order_id"],
        }
