"""What becomes of customer data: the documentation's samples, and where we know more than the pixel (PROTOCOL 1.5)."""

import hashlib
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.hashes import HASHES_OF_NOTHING, OF_NOTHING, SPACE, as_hash
from pixeltwin.capi.normalize import NORMALIZERS, explain, hashed, hashes, normalise

FIELDS = tuple(NORMALIZERS)
JOHN = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
MD5 = "5d41402abc4b2a76b9719d911017c592"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "value", "digest"),
    [
        ("em", " John_Smith@gmail.com ", JOHN),
        ("ph", "+1 (650) 555-1212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
        ("fn", "Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
        ("fn", "Valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
        ("fn", "Vale\u0301ry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
        ("ln", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
        ("db", "2/16/1997", "01acdbf6ec7b4f478a225f1a246e5d6767eeab1a7ffa17f025265b5b94f40f0c"),
        ("ge", "F", "252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111"),
        ("ge", "male", "62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a"),
        ("ct", "New York", "350c754ba4d38897693aa077ef43072a859d23f613443133fecbbd90a3512ca5"),
        ("st", "California", "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126"),
        ("zp", "94035-1234", "1794327a4d443904421f5ca1f3d72d0a62ba2f0770d80755ec2220fc0efb052e"),
        ("country", "United States", "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"),
        ("external_id", "User- 42", "6d894aa3ee802549d7f340e7c1cf0d1c1cb14cd84f768d92ffaa6785337c4997"),
    ],
)
def test_the_documentation_s_samples(key, value, digest):
    assert hashed(key, value) == digest


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("em", ""),
        ("em", "johnsmith"),
        ("em", "a@b.co, c@d.co"),
        ("em", "a b@c.de"),
        ("em", "jöhn@shop.example"),
        ("ph", "abc"),
        ("ph", "000"),
        ("fn", "!?"),
        ("ge", "other"),
        ("db", "yesterday"),
        ("db", "13/13/1990"),
        ("ct", "123"),
        ("zp", "1"),
        ("country", "42"),
        ("external_id", " \u3000\ufeff"),
        ("dobd", "32"),
        ("dobm", "0"),
        ("doby", "97"),
        ("fn", "half a pair: \ud83c"),
        ("fn", "x" * 10_000),
        ("em", OF_NOTHING),
        ("external_id", OF_NOTHING.upper() + ".AQQCAQMC"),
        ("ph", "d41d8cd98f00b204e9800998ecf8427e"),
    ],
)
def test_what_is_blank_refused_or_a_hash_of_nothing_is_not_sent(key, value):
    assert hashes(key, value) == ()
    assert normalise(key, value).canonical is None


@pytest.mark.parametrize(
    ("key", "value", "canonical", "also"),
    [
        ("country", "Österreich", "st", ("at",)),
        ("country", "Schweiz", "sc", ("ch",)),
        ("country", "UK", "uk", ("gb",)),
        ("country", "Deutschland", "de", ()),
        ("country", "GER", "ge", ("de",)),
        ("country", "日本", None, ("jp",)),
        ("country", "Federal Republic of Somalia", "ml", ("so",)),
        ("st", "Bayern", "ba", ("by", "bayern")),
        ("st", "Île-de-France", "le", ("îledefrance",)),
        ("st", "West Virginia, USA", "va", ("wv",)),
        ("st", "Washington, D.C.", "wa", ("dc",)),
        ("st", "California", "ca", ()),
        ("st", "北京", None, ("北京",)),
        ("ct", "São Paulo", "sopaulo", ("sãopaulo",)),
        ("ct", "東京", None, ("東京",)),
        ("ct", "İstanbul", "stanbul", ("istanbul",)),
        ("ct", "St. Louis", "stlouis", ()),
        ("zp", "SW1A 1AA", "sw1a 1aa", ("sw1a1aa",)),
        ("zp", "100-0001", "100", ("1000001",)),
        ("zp", "D-10115", None, ("10115",)),
        ("zp", "94035-1234", "94035", ()),
        ("em", "User@München.de", None, ("user@münchen.de", "user@xn--mnchen-3ya.de")),
        ("em", "user@xn--mnchen-3ya.de", "user@xn--mnchen-3ya.de", ("user@münchen.de",)),
        ("fn", "O’Neill", "o’neill", ("oneill",)),
        ("fn", "O'Neill", "oneill", ()),
        ("ge", "weiblich", None, ("f",)),
        ("ge", "Female", "f", ()),
        ("db", "05.03.1995", "19950503", ("19950305",)),
        ("db", "05/03/1995", "19950503", ()),
        ("f5first", "Jonathan", "jonat", ()),
        ("fi", "Éric", "é", ()),
        ("dobd", "7", "07", ()),
        ("doby", "1990", "1990", ()),
    ],
)
def test_what_we_know_better_follows_the_pixel_s_value(key, value, canonical, also):
    found = normalise(key, value)
    assert (found.canonical, found.also) == (canonical, also)


def test_a_date_is_read_with_the_day_first_where_people_write_it_so():
    assert [normalise("db", "05/03/1995", country).also for country in ("DE", "us")] == [("19950305",), ()]


def test_text_that_is_not_nfc_is_sent_as_the_pixel_hashes_it_too():
    assert normalise("fn", "Zu\u0308rich").also == ("zu\u0308rich",)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("digest", [JOHN, MD5])
@pytest.mark.parametrize("appendix", ["", ".AQ", ".Bg", ".AQQCAQMC", ".12345678"])
def test_a_hash_is_kept_and_never_hashed_again(field, digest, appendix):
    for spelling in (digest, f"\t{digest}\u00a0"):
        assert hashes(field, spelling.strip() + appendix) == (digest,)
        assert normalise(field, f" {digest.upper()}{appendix} ").kept


@pytest.mark.parametrize(
    "nearly", [f"{JOHN}.zz", f"{JOHN}.", f"{JOHN}..AQQCAQMC", JOHN[1:], f"0x{JOHN}", f"\x85{JOHN}"]
)
def test_what_only_resembles_a_hash_is_none(nearly):
    assert as_hash(nearly) is None
    assert not normalise("external_id", nearly).kept


def test_an_appendix_that_is_not_meta_s_is_not_passed_on():
    assert as_hash(f"{JOHN}.AQQCAQMC") == f"{JOHN}.AQQCAQMC"
    assert as_hash(f"{JOHN}.<script>") == JOHN


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("ph", "06 12 34 56 78", "country code"),
        ("external_id", MD5, "MD5"),
        ("country", "Atlantis", "country"),
        ("db", "31/02/1990", "no such day"),
        ("external_id", "undefined", "placeholder"),
        ("em", OF_NOTHING, "nothing"),
    ],
)
def test_what_is_doubtful_comes_with_a_warning(key, value, word):
    assert any(word in warning for warning in normalise(key, value).warnings)


def test_what_is_sound_comes_without():
    sound = {"em": "a@b.co", "ph": "+49 170 1234567", "country": "Österreich", "db": "1990-02-28", "fn": "Mary"}
    assert [normalise(key, value).warnings for key, value in sound.items()] == [()] * len(sound)


def test_a_field_that_meta_does_not_hash_is_a_key_error():
    with pytest.raises(KeyError):
        hashes("shoe_size", JOHN)


def test_each_step_is_told_up_to_the_refusal():
    assert [done.text for done in explain("ct", " 1 Road ")] == ["1 Road", "1Road", "1road", ""]
    assert explain("ph", "0170 1234567", "DE")[-1].text == "491701234567"


fields = st.sampled_from(FIELDS)
texts = st.text() | st.text(alphabet="0123456789 +-./()@abcxnİßéΣ北\u0301\u200d\ufeff", max_size=40)
countries = st.sampled_from([None, "DE", "us", "IT", "XX"])
hexes = st.text(alphabet="0123456789abcdefABCDEF", min_size=64, max_size=64)


@given(st.integers(1000, 2999), st.integers(0, 19), st.integers(0, 39), countries)
def test_a_date_as_databases_write_it_is_the_date_that_it_is_with_slashes(year, month, day, country):
    date = f"{year}-{month:02}-{day:02}"
    assert hashes("db", date, country) == hashes("db", date.replace("-", "/"), country)


@given(fields, texts, countries)
def test_any_text_is_hashed_or_refused(field, text, country):
    found = hashes(field, text, country)
    assert all(re.fullmatch("[0-9a-f]{64}|[0-9a-f]{32}", value) for value in found)
    assert not HASHES_OF_NOTHING & set(found)
    assert len(set(found)) == len(found)


@given(fields, texts, countries)
def test_hashes_are_those_of_the_normalised_values(field, text, country):
    found = normalise(field, text, country)
    values = [found.sha256, *map(sha256, found.also)]
    assert hashes(field, text, country) == tuple(value for value in values if value)


@given(fields, texts)
def test_steps_end_at_the_canonical_value(field, text):
    found = normalise(field, text)
    assert explain(field, text)[-1].text in (found.canonical or "", text.strip(SPACE))


@given(fields, texts)
def test_normalising_twice_is_normalising_once(field, text):
    once = normalise(field, text).canonical
    if once is not None and unicodedata.is_normalized("NFC", once):
        assert normalise(field, once).canonical == once


@given(fields, hexes, st.sampled_from(["", ".AQ", ".AQQCAQMC"]), st.sampled_from(["", " ", "\ufeff\t"]))
def test_any_hash_is_kept(field, digest, appendix, space):
    assert hashes(field, f"{space}{digest}{appendix}{space}") == (digest.lower(),)
