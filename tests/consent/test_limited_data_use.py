"""Limited data use: Meta's table of states, and what people write for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.consent.limited_data_use import (
    REMEDIES,
    STATES,
    country_code,
    limits_of,
    limits_of_page,
    state_code,
    together,
)
from pixeltwin.pixel.visit import Place

from .factories import visit

# Meta's page on data processing options, as PROTOCOL 1.7 has it
META = {
    "California": ("CA", 1000),
    "Colorado": ("CO", 1001),
    "Connecticut": ("CT", 1002),
    "Florida": ("FL", 1003),
    "Oregon": ("OR", 1004),
    "Texas": ("TX", 1005),
    "Montana": ("MT", 1006),
    "Delaware": ("DE", 1007),
    "Nebraska": ("NE", 1008),
    "New Hampshire": ("NH", 1009),
    "New Jersey": ("NJ", 1010),
    "Minnesota": ("MN", 1011),
    "Maryland": ("MD", 1012),
    "Rhode Island": ("RI", 1013),
}


def test_the_states_are_metas():
    assert dict(META.values()) == STATES


@pytest.mark.parametrize(("code", "number"), META.values())
def test_a_visitor_in_one_of_the_states_is_limited_there(code, number):
    assert limits_of(Place("US", code)) == (1, number)


@pytest.mark.parametrize(
    "place", [Place(), Place("US"), Place("US", "NY"), Place("DE"), Place("CA"), Place("CA", "ON"), Place("", "CA")]
)
def test_anywhere_else_meta_finds_out(place):
    assert limits_of(place) == (0, 0)


def test_delaware_is_not_germany():
    assert limits_of(Place("DE", "DE")) == (0, 0)


@pytest.mark.parametrize(("name", "code_and_number"), META.items())
def test_a_state_may_be_written_in_every_usual_way(name, code_and_number):
    code, number = code_and_number
    ways = (code, code.lower(), f"US-{code}", name, name.upper(), str(number), number, f" {code} ")
    assert {state_code(written) for written in ways} == {number}


@pytest.mark.parametrize("written", ["US", "us", "USA", "1", 1])
def test_the_country_may_be_written_in_every_usual_way(written):
    assert country_code(written) == 1


@pytest.mark.parametrize("code", [country_code, state_code])
@pytest.mark.parametrize("written", ["0", 0])
def test_zero_lets_meta_find_out(code, written):
    assert code(written) == 0


@pytest.mark.parametrize("written", ["NY", "New York", "ON", "Ontario", 999, 1014, "", True, None, 1000.0, ["CA"]])
def test_a_state_that_meta_does_not_know_is_none(written):
    assert state_code(written) is None


@pytest.mark.parametrize("written", ["DE", "Germany", 2, "", True, None, "EU"])
def test_a_country_that_meta_does_not_know_is_none(written):
    assert country_code(written) is None


@given(st.text() | st.integers() | st.floats() | st.none())
def test_no_value_breaks_it(written):
    assert country_code(written) in {None, 0, 1}
    assert state_code(written) in {None, 0, *STATES.values()}


def test_remedies_say_what_would_work():
    assert "US" in REMEDIES[country_code]
    assert all(code in REMEDIES[state_code] for code in STATES)


@pytest.mark.parametrize(
    ("country", "state", "limits"), [(1, 1000, (1, 1000)), (0, 1000, (1, 1000)), (1, 0, (0, 0)), (0, 0, (0, 0))]
)
def test_a_country_without_a_state_lets_meta_find_out(country, state, limits):
    assert together(country, state) == limits


@pytest.mark.parametrize(
    ("hit", "limits"),
    [
        ({"dpo": "LDU", "dpoco": "1", "dpost": "1000"}, (1, 1000)),
        ({"dpo": "LDU", "dpoco": "0", "dpost": "0"}, (0, 0)),
        ({"dpo": "LDU", "dpoco": "1"}, (0, 0)),
        ({"dpo": "LDU"}, (0, 0)),
        ({"dpo": "LDU", "dpoco": "1", "dpost": "9" * 5000}, (0, 0)),
        ({"dpo": "LDU", "dpoco": "١", "dpost": "١"}, (0, 0)),
        ({"dpo": ""}, None),
        ({"dpo": ",", "dpoco": "1", "dpost": "1000"}, None),
        ({"dpoco": "1", "dpost": "1000"}, None),
        ({}, None),
    ],
)
def test_a_page_limits_its_hit_by_dpo(hit, limits):
    assert limits_of_page(visit(hit=hit).hit) == limits
