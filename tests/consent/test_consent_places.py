"""Where a policy applies, as people write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.consent.places import EU, GROUPS, codes, codes_of, is_country, parse_place
from pixeltwin.pixel.visit import Place

# europa.eu: the members since 2020; efta.int: the EEA adds three
MEMBERS = {
    *("AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE"),
    *("IT", "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE"),
}


def applies(where: list[str], country: str = "", region: str = "") -> bool:
    return not codes(map(parse_place, where)).isdisjoint(codes_of(Place(country, region)))


def test_the_eu_has_27_members_and_their_overseas_parts():
    assert len(MEMBERS) == 27
    assert {"AX", "GF", "GP", "MF", "MQ", "RE", "YT"} == EU - MEMBERS
    assert MEMBERS < EU


def test_the_eea_adds_three_and_has_neither_switzerland_nor_britain():
    assert GROUPS["EEA"] - EU == {"IS", "LI", "NO"}
    assert GROUPS["EEA"].isdisjoint({"CH", "GB"})


def test_every_code_of_a_group_is_a_country():
    assert all(is_country(code) for code in GROUPS["EEA"])


@pytest.mark.parametrize(
    ("where", "place", "is_meant"),
    [
        (["EEA"], ("DE",), True),
        (["EEA"], ("NO",), True),
        (["EU"], ("NO",), False),
        (["EEA"], ("RE",), True),
        (["EEA"], ("GB",), False),
        (["EEA", "GB", "CH"], ("CH",), True),
        (["EEA"], ("US", "CA"), False),
        (["EEA"], (), False),
        (["EEA", "unknown"], (), True),
        (["DE"], ("DE", "BY"), True),
        (["DE-BY"], ("DE", "BY"), True),
        (["DE-BY"], ("DE", "BE"), False),
        (["US-CA"], ("US", "CA"), True),
        (["US-CA"], ("CA",), False),
        (["US-CA", "US-VA"], ("US", "VA"), True),
        (["US-CA"], ("US",), False),
        (["US-CA", "unknown"], ("US",), True),
        (["US-CA", "unknown"], ("US", "NY"), False),
        (["DE", "unknown"], ("US",), False),
        (["us-ca", "eea", "Unknown"], ("us", "ca"), True),
    ],
)
def test_a_visitor_is_meant_or_not(where, place, is_meant):
    assert applies(where, *place) is is_meant


@pytest.mark.parametrize("country", ["XX", "T1", "UK", "ZZ", "D", "unknown", "-", "ı"])
def test_what_a_front_says_and_is_no_country_is_unknown(country):
    assert applies(["unknown"], country)
    assert not applies(["EEA", "GB"], country)


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("UK", "'GB'"),
        ("Germany", "'DE'"),
        ("Deutschland", "'DE'"),
        ("DEU", "'DE'"),
        ("California", "'US-CA'"),
        ("US_CA", "'US-CA'"),
        ("US CA", "'US-CA'"),
        ("Europe", "'EEA'"),
        ("US-QQ", "DE or US-CA"),
        ("CA-CA", "DE or US-CA"),
        ("XX", "unknown"),
        ("XX-YY", "unknown"),
        ("everywhere", "leave `where` out"),
        ("", "EEA"),
        ("DE-", "EEA"),
        (49, "EEA"),
        (None, "EEA"),
        ("x" * 5000, "EEA"),
    ],
)
def test_a_place_that_is_none_gets_a_suggestion(written, remedy):
    with pytest.raises(ValueError, match=remedy):
        parse_place(written)


@given(st.text())
def test_a_place_is_one_of_ours_or_refused(written):
    try:
        place = parse_place(written)
    except ValueError:
        return
    assert place == "unknown" or place in GROUPS or is_country(place.partition("-")[0])
