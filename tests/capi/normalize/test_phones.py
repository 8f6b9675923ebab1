"""Phones: the pixel's digits without a country, E.164 with one (PROTOCOL 1.5.3)."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.normalize import is_country, normalise
from pixeltwin.capi.normalize.phones import numbers

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


def values(text: str, country: str | None = None) -> tuple[str | None, ...]:
    found = normalise("ph", text, country)
    return (found.canonical, *found.also)


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("06 12 34 56 78", "FR", ("33612345678", "612345678")),
        ("020 7946 0958", "UK", ("442079460958", "2079460958")),
        ("0170/1234567", "de", ("491701234567", "1701234567")),
        ("(650) 555-1212", "US", ("16505551212", "6505551212")),
        ("(555) 123-4567", "US", ("15551234567", "5551234567")),
        ("07700 900123", "GB", ("447700900123", "7700900123")),
        ("16505551212", "US", ("16505551212",)),
        ("4917612345678", "DE", ("4917612345678",)),
        ("02 1234567", "IT", ("39021234567", "21234567")),
        ("8 (912) 345-67-89", "RU", ("79123456789", "89123456789")),
        ("90-1234-5678", "JP", ("819012345678", "9012345678")),
        ("11 91234-5678", "BR", ("5511912345678", "11912345678")),
        ("650-253-0000 ext 12", "US", ("16502530000", "650253000012")),
        ("1-800-FLOWERS", "US", ("18003569377", "1800")),
        ("011 44 20 7946 0958", "US", ("442079460958", "11442079460958")),
    ],
)
def test_a_number_without_a_country_code_gets_that_of_the_default_country(text, country, expected):
    assert values(text, country) == expected


@pytest.mark.parametrize(
    "text", ["+1 650 555 1212", "0049 170 1234567", "tel:+49-170-1234567", "\u202a+49 170 1234567"]
)
def test_a_number_with_one_is_of_no_other_country(text):
    assert values(text, "FR") == values(text)
    assert normalise("ph", text).warnings == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+44 (0)20 7946 0958", ("4402079460958", "442079460958")),
        ("+49 0170 1234567", ("4901701234567", "491701234567")),
        ("0049 (0)170 1234567", ("4901701234567", "491701234567")),
        ("+1-555-123-4567 ext. 123", ("15551234567123", "15551234567")),
        ("+39 06 1234 5678", ("390612345678",)),
    ],
)
def test_a_trunk_zero_or_an_extension_is_left_out_of_a_second_value(text, expected):
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "country"), [("12345", "DE"), ("12345", "US"), ("(0)650-253-0000", "US"), ("911", "US")]
)
def test_what_is_no_number_of_the_country_stays_as_the_pixel_sends_it_with_a_warning(text, country):
    found = normalise("ph", text, country)
    assert found == normalise("ph", text)._replace(warnings=found.warnings)
    assert any(country in warning for warning in found.warnings)


def test_an_unknown_default_country_changes_nothing():
    assert values("0170 1234567", "XX") == values("0170 1234567")
    assert [is_country(code) for code in ("DE", "gb", "uk", "XX", "")] == [True, True, True, False, False]


@pytest.mark.parametrize("region", REGIONS)
def test_every_kind_of_number_of_every_country_is_completed_as_phonenumbers_does(region):
    for kind in phonenumbers.PhoneNumberType.values():
        if example := phonenumbers.example_number_for_type(region, kind):
            national = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
            whole = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
            assert values(national, region)[0] == whole


@given(st.text(alphabet="0123456789 +()-./x#;", max_size=45), st.sampled_from(["DE", "US", "IT", "BR", "AR"]))
def test_the_pixel_s_form_is_always_among_the_values(text, country):
    pixel = normalise("ph", text).canonical
    assert pixel is None or pixel in values(text, country)


def test_a_very_long_text_is_left_to_the_pixel_s_rule():
    assert numbers("1" * 5000, "1" * 5000, "DE") == ("1" * 5000,)
