"""What a browser gave once enriches its later hits, and a visit its order's later events; nobody gets another's."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.event import HASHED, EventJson, ServerEvent, UserData
from pixeltwin.enrich.memory import (
    LONGEST,
    LONGEST_ORDER_ID,
    MOST_VALUES,
    Remembered,
    browser_key,
    enriched,
    keys_of,
    merged,
    needles,
    order_key,
    order_of,
    person_key,
    to_remember,
    together,
    unpacked,
    updated,
)

PIXEL, OTHER_PIXEL = "1234567890123456", "6543210987654321"
FBP, OTHER_FBP = "fb.1.1795461790000.1098115397", "fb.1.1795461790000.2000000001"
FBC = "fb.1.1795461790000.IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB"
PAGE = "https://www.shop.example/thanks"
TELLING = ("external_id", "em")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


ALEX: dict[str, Any] = {"em": (sha256("alex.doe@example.com"),), "fn": (sha256("alex"),)}
BOB: dict[str, Any] = {"em": (sha256("bob@example.com"),), "ln": (sha256("roe"),)}
ALEX_ID = sha256("cust-1001")
BOB_ID = sha256("cust-1002")
DEVICE = {"fbp": FBP, "fbc": FBC, "client_ip_address": "203.0.113.9", "client_user_agent": "Mozilla/5.0"}


def event(user_data: dict[str, Any] | None = None, **fields: Any) -> EventJson:
    standard = {"event_name": "PageView", "event_time": 1_795_461_800, "event_id": "1"}
    return ServerEvent.model_validate({**standard, "user_data": user_data or {}, **fields}).as_json()


def lists(**user_data: Any) -> dict[str, Any]:
    """The same as JSON has it."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in user_data.items()}


def order(order_id: Any = "1001", **fields: Any) -> EventJson:
    """What the shop's back end posts about an order."""
    return event(custom_data={"order_id": order_id}, action_source="system_generated", **fields)


def visit(order_id: Any = "1001", **fields: Any) -> EventJson:
    """The visit in which the order was placed."""
    return event({**DEVICE, **ALEX}, custom_data={"order_id": order_id}, event_source_url=PAGE, **fields)


BROWSER = browser_key(PIXEL, FBP)


def remembered(user_data: dict[str, Any], **fields: Any) -> Remembered:
    return Remembered.model_validate({"user_data": user_data, **fields})


def bundle(made_by: EventJson) -> Remembered:
    return to_remember(PIXEL, made_by, made_by)[order_key(PIXEL, "1001")]


def filled(later: EventJson, *earlier: EventJson, pixel_id: str = PIXEL, posted: bool = False) -> EventJson:
    """The later event with what is known from the earlier ones, all of them browsers' hits."""
    known = together(to_remember(PIXEL, it, it) for it in earlier)
    found = [known[key] for key in keys_of(pixel_id, later, posted=posted) if key in known]
    return enriched(later, found)[0]


# a few values, so that people often share some
some_hashes = st.lists(st.sampled_from([sha256(name) for name in "abcd"]), min_size=1, max_size=2).map(tuple)
people = st.dictionaries(st.sampled_from(HASHED), some_hashes)
devices = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from([text, f"{text}9"]) for name, text in DEVICE.items()}
)
limits = st.none() | st.tuples(st.integers(0, 1), st.sampled_from([0, 1000]))
bundles = st.builds(
    lambda person, device, **fields: remembered({**person, **device}, is_bundle=True, **fields),
    people,
    devices,
    event_source_url=st.none() | st.just(PAGE),
    limits=limits,
)
entries = st.builds(remembered, people) | bundles
options = st.sampled_from([None, (), ("LDU",)])
events = st.builds(
    lambda person, device, **fields: event({**person, **device}, **fields),
    people,
    devices,
    event_source_url=st.none() | st.just("https://www.shop.example/"),
    data_processing_options=options,
)


# Hits of one browser, hits of one person


def test_an_anonymous_hit_gets_what_its_browser_gave_before() -> None:
    given_once = event({"fbp": FBP, **ALEX})
    assert filled(event({"fbp": FBP}), given_once)["user_data"] == lists(fbp=FBP, **ALEX)


def test_another_browser_gets_nothing() -> None:
    assert filled(event({"fbp": OTHER_FBP}), event({"fbp": FBP, **ALEX})) == event({"fbp": OTHER_FBP})


def test_a_person_on_another_device_is_found_by_external_id() -> None:
    at_home = event({"fbp": FBP, "external_id": [ALEX_ID], **ALEX})
    at_work = event({"fbp": OTHER_FBP, "external_id": [ALEX_ID]})
    assert filled(at_work, at_home)["user_data"] == lists(fbp=OTHER_FBP, external_id=(ALEX_ID,), **ALEX)


def test_what_a_browser_gave_bit_by_bit_comes_together() -> None:
    bits = [event({"fbp": FBP, key: values}) for key, values in ALEX.items()]
    assert filled(event({"fbp": FBP}), *bits)["user_data"] == lists(fbp=FBP, **ALEX)


@pytest.mark.parametrize("fbp", [f"{FBP}.AQ", f"{FBP}.AQEAAQAA"])
def test_meta_s_appendix_makes_no_other_browser(fbp: str) -> None:
    assert browser_key(PIXEL, fbp) == browser_key(PIXEL, FBP)
    assert person_key(PIXEL, f"{ALEX_ID}.AQ") == person_key(PIXEL, ALEX_ID)


def test_a_hit_without_hashes_leaves_nothing_to_remember() -> None:
    assert to_remember(PIXEL, event(DEVICE), event(DEVICE)) == {}


def test_an_external_id_alone_is_remembered_for_its_browser_only() -> None:
    hit = event({"fbp": FBP, "external_id": [ALEX_ID]})
    assert to_remember(PIXEL, hit, hit) == {BROWSER: remembered({"external_id": [ALEX_ID]}, browser=BROWSER.hex())}


def test_a_browser_s_entry_holds_nothing_but_hashes() -> None:
    hit = event({**DEVICE, **ALEX, "lead_id": 73, "subscription_id": "s"}, event_source_url=PAGE)
    assert to_remember(PIXEL, hit, hit) == {BROWSER: remembered(ALEX, browser=BROWSER.hex())}


def test_what_was_recalled_is_not_remembered_as_given() -> None:
    """Or it would never be forgotten: each hit would make it new."""
    hit = event({"fbp": FBP})
    assert to_remember(PIXEL, hit, event({"fbp": FBP, **ALEX})) == {}


def test_of_many_values_some_are_kept() -> None:
    many = [sha256(str(number)) for number in range(30)]
    hit = event({"fbp": FBP, "ph": many, "external_id": many})
    known = to_remember(PIXEL, hit, hit)
    assert len(known) == 1 + MOST_VALUES
    assert known[browser_key(PIXEL, FBP)].user_data.ph == tuple(many[:MOST_VALUES])
    assert len(keys_of(PIXEL, hit, posted=False)) == 1 + MOST_VALUES


# Two people


@pytest.mark.parametrize(
    "person",
    [
        {"em": BOB["em"]},
        {"external_id": [BOB_ID]},
        {"em": ALEX["em"], "external_id": [BOB_ID]},
        {"em": BOB["em"], "external_id": [ALEX_ID]},
        {"ph": [sha256("12025550111")]},
    ],
)
def test_another_person_on_the_same_browser_gets_nothing(person: dict[str, Any]) -> None:
    alex = event({"fbp": FBP, "external_id": [ALEX_ID], "ph": [sha256("12025550198")], **ALEX})
    bob = event({"fbp": FBP, **person})
    assert filled(bob, alex) == bob


def test_a_phone_number_hashed_otherwise_makes_no_other_person() -> None:
    alex = event({"fbp": FBP, "ph": [sha256("12025550198")], **ALEX})
    same = event({"fbp": FBP, "ph": [sha256("2025550198")], "em": ALEX["em"]})
    assert filled(same, alex)["user_data"]["fn"] == lists(**ALEX)["fn"]


def test_one_common_value_is_enough_to_be_the_same_person() -> None:
    alex = event({"fbp": FBP, **ALEX})
    same = event({"fbp": FBP, "em": [sha256("old@example.com"), f"{ALEX['em'][0]}.AQ"]})
    assert filled(same, alex)["user_data"]["fn"] == lists(**ALEX)["fn"]


def test_of_a_person_who_left_nothing_is_mixed_into_the_next() -> None:
    alex, bob = event({"fbp": FBP, **ALEX}), event({"fbp": FBP, **BOB})
    assert filled(event({"fbp": FBP}), alex, bob)["user_data"] == lists(fbp=FBP, **BOB)


def test_nothing_is_taken_of_a_second_entry_that_contradicts_the_first() -> None:
    found = [remembered({"em": ALEX["em"]}), remembered(BOB)]
    assert enriched(event(), found)[0]["user_data"] == lists(em=ALEX["em"])


def test_newest_values_win() -> None:
    old = remembered({"ct": [sha256("paris")], "em": ALEX["em"]})
    new = remembered({"ct": [sha256("rome")]})
    assert merged(old, new) == remembered({"ct": [sha256("rome")], "em": ALEX["em"]})


# Orders


def test_a_later_event_of_an_order_becomes_as_rich_as_the_visit() -> None:
    known, names = enriched(order(), [bundle(visit())])
    assert known["user_data"] == visit()["user_data"]
    assert known["event_source_url"] == PAGE
    assert sorted(names) == sorted([*(f"user_data.{key}" for key in {**DEVICE, **ALEX}), "event_source_url"])


@pytest.mark.parametrize(
    "later",
    [
        order("1001"),
        order(1001),
        order(" 1001 "),
        event(original_event_data={"event_name": "Purchase", "order_id": "1001"}),
        event(original_event_data={"order_id": 1001}, custom_data={"value": 5.0}),
    ],
)
def test_an_order_is_found_wherever_an_event_names_it(later: EventJson) -> None:
    assert filled(later, visit(), posted=True)["user_data"] == visit()["user_data"]


def test_a_browser_that_names_an_order_gets_nothing_of_its_visit() -> None:
    """Anybody can count up to somebody else's order (THREATS T5)."""
    hit = event({"fbp": OTHER_FBP}, custom_data={"order_id": "1001"})
    assert filled(hit, visit()) == hit


def test_a_made_up_external_id_can_be_left_unbelieved() -> None:
    hit = event({"fbp": FBP, "external_id": [ALEX_ID]})
    assert keys_of(PIXEL, hit, posted=False, by_person=False) == (browser_key(PIXEL, FBP),)
    assert person_key(PIXEL, ALEX_ID) in keys_of(PIXEL, hit, posted=True, by_person=False)


def test_the_order_tells_more_than_the_person_and_he_more_than_the_browser() -> None:
    keys = keys_of(PIXEL, order(user_data={"fbp": FBP, "external_id": [ALEX_ID]}), posted=True)
    assert keys == (order_key(PIXEL, "1001"), person_key(PIXEL, ALEX_ID), browser_key(PIXEL, FBP))


def test_a_bundle_has_what_the_visit_s_browser_had_given_before() -> None:
    anonymous = event(DEVICE, custom_data={"order_id": "1001"}, event_source_url=PAGE)
    known = to_remember(PIXEL, anonymous, filled(anonymous, event({"fbp": FBP, **ALEX})))
    assert known == {order_key(PIXEL, "1001"): bundle(visit())}


def test_the_first_visit_that_names_an_order_keeps_it() -> None:
    forged = event({"fbp": OTHER_FBP, **BOB}, custom_data={"order_id": "1001"}, event_source_url=PAGE)
    assert merged(bundle(visit()), bundle(forged)) == bundle(visit())
    assert updated(bundle(visit()).as_bytes(), bundle(forged)) is None
    assert filled(order(), visit(), forged, posted=True)["user_data"] == visit()["user_data"]


@pytest.mark.parametrize("user_data", [{"em": BOB["em"]}, {"fbp": OTHER_FBP}])
def test_a_bundle_of_another_person_or_browser_adds_nothing(user_data: dict[str, Any]) -> None:
    """So an order that somebody named before the shop's customer did cannot put his device into the shop's event."""
    later = order(user_data=user_data)
    assert enriched(later, [bundle(visit())]) == (later, ())


@pytest.mark.parametrize("said", [None, ()])
def test_an_event_of_a_limited_visit_becomes_limited(said: Any) -> None:
    limited = visit(
        data_processing_options=["LDU"], data_processing_options_country=1, data_processing_options_state=1000
    )
    later, names = enriched(order(data_processing_options=said), [bundle(limited)])
    assert later["data_processing_options"] == ["LDU"]
    assert [later[f"data_processing_options_{place}"] for place in ("country", "state")] == [1, 1000]
    assert "data_processing_options" in names


def test_a_limited_visit_limits_even_an_event_that_takes_nothing_of_it() -> None:
    limited = visit(data_processing_options=["LDU"])
    later, _ = enriched(order(user_data=BOB), [bundle(limited)])
    assert later["user_data"] == lists(**BOB)
    assert later["data_processing_options"] == ["LDU"]
    assert [later[f"data_processing_options_{place}"] for place in ("country", "state")] == [0, 0]


def test_an_event_s_own_limits_stay() -> None:
    own = {"data_processing_options_country": 1, "data_processing_options_state": 1001}
    limited = visit(data_processing_options=["LDU"])
    later, names = enriched(order(data_processing_options=["LDU"], **own), [bundle(limited)])
    assert own.items() <= later.items()
    assert "data_processing_options" not in names


def test_an_unlimited_visit_lifts_no_limit() -> None:
    later, _ = enriched(order(data_processing_options=["LDU"]), [bundle(visit(data_processing_options=[]))])
    assert later["data_processing_options"] == ["LDU"]


def test_texts_that_nobody_s_browser_sends_are_not_kept() -> None:
    long = "x" * (LONGEST + 1)
    odd = event({**DEVICE, "client_user_agent": long}, custom_data={"order_id": "1001"}, event_source_url=long)
    assert bundle(odd).user_data == UserData(**{**DEVICE, "client_user_agent": None})
    assert bundle(odd).event_source_url is None


@pytest.mark.parametrize("order_id", ["", "  ", None, True, 1.5, [], {"a": 1}, ["1001"], "x" * (LONGEST_ORDER_ID + 1)])
def test_what_is_no_order_id_names_no_order(order_id: Any) -> None:
    hostile = event(original_event_data={"order_id": order_id})
    named = {**hostile, "custom_data": {"order_id": order_id}}
    assert order_of(hostile) == order_of(named) == ""


# For every event and every entry


@given(events, st.lists(entries, max_size=3))
def test_what_an_event_has_stays(before: EventJson, found: list[Remembered]) -> None:
    after, names = enriched(before, found)
    added = {name.partition(".")[2] for name in names if name.startswith("user_data.")}
    assert before["user_data"].items() <= after["user_data"].items()
    assert after["user_data"].keys() - before["user_data"].keys() == added
    assert before.get("event_source_url") in (None, after.get("event_source_url"))
    exempt = {"user_data", "event_source_url", "data_processing_options"}
    exempt |= {"data_processing_options_country", "data_processing_options_state"}
    assert [{name: it for name, it in one.items() if name not in exempt} for one in (before, after)] == [
        {"event_name": "PageView", "event_time": 1_795_461_800, "event_id": "1", "action_source": "website"}
    ] * 2


@given(events, st.lists(entries, max_size=3))
def test_names_are_those_of_what_changed(before: EventJson, found: list[Remembered]) -> None:
    after, names = enriched(before, found)
    changed = {f"user_data.{key}" for key, it in after["user_data"].items() if it != before["user_data"].get(key)}
    changed |= {key for key, value in after.items() if key != "user_data" and value != before.get(key)}
    assert set(names) == changed
    assert len(set(names)) == len(names)


@given(events, entries)
def test_nothing_is_ever_taken_of_somebody_else(before: EventJson, found: Remembered) -> None:
    both = [(getattr(found.user_data, key), before["user_data"].get(key)) for key in TELLING]
    if any(one and other and not set(one) & set(other) for one, other in both):
        assert enriched(before, [found])[0]["user_data"] == before["user_data"]


@given(events, entries)
def test_an_event_is_never_less_limited_than_a_visit_that_enriches_it(before: EventJson, found: Remembered) -> None:
    after, _ = enriched(before, [found])
    was_limited = "LDU" in before.get("data_processing_options", ())
    assert ("LDU" in after.get("data_processing_options", ())) == (was_limited or found.limits is not None)


@given(events, st.lists(entries, max_size=3))
def test_what_comes_out_is_an_event_that_can_be_sent(before: EventJson, found: list[Remembered]) -> None:
    after, _ = enriched(before, found)
    assert ServerEvent.model_validate(after).as_json() == after


@given(entries, entries)
def test_two_people_are_never_merged(old: Remembered, new: Remembered) -> None:
    known = merged(old, new)
    if old.is_bundle:
        assert known == old
        return
    for key in TELLING:
        assert getattr(known.user_data, key) in (getattr(old.user_data, key), getattr(new.user_data, key))
    for key, value in new.user_data:
        assert value is None or getattr(known.user_data, key) == value


# Packed


@given(entries)
def test_a_packed_entry_comes_out_as_it_went_in(entry: Remembered) -> None:
    assert unpacked(entry.as_bytes()) == entry


@given(st.text(min_size=1), st.sampled_from(HASHED))
def test_plaintext_comes_out_of_no_bytes(text: str, key: str) -> None:
    stored = remembered({"em": ALEX["em"], key: ALEX["em"]}).as_bytes()
    assert unpacked(stored.replace(ALEX["em"][0].encode(), text.encode())) is None


@given(st.binary())
def test_other_bytes_are_no_entry(stored: bytes) -> None:
    assert unpacked(stored) is None


@pytest.mark.parametrize(
    "stored", [b'{"user_data":{},"phone":"12025550198"}', b'{"user_data":{"email":"a@b.example"}}']
)
def test_what_a_newer_version_wrote_is_nobody_s(stored: bytes) -> None:
    assert unpacked(stored) is None
    assert updated(stored, remembered(ALEX)) == remembered(ALEX).as_bytes()


@given(entries, entries)
def test_stored_entries_are_merged_as_others_are(old: Remembered, new: Remembered) -> None:
    if old.is_bundle == new.is_bundle:  # keys are told apart by kind, so that others never meet
        after = updated(old.as_bytes(), new)
        assert (after and unpacked(after)) == (None if new.is_bundle else merged(old, new))


def test_only_hashes_can_be_looked_for() -> None:
    """An empty text is in every entry."""
    assert needles(["", "a", "alex.doe@example.com", ALEX_ID.upper(), f"{BOB_ID}.AQ"]) == [
        ALEX_ID.encode(),
        BOB_ID.encode(),
    ]


# Keys


@given(st.lists(st.tuples(st.sampled_from([PIXEL, OTHER_PIXEL, "1", "12"]), st.text(max_size=3)), unique=True))
def test_keys_of_pixels_and_kinds_never_meet(named: list[tuple[str, str]]) -> None:
    plain = [(pixel_id, name) for pixel_id, name in named if "." not in name]  # what is behind one may be an appendix
    keys = [make(*name) for make in (browser_key, person_key, order_key) for name in plain]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} <= {16}


@given(events)
def test_pixels_share_no_key(anyone: EventJson) -> None:
    named = {**anyone, "custom_data": {"order_id": "1001"}}
    ours = {*to_remember(PIXEL, named, named), *keys_of(PIXEL, named, posted=True)}
    assert ours.isdisjoint({*to_remember(OTHER_PIXEL, named, named), *keys_of(OTHER_PIXEL, named, posted=True)})


def test_a_lone_surrogate_is_a_key_like_any_other() -> None:
    assert len(order_key(PIXEL, "\ud800")) == 16
