"""fbp and fbc (PROTOCOL section 2): forms, and never a byte changed."""

import pytest

from pixeltwin.pixel import browser_id


@pytest.mark.parametrize(
    "value",
    [
        "fb.1.1596403881668.1116446470",
        "fb.2.1795460000000.IwY2xjaw-MiXeD_Case09",
        "fb.1.1795460000000.IwAR0fAkE-cLiCk_1dAaBb.AQYCAQMA",
        "fb.1.1795000000009.204613579024681351.AQ",
        "fb.1.1795460000000.IwAR0_aem_abc",
    ],
)
def test_a_well_formed_id_is_kept_byte_for_byte(value):
    assert browser_id.valid(value) == value


@pytest.mark.parametrize(
    "value",
    ["", "garbage", "xx.1.1795460000000.abc", "fb.1.12.abc", "fb.1.1795460000000.a b", "fb.1.1795460000000.a\n"],
)
def test_anything_else_counts_as_absent(value):
    assert browser_id.valid(value) is None


@pytest.mark.parametrize(
    ("url", "click"),
    [
        ("https://www.shop.example/p?fbclid=IwAR0fAkE-cLiCk_1dAaBb&x=1", "IwAR0fAkE-cLiCk_1dAaBb"),
        ("https://www.shop.example/p?fbclid=", None),
        ("https://www.shop.example/?fbclid=abc%0d%0aSet-Cookie:%20a=b", None),
        ("https://[bad/?fbclid=abc", None),
        ("", None),
    ],
)
def test_the_click_id_of_a_page(url, click):
    assert browser_id.click_id(url) == click


@pytest.mark.parametrize(
    ("host", "index"), [("shop.example", 1), ("www.shop.example", 1), ("www.shop.co.uk", 2), ("localhost", 1)]
)
def test_the_subdomain_index_is_that_of_the_registrable_domain(host, index):
    assert browser_id.subdomain_index(host) == index


def test_an_fbc_is_made_of_the_click_and_the_time_it_was_first_seen():
    assert browser_id.fbc_of_click("AbC", "www.shop.example", 1795461800.25) == "fb.1.1795461800250.AbC"
