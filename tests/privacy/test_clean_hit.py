"""clean_hit: no personal data on either copy of a hit, and nothing else touched (THREATS T6, T14)."""

import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.privacy.clean import Cleaned, clean_hit
from pixeltwin.privacy.settings import CustomDataKeys, Privacy
from tests.factories import PAGE, PIXEL, form, hit_query, multipart, parsed, request
from tests.privacy.leaks import HOSTILE, JWT, KIB_64, SURVIVES
from tests.shared_hits import shared_hits

MASK, REMOVE = Privacy(), Privacy(found="remove")
HASH = "5ac3cbb303be9ca0f0ca5bdd9dde9f2d74309d33022cf5fa9bc90bbdbe9ea428"
type Pairs = list[tuple[str, str]]


def cleaned(given_request: HitRequest, privacy: Privacy = MASK) -> Cleaned:
    return clean_hit(given_request, parsed(given_request), privacy)


def clean(privacy: Privacy = MASK, **parameters: str) -> PixelHit:
    """The hit with these parameters, cleaned; it is what the cleaned request says."""
    clean_one = cleaned(request(hit_query(**parameters)), privacy)
    assert parsed(clean_one.request) == clean_one.hit
    return clean_one.hit


def cd(value: str, key: str = "note", privacy: Privacy = MASK) -> str | None:
    return clean(privacy, **{f"cd_{key}": value}).last.get(f"cd[{key}]")


def test_page_and_referrer_lose_what_they_leak():
    hit = clean(dl=f"{PAGE}?email=a%40b.example&utm_source=fb", rl="https://jane:pw@mail.example/jane@mail.example")
    assert hit.get("dl") == f"{PAGE}?utm_source=fb"
    assert hit.get("rl") == "https://mail.example/_removed_"


def test_the_names_of_what_was_touched_are_told_and_no_values():
    given_request = request(
        f"{hit_query(dl=PAGE + '?email=a', rl='https://x.example/', cd_email='jane@mail.example', cd_value='1')}"
        "&cd[jane@mail.example]=1&ud[em]=jane@mail.example",
        headers={"referer": f"{PAGE}/jane@mail.example"},
    )
    assert cleaned(given_request).removed == ("dl", "cd[email]", "cd[_removed_]", "ud[em]", "referer")


def test_the_referer_header_is_cleaned_for_it_may_become_the_page_s_address():
    noscript = request(f"id={PIXEL}&ev=PageView&noscript=1", headers={"referer": f"{PAGE}?email=jane&x=1"})
    assert cleaned(noscript).request.header("referer") == f"{PAGE}?x=1"
    assert "email" in noscript.header("referer")


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("ask jane@mail.example, please", "ask _removed_, please"),
        ("+49 (151) 234-5678", "_removed_"),
        (f"Bearer {JWT}", "_removed_"),
        ("https://shop.example/?email=jane&x=1", "https://shop.example/?x=1"),
        ('{"a":"jane@mail.example","b":[1.50,null,true]}', '{"a":"_removed_","b":[1.5,null,true]}'),
        ('[{"id":"1","title":"For jane@mail.example"}]', '[{"id":"1","title":"For _removed_"}]'),
        (
            '{"tel":"0151 2345678","phone":4915123456789,"sku":4915123456789}',
            '{"tel":"_removed_","phone":"_removed_","sku":4915123456789}',
        ),
        ('{"apiKey":"8a7f3c1d9e0b4a6f"}', '{"apiKey":"_removed_"}'),
        ('{"jane@mail.example":1}', '{"_removed_":1}'),
        ('{"a":"\\u006aane\\u0040mail.example"}', '{"a":"_removed_"}'),
        ('{"a":"{\\"b\\":\\"jane\\\\u0040mail.example\\"}"}', '{"a":"{\\"b\\":\\"_removed_\\"}"}'),
        ('{"url":"https://shop.example/?password=x"}', '{"url":"https://shop.example/"}'),
        ('{"a":"jane@mail.example","a":"x"}', '{"a":"_removed_","a":"x"}'),
        ('x[{"a":"jane@mail.example"}]', 'x[{"a":"_removed_"}]'),
        ('{"a":NaN,"b":"jane@mail.example"}', '{"a":NaN,"b":"_removed_"}'),
        ('["jane@mail.example"' + "," * 2000 + "]", '["_removed_"' + "," * 2000 + "]"),
        ("[" * 5000 + '"jane@mail.example"' + "]" * 5000, "[" * 5000 + '"_removed_"' + "]" * 5000),
    ],
    ids=lambda text: text[:40],
)
def test_custom_data_is_masked_and_json_stays_json(value, left):
    assert cd(value) == left


def test_microdata_is_looked_through():
    person = {"@type": "Person", "email": "mailto:jane@mail.example", "telephone": "030 1234567", "name": "Shop"}
    given_text = json.dumps([{"@graph": [{"author": person}]}])
    (graph,) = json.loads(cd(given_text, "JSON-LD") or "")
    assert graph["@graph"][0]["author"] == {**person, "email": "mailto:_removed_", "telephone": "_removed_"}


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("ask jane@mail.example", None),
        ('{"a":"jane@mail.example","b":1}', '{"b":1}'),
        ('[{"a":["x","jane@mail.example"]},"jane@mail.example"]', '[{"a":["x"]}]'),
        ('{"jane@mail.example":1,"phone":4915123456789,"b":2}', '{"b":2}'),
    ],
)
def test_or_the_parameter_or_property_goes(value, left):
    assert cd(value, privacy=REMOVE) == left


@pytest.mark.parametrize("key", ["phone", "customerPhone", "TEL", "mobile_no"])
def test_a_property_that_says_it_is_a_phone_number_is_believed(key):
    assert cd("0151/2345678", key) == "_removed_"
    assert cd("15", key) == "15"


@pytest.mark.parametrize(
    "value", ["1234567890", "99.90", "8a7f3c1d9e0b4a6f", '["4006381333931"]', HASH, "fb.1.1795461138686.39", *SURVIVES]
)
def test_what_only_looks_like_personal_data_survives(value):
    for key in ("order_id", "contents", "sessions_left"):
        given_request = request(hit_query(**{f"cd_{key}": value}))
        assert cleaned(given_request).request is given_request


@pytest.mark.parametrize("name", ["ud[em]", "udff[em]", "aud[em]", "audff[em]", "ud[ph]", "ud[foo]"])
@pytest.mark.parametrize("value", ["alex.doe@example.com", "alex.doe%40example.com", "+1 202 555 0198"])
def test_plain_matching_data_goes_and_never_becomes_a_mask(name, value):
    hit = cleaned(request(f"{hit_query()}&{name}={quote(value)}&ud[fn]={HASH}")).hit
    assert not hit.has(name)
    assert hit.get("ud[fn]") == HASH


@pytest.mark.parametrize("value", [HASH, HASH.upper(), f"{HASH}.AQYCAQMA", HASH[:32], "", "12025550198"])
@pytest.mark.parametrize("name", ["ud[em]", "udff[external_id]", "aud[db]"])
def test_hashes_and_ids_in_matching_data_stay(name, value):
    given_request = request(f"{hit_query()}&{name}={value}")
    assert cleaned(given_request).request is given_request


def test_a_national_number_under_ph_is_a_phone_number():
    assert not cleaned(request(f"{hit_query()}&ud[ph]=2025550198")).hit.has("ud[ph]")


@pytest.mark.parametrize("name", ["eid", "fbp", "cud[em]", "ncud[em]", "pmd[title]", "dlc", "a", "cd", "udx"])
def test_other_parameters_travel_as_they_are(name):
    given_request = request(f"{hit_query()}&{name}=jane@mail.example")
    assert cleaned(given_request).request is given_request


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        (CustomDataKeys(), {"value", "order_id", "note", "Margin"}),
        (CustomDataKeys(allow=frozenset({"margin"})), {"value", "order_id", "Margin"}),
        (
            CustomDataKeys(allow=frozenset({"note", "margin"}), deny=frozenset({"Note", "ORDER_ID"})),
            {"value", "Margin"},
        ),
        (CustomDataKeys(allow=frozenset()), {"value", "order_id"}),
        (CustomDataKeys(deny=frozenset({"note"})), {"value", "order_id", "Margin"}),
    ],
)
def test_keys_of_custom_data_can_be_allowed_and_denied(keys, left):
    hit = clean(Privacy(custom_data=keys), cd_value="1", cd_order_id="7", cd_note="hi", cd_Margin="2")
    assert set(hit.group("cd")) == left


def test_of_repeated_parameters_each_is_cleaned_by_itself():
    given_request = request(f"{hit_query()}&cd[x]=jane@mail.example&cd%5Bx%5D=plain")
    assert cleaned(given_request).request.query == f"{hit_query()}&cd[x]=_removed_&cd%5Bx%5D=plain".encode()


def test_an_openbridge_post_is_cleaned_as_the_hit_it_stands_for():
    post = request(b"cee=no", body=b"{}", content_type="text/plain")
    hit = PixelHit.of((("id", PIXEL), ("ev", "Lead"), ("dl", f"{PAGE}?email=a"), ("cd[note]", "jane@mail.example")))
    result = clean_hit(post, hit, MASK)
    assert result.request is post
    assert result.hit.parameters[2:] == (("dl", PAGE), ("cd[note]", "_removed_"))


def test_where_nothing_is_asked_for_nothing_is_done():
    privacy = Privacy(detect=(), parameters=frozenset())
    given_request = request(
        f"{hit_query(dl=PAGE + '?email=a@b.example', cd_note='+49 151 2345678')}&ud[em]=a@b.example"
    )
    assert cleaned(given_request, privacy).request is given_request


def test_of_the_shared_hits_only_those_that_leak_are_touched():
    """Its lines "personal data in URLs" and "plain text in a hand-written tag", and no other."""
    requests = [request(it.query, body=it.body, content_type=it.content_type, path=it.path) for it in shared_hits()]
    hits = [(it, parse_hit(it, Limits())) for it in requests]
    results = [clean_hit(it, hit, MASK) for it, hit in hits if isinstance(hit, PixelHit)]
    assert len(results) > 100
    assert [it.removed for it in results if it.removed] == [("ud[em]",), ("dl", "rl")]
    assert not any("alex.doe" in carried(it.request) for it in results)


# Properties.

LETTER, REST = "abcxyzäß", "abcxyz0129äß._+'-"
NAMES = st.builds(
    lambda first, rest, last: f"{first}{rest}{last}",
    st.sampled_from(LETTER),
    st.text(REST, max_size=6),
    st.sampled_from(LETTER),
)
LABELS = st.text("abcxyzü-", min_size=1, max_size=5).map(lambda label: f"d{label}d")
EMAILS = st.builds(
    lambda name, labels, end: f"{name}@{'.'.join(labels)}.{end}",
    NAMES,
    st.lists(LABELS, min_size=1, max_size=2),
    st.sampled_from(["de", "example", "xn--p1ai"]),
)
ROUND = st.text(st.sampled_from("aZ0 /?&=#;,.:%+-_<>\"'()[]{}"), max_size=6)

PLACES: dict[str, Callable[[str], tuple[str, str]]] = {
    "query": lambda text: ("dl", f"{PAGE}?q={text}"),
    "known parameter": lambda text: ("rl", f"{PAGE}?x=1&email={text}"),
    "parameter's name": lambda text: ("dl", f"{PAGE}?{text}=1"),
    "bare query": lambda text: ("dl", f"{PAGE}?{text}"),
    "path": lambda text: ("rl", f"{PAGE}/{text}/x"),
    "fragment": lambda text: ("dl", f"{PAGE}#{text}"),
    "no address": lambda text: ("dl", text),
    "campaign": lambda text: ("dl", f"{PAGE}?utm_content={text}"),
    "property": lambda text: ("cd[note]", text),
    "address in custom data": lambda text: ("cd[url]", f"{PAGE}?q={text}"),
    "JSON": lambda text: ("cd[contents]", json.dumps([{"id": "1", "title": text}])),
    "JSON as it is typed": lambda text: (
        "cd[contents]",
        json.dumps({"a": {"b": [text]}}, ensure_ascii=False, indent=1),
    ),
    "JSON key": lambda text: ("cd[JSON-LD]", json.dumps({text: 1})),
    "JSON in JSON": lambda text: ("cd[DataLayer]", json.dumps({"a": json.dumps([text])})),
    "broken JSON": lambda text: ("cd[contents]", f'[{{"id": "{text}"'),
    "matching data": lambda text: ("ud[em]", text),
}
ENCODINGS: dict[str, Callable[[Pairs], HitRequest]] = {
    "query": lambda pairs: request("&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)),
    "form": lambda pairs: form("&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)),
    "beacon": lambda pairs: multipart(pairs),
}


def every_reading(text: str) -> str:
    """The text with percent codes undone once, twice, …, one after the other."""
    readings = [text]
    while (text := unquote(text)) != readings[-1]:
        readings.append(text)
    return "\n".join(readings)


def carried(given_request: HitRequest) -> str:
    return every_reading((given_request.query + b"\n" + given_request.body).decode("utf-8", "replace"))


@given(
    email=EMAILS,
    before=ROUND,
    after=ROUND,
    times_quoted=st.integers(0, 2),
    place=st.sampled_from(list(PLACES)),
    encoding=st.sampled_from(list(ENCODINGS)),
    privacy=st.sampled_from([MASK, REMOVE]),
)
def test_no_planted_address_survives_on_either_copy(email, before, after, times_quoted, place, encoding, privacy):
    text = f"{before} {email} {after}"
    for _ in range(times_quoted):
        text = quote(text)
    pairs = [("id", PIXEL), ("ev", "Lead"), PLACES[place](text), ("sw", "1920")]
    given_request = ENCODINGS[encoding](pairs)
    result = cleaned(given_request, privacy)
    assert email not in carried(result.request)
    assert not any(email in every_reading(value) for _, value in result.hit.parameters)
    assert parsed(result.request) == result.hit
    assert result.hit.get("sw") == "1920"


PIECES = st.sampled_from(
    [*HOSTILE, *'{}[]",:', '{"a":', '{"phone":', "https://x.example/?a=", "token", "+49 151 2345678", JWT]
)
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=10).map("".join)
KEYS = st.sampled_from(
    ["dl", "rl", "cd[note]", "cd[phone]", "cd[token]", "cd[", "cd[a][b]", "ud[ph]", "udff[x]", "dlc", "cd[a@b.example]"]
)


@given(
    st.lists(st.tuples(KEYS, TEXTS), max_size=4),
    st.sampled_from(list(ENCODINGS)),
    st.sampled_from([MASK, REMOVE]),
    TEXTS,
)
def test_whatever_a_hit_holds_it_is_cleaned_once_and_for_all(pairs, encoding, privacy, referer):
    safe = [(name, value.encode("utf-8", "replace").decode()) for name, value in pairs]
    given_request = ENCODINGS[encoding]([("id", PIXEL), ("ev", "Lead"), *safe])
    once = cleaned(given_request, privacy)
    assert parsed(once.request) == once.hit
    again = clean_hit(once.request, once.hit, privacy)
    assert again == Cleaned(once.request, once.hit, ())
    assert (once.request is given_request) == (once.removed == ())


@given(st.lists(st.tuples(KEYS, TEXTS), max_size=4), TEXTS)
@example([("cd[note]", '{"a":"\ud800@b.example"}')], "")
def test_nothing_raises_for_what_a_hit_holds(pairs, referer):
    hit = PixelHit.of(tuple(pairs))
    clean_hit(request("a=1", headers={"referer": referer}), hit, MASK)
    clean_hit(request("a=1", headers={"referer": referer}), hit, REMOVE)


@pytest.mark.parametrize(
    "shape",
    [
        lambda piece: ("dl", (piece * KIB_64)[:KIB_64]),
        lambda piece: ("dl", ("https://x.example/?" + f"{piece}=&" * KIB_64)[:KIB_64]),
        lambda piece: (
            "dl",
            ("https://x.example/login?next=" + quote(quote(f"/{piece}?a=", errors="replace")) * KIB_64)[:KIB_64],
        ),
        lambda piece: ("cd[phone]", (piece * KIB_64)[:KIB_64]),
        lambda piece: (
            "cd[token]",
            ("[" + json.dumps(piece) + f", {json.dumps(piece)}" * KIB_64)[: KIB_64 - 9].rpartition(",")[0] + "]",
        ),
        lambda piece: ("cd[note]", ('{"a":' * KIB_64)[:KIB_64] + piece),
    ],
    ids=["address", "query", "nested", "text", "JSON", "deep JSON"],
)
@pytest.mark.parametrize("piece", HOSTILE, ids=ascii)
def test_64_kib_of_anything_are_cleaned_in_linear_time(piece, shape):
    hit = PixelHit.of((shape(piece),))
    began = time.perf_counter()
    clean_hit(request("a=1"), hit, MASK)
    assert time.perf_counter() - began < 2  # most take some milliseconds; what is quadratic takes minutes
