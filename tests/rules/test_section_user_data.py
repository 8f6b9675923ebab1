"""Customer information: every key of Meta's, hashed here or before, beside what the browser sent."""

import hashlib

import pytest
from pydantic import ValidationError

from pixeltwin.capi.event import HASHED, HASHED_PARTS, UserData

from .factories import FBP, faults, ruled, rules, twin

ELEMENT = {"x": {"custom_data": "x"}, "y": {"custom_data": "y"}}
PLAIN = [name for name in UserData.model_fields if name not in (*HASHED, *HASHED_PARTS)]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# As the documentation has them (PROTOCOL 1.5), or as the pixel makes them.
NORMALISED = [
    ("em", " John_Smith@Gmail.com", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
    ("ph", "+1 (650) 555-1212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
    ("fn", "Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
    ("ln", "O'Brien", sha256("obrien")),
    ("ge", "Female", "252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111"),
    ("db", "1997-02-16", "01acdbf6ec7b4f478a225f1a246e5d6767eeab1a7ffa17f025265b5b94f40f0c"),
    ("ct", "New York", "350c754ba4d38897693aa077ef43072a859d23f613443133fecbbd90a3512ca5"),
    ("st", "California", "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126"),
    ("zp", "94035-1234", "1794327a4d443904421f5ca1f3d72d0a62ba2f0770d80755ec2220fc0efb052e"),
    ("country", "US", "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"),
    ("external_id", "User-42", "6d894aa3ee802549d7f340e7c1cf0d1c1cb14cd84f768d92ffaa6785337c4997"),
]
PARTS = [
    ("f5first", "Maryanne", sha256("marya")),
    ("f5last", "Smithson", sha256("smith")),
    ("fi", "Mary", sha256("m")),
    ("dobd", "16", sha256("16")),
    ("dobm", "02", sha256("02")),
    ("doby", "1997", sha256("1997")),
]
KEPT = [
    ("client_ip_address", "8.8.8.8", "8.8.8.8"),
    ("client_ip_address", "2606:4700:4700::1111", "2606:4700:4700::1111"),
    ("client_ip_address", "::ffff:8.8.8.8", "8.8.8.8"),
    ("client_user_agent", "Mozilla/5.0", "Mozilla/5.0"),
    ("fbc", "fb.1.1596403881668.IwAR2F4", "fb.1.1596403881668.IwAR2F4"),
    ("fbp", "fb.1.1596403881668.1116446470", "fb.1.1596403881668.1116446470"),
    *((name, "73", "73") for name in PLAIN if name not in {"client_ip_address", "client_user_agent", "fbc", "fbp"}),
]
OTHER = {"partner_name": {"partner_id": "1"}, "partner_id": {"partner_name": "p"}}  # one needs the other


def section(key: str, given: object) -> dict[str, object]:
    return {"user_data": {key: given, **OTHER.get(key, {})}}


def user_data(key: str, given: object, hit: dict[str, str] | None = None, constant: str = "c") -> dict[str, object]:
    elements = {**ELEMENT, "constant": {"constant": constant}}
    return twin(section(key, given), hit or {}, elements=elements)["user_data"]


@pytest.mark.parametrize(("key", "given", "expected"), NORMALISED)
def test_what_is_plain_is_hashed_as_the_pixel_hashes_it(key, given, expected):
    assert user_data(key, given)[key][0] == expected
    assert user_data(key, "{{ constant }}", constant=given)[key][0] == expected
    assert user_data(key, {"cel": f'"{given}"'})[key][0] == expected


@pytest.mark.parametrize(("key", "given", "expected"), PARTS)
def test_parts_of_names_and_birthdays_are_one_hash_each(key, given, expected):
    assert user_data(key, given)[key] == expected


@pytest.mark.parametrize("key", [key for key, _, _ in NORMALISED])
def test_what_is_a_hash_already_is_kept(key):
    assert user_data(key, sha256("somebody").upper())[key] == [sha256("somebody")]


@pytest.mark.parametrize(("key", "given", "expected"), KEPT)
def test_what_meta_does_not_hash_is_kept_as_it_is(key, given, expected):
    assert user_data(key, given)[key] == expected
    assert user_data(key, "{{ x }}", {"cd_x": given})[key] == expected
    assert user_data(key, {"cel": "hit['cd[x]']"}, {"cd_x": given})[key] == expected


def test_every_key_of_meta_s_can_be_set():
    tried = {key for key, _, _ in (*NORMALISED, *PARTS, *KEPT)}
    assert tried == set(UserData.model_fields)


def test_several_values_where_meta_takes_a_list():
    found = user_data("em", ["{{ x }}", "b@mail.example", {"cel": "hit.nothing"}], {"cd_x": sha256("a")})
    assert found["em"] == [sha256("a"), sha256("b@mail.example")]


def test_the_browser_s_own_hash_stays_first_and_the_same_one_comes_once():
    hit = {"ud[em]": sha256("a@mail.example")}
    both = [sha256("a@mail.example"), sha256("b@mail.example")]
    assert twin(section("em", ["b@mail.example", "a@mail.example"]), hit)["user_data"]["em"] == both


def test_an_optional_element_leaves_the_key_away_and_is_no_fault():
    then = {"user_data": {"em": "{{ x }}", "ph": ["{{ x }}", "{{ y }}"], "subscription_id": "{{ x }}", "fi": "{{ x }}"}}
    assert twin(then, elements=ELEMENT)["user_data"] == twin(section("fbp", FBP))["user_data"]
    assert faults(then, elements=ELEMENT) == []


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("em", "nobody"),
        ("ph", "none"),
        ("db", "31.31.1997"),
        ("client_ip_address", "10.0.0.1"),
        ("client_ip_address", "somewhere"),
        ("fbp", "1116446470"),
        ("fbc", "IwAR2F4"),
    ],
)
def test_what_cannot_be_used_leaves_the_key_and_is_named(key, given):
    then = section(key, "{{ x }}")
    assert twin(then, {"cd_x": given}, elements=ELEMENT)["user_data"] == twin(section("fbp", FBP))["user_data"]
    assert faults(then, {"cd_x": given}, elements=ELEMENT) == [f"user_data.{key}"]


@pytest.mark.parametrize(
    ("key", "given"), [("client_ip_address", "10.0.0.1"), ("fbp", "1116446470"), ("fbc", "x"), ("emm", "a@b.example")]
)
def test_a_literal_that_cannot_be_used_is_an_error_in_the_file(key, given):
    with pytest.raises(ValidationError):
        rules({"then": section(key, given)})


# Who the partner is.


@pytest.mark.parametrize("given", [{"partner_name": "p"}, {"partner_id": "1"}])
def test_partner_s_name_and_id_are_written_together(given):
    with pytest.raises(ValidationError, match="write partner_name and partner_id, or neither"):
        rules({"then": {"user_data": given}})


@pytest.mark.parametrize("there", ["x", "y"])
def test_a_partner_s_name_or_id_alone_is_not_sent(there):
    then = {"user_data": {"partner_name": "{{ x }}", "partner_id": "{{ y }}"}}
    both = twin(then, {"cd_x": "p", "cd_y": "1"}, elements=ELEMENT)["user_data"]
    assert (both["partner_name"], both["partner_id"]) == ("p", "1")
    one = twin(then, {f"cd_{there}": "1"}, elements=ELEMENT)["user_data"]
    assert not one.keys() & {"partner_name", "partner_id"}
    assert faults(then, {f"cd_{there}": "1"}, elements=ELEMENT) == [
        f"user_data.{'partner_name' if there == 'x' else 'partner_id'}"
    ]


# Plaintext.


def test_what_was_plain_is_in_no_draft():
    """A canary person, given in every key: none of it is left in what the outbox keeps."""
    person = {
        "em": "canary.person@mail.example",
        "ph": "+4915112345678",
        "fn": "Canaria",
        "ln": "Personova",
        "db": "1971-03-29",
        "ct": "Canaryville",
        "zp": "98765",
        "external_id": "cust-canary-9",
    }
    draft = ruled({"user_data": person}).draft
    kept = draft.as_bytes().decode().lower()
    plain = [text.lower() for text in ("canary", "person", "canaria", "15112345678", "1971", "98765", "cust-")]
    assert not [text for text in plain if text in kept]
    assert set(person) <= set(draft.event["user_data"])
