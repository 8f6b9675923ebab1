"""clean_url: no personal data in the addresses of pages, and every other character as it was (THREATS T14)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.privacy.address import clean_url
from pixeltwin.privacy.settings import Privacy
from tests.privacy.leaks import HEX, JWT, LEAKS, REMOVED, SHOP, SURVIVES

MASK, REMOVE = Privacy(), Privacy(found="remove")


@pytest.mark.parametrize("leaking", LEAKS)
def test_what_pages_leak_is_masked(leaking):
    assert clean_url(leaking, MASK) == LEAKS[leaking]


@pytest.mark.parametrize("leaking", REMOVED)
def test_or_its_parameter_or_segment_goes(leaking):
    assert clean_url(leaking, REMOVE) == REMOVED[leaking]


@pytest.mark.parametrize("privacy", [MASK, REMOVE], ids=["mask", "remove"])
@pytest.mark.parametrize("address", SURVIVES)
def test_click_ids_campaigns_orders_and_products_survive(address, privacy):
    assert clean_url(address, privacy) == address


@pytest.mark.parametrize(
    "name", ["Customer-No", "customer_no", "customerno", "CUSTOMER%5FNO", "a[customerNo]", "a.customer_no"]
)
def test_a_listed_parameter_goes_however_its_name_is_written(name):
    privacy = Privacy(detect=(), parameters=frozenset({"customer_no"}))
    assert clean_url(f"{SHOP}/?{name}=1&customer=1&no=1", privacy) == f"{SHOP}/?customer=1&no=1"


def test_the_list_may_be_of_any_length():
    privacy = Privacy(detect=(), parameters=frozenset(f"customer_no_{number}" for number in range(20_000)))
    assert clean_url(f"{SHOP}/?customer_no_19999=1&customer=1", privacy) == f"{SHOP}/?customer=1"


def test_where_nothing_is_looked_for_only_names_and_passwords_go():
    privacy = Privacy(detect=(), parameters=frozenset())
    assert (
        clean_url("https://a:b@shop.example/a@b.example?email=1", privacy) == "https://shop.example/a@b.example?email=1"
    )


def test_an_address_of_thousands_of_parts_is_cut_behind_its_path():
    address = f"{SHOP}/a%40b.example?" + "a=1&" * 3000
    assert clean_url(f"{address}u=x%40y.example", MASK) == f"{SHOP}/_removed_"
    assert clean_url(address + "=" * 10_000, MASK) == f"{SHOP}/_removed_"


CHARACTERS = [*"/?&=#;%@:+[]{}.-_ ", "\ud800", "é", "//", "%2F", "%3F", "%26", "%3D", "%2540", "%40"]
WORDS = ["http://", "https%3A%2F%2F", "token", "password", "reset", "email", "phone", "utm_x=", "fbclid=", "_removed_"]
FOUND = ["a@b.example", "a%40b.example", "+49 151 2345678", "0049", "Bearer ", "Zm9vYmFyMTIzNDU2Nzg", HEX, JWT[:12]]
PIECES = st.sampled_from([*CHARACTERS, *WORDS, *FOUND])
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join)


@given(TEXTS, st.sampled_from([MASK, REMOVE]))
def test_what_was_cleaned_is_clean(text, privacy):
    cleaned = clean_url(text, privacy)
    assert clean_url(cleaned, privacy) == cleaned


@given(TEXTS.filter(lambda text: "#" not in text))
def test_what_looks_quiet_would_not_have_been_changed(text):
    noisy = "#%25"  # has to be read, and stays
    assert clean_url(text + noisy, MASK) == clean_url(text, MASK) + noisy
