"""fbp and fbc (PROTOCOL section 2): forms, order, and never a byte changed."""

import base64
import json
import os
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import NOW, PAGE, hit_query, parsed, request

from pixeltwin.pixel import browser_id
from pixeltwin.pixel.browser_id import BrowserIds, browser_ids
from pixeltwin.pixel.cookies import cookies_to_set

VECTORS = Path(os.environ.get("PIXELTWIN_VECTORS", Path(__file__).parents[3] / "shared/vectors"))
CLICKED = f"{PAGE}?fbclid=AbC-1_x"
MINTED = f"fb.1.{int(NOW * 1000)}"
OLD = "fb.1.1795000000000"


def ids(hit="", *, random: int | None = 7, domains=(), referer="", host="px.shop.example", **cookies) -> BrowserIds:
    headers = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), "referer": referer}
    asked = request(hit or hit_query(), headers=headers, host=host)
    return browser_ids(parsed(asked), asked, random=random, domains=domains)


WELL_FORMED = [
    "fb.1.1596403881668.1116446470",
    "fb.2.1795460000000.IwY2xjaw-MiXeD_Case09",
    "fb.1.1795460000000.IwAR0fAkE-cLiCk_1dAaBb.AQYCAQMA",
    "fb.1.1795000000009.204613579024681351.AQ",
    "fb.1.1795460000000.IwAR0_aem_abc",
    "fb.1.1795460000000.a__DOT__b",  # how the pixel stores a dot
]
MALFORMED = [
    "",
    "garbage",
    "xx.1.1795460000000.abc",
    "fb.1.12.abc",
    "fb.x.1795460000000.abc",
    "fb.1.1795460000000",
    "fb.1.1795460000000.",
    "fb.1.1795460000000.a b",
    "fb.1.1795460000000.a\n",
    "fb.1.1795460000000.a;b",
    "fb.1.1795460000000.ä",
    "fb.١.1795460000000.abc",  # a digit, but no ASCII one
    "fb.1.1795460000000." + "a" * 501,
    "fb.1.1795460000000.abc.zz",
    "fb.1.1795460000000.abc.aq",
    "fb.1.1795460000000.abc.AAAAAAAA",
    "fb.1.1795460000000.abc.AQYCAQMA.AQ",
]


@pytest.mark.parametrize("value", WELL_FORMED)
def test_a_well_formed_id_is_kept_byte_for_byte(value):
    assert browser_id.valid(value) == value
    assert ids(hit_query(fbp=value, fbc=value)) == ids(_fbp=value, _fbc=value) == BrowserIds(fbp=value, fbc=value)


@pytest.mark.parametrize("value", MALFORMED)
def test_anything_else_counts_as_absent(value):
    assert browser_id.valid(value) is None
    assert ids(hit_query(fbp=value, fbc=value)) == BrowserIds(fbp=f"{MINTED}.7", fbc=None)


@pytest.mark.parametrize("language", ["AQ", "Ag", "Aw", "BA", "BQ", "Bg"])
def test_the_short_appendix_is_a_language_of_the_builder_s(language):
    assert browser_id.valid(f"{OLD}.abc.{language}")


@given(st.binary(min_size=6, max_size=6) | st.binary(min_size=4, max_size=4).map(lambda rest: b"\1\3" + rest))
def test_the_long_appendix_is_six_bytes_that_begin_with_1_and_a_language(six):
    appendix = base64.urlsafe_b64encode(six).decode()
    assert bool(browser_id.valid(f"{OLD}.abc.{appendix}")) == (six[0] == 1 and 1 <= six[1] <= 6)


@pytest.mark.parametrize("form", range(256))
def test_every_language_byte_is_judged_right(form):
    appendix = base64.urlsafe_b64encode(bytes((1, form, 2, 1, 3, 2))).decode()
    assert bool(browser_id.valid(f"{OLD}.abc.{appendix}")) == (1 <= form <= 6)


@pytest.mark.parametrize(
    ("url", "click"),
    [
        ("https://www.shop.example/p?fbclid=IwAR0fAkE-cLiCk_1dAaBb&x=1", "IwAR0fAkE-cLiCk_1dAaBb"),
        ("www.shop.example/p?a=b&fbclid=noscheme#top", "noscheme"),
        ("https://www.shop.example/p?fbclid=IwAR0%5FaBc", "IwAR0_aBc"),
        ("https://www.shop.example/p?fbclid=first&fbclid=second", "first"),
        ("https://www.shop.example/p?xfbclid=abc", None),
        ("https://www.shop.example/p#?fbclid=abc", None),
        ("https://www.shop.example/p?fbclid=", None),
        ("https://www.shop.example/p?fbclid=with.dot", None),
        ("https://www.shop.example/p?fbclid=" + "a" * 501, None),
        ("https://www.shop.example/?fbclid=abc%0d%0aSet-Cookie:%20a=b", None),
        ("https://[bad/?fbclid=abc", None),
        ("", None),
    ],
)
def test_the_click_id_of_a_page(url, click):
    assert browser_id.click_id(url) == click


@pytest.mark.parametrize(
    ("host", "domains", "domain", "index"),
    [
        ("shop.example", (), "shop.example", 1),
        ("WWW.Shop.Example.", (), "shop.example", 1),
        ("www.shop.co.uk", (), "shop.co.uk", 2),
        ("shop.co.uk", (), "shop.co.uk", 2),
        ("shop.github.io", (), "shop.github.io", 2),
        ("github.io", (), "github.io", 1),  # a browser takes a domain that is the host itself
        ("www.xn--mnchen-3ya.de", (), "xn--mnchen-3ya.de", 1),
        ("a.b.shop.example", ("b.shop.example",), "b.shop.example", 2),
        ("a.b.shop.example", ("other.example", "shop.example", "b.shop.example"), "shop.example", 1),
        ("myshop.example", ("shop.example",), "myshop.example", 1),
        ("localhost", (), None, 0),
        ("127.0.0.1", (), None, 0),
        ("[2001:db8::1]", (), None, 0),
        ("2001:db8::1", (), None, 0),
        ("evil;x=y.example", (), None, 0),
        ("", (), None, 1),
    ],
)
def test_the_subdomain_index_is_that_of_the_registrable_domain(host, domains, domain, index):
    assert browser_id.registrable_domain(host, domains) == domain
    assert browser_id.subdomain_index(host, domains) == index


def test_an_fbc_is_made_of_the_click_and_the_time_it_was_first_seen():
    assert browser_id.fbc_of_click("AbC", "www.shop.example", 1795461800.25) == "fb.1.1795461800250.AbC"


@pytest.mark.parametrize(
    ("hit", "cookie", "fbp"),
    [
        ("fb.1.1795000000000.1", "fb.1.1795000000000.2", "fb.1.1795000000000.1"),
        ("", "fb.1.1795000000000.2", "fb.1.1795000000000.2"),
        ("garbage", "fb.1.1795000000000.2", "fb.1.1795000000000.2"),
        ("", "garbage", f"{MINTED}.7"),
    ],
)
def test_fbp_is_the_hit_s_then_the_cookie_s_then_a_new_one(hit, cookie, fbp):
    assert ids(hit_query(fbp=hit), _fbp=cookie).fbp == fbp


def test_no_fbp_is_made_without_a_random_number():
    assert ids(random=None).fbp is None


def test_new_ids_name_the_site_of_the_page():
    assert ids(hit_query(dl="https://www.shop.co.uk/?fbclid=abc")) == BrowserIds(
        fbp=f"fb.2.{int(NOW * 1000)}.7", fbc=f"fb.2.{int(NOW * 1000)}.abc"
    )


@pytest.mark.parametrize("dl", ["", "about:blank", "https://[bad"])
def test_new_ids_of_a_hit_without_a_page_name_the_gateway_s_site(dl):
    assert ids(hit_query(dl=dl), host="px.shop.co.uk").fbp == f"fb.2.{int(NOW * 1000)}.7"


FROM_RL = hit_query(rl=CLICKED.replace("AbC-1_x", "FromRl"))


@pytest.mark.parametrize(
    ("hit", "cookie", "referer", "fbc"),
    [
        # the hit's own wins, whatever the page's address says: the pixel has compared them already
        (hit_query(dl=CLICKED, fbc=f"{OLD}.hit"), f"{OLD}.cookie", "", f"{OLD}.hit"),
        (hit_query(dl=CLICKED, fbc="xx.1.2.abc"), "", "", f"{MINTED}.AbC-1_x"),
        # the cookie stays, until the click id changes
        (hit_query(), f"{OLD}.cookie", "", f"{OLD}.cookie"),
        (hit_query(dl=CLICKED), f"{OLD}.AbC-1_x.AQYCAQMA", "", f"{OLD}.AbC-1_x.AQYCAQMA"),
        (hit_query(dl=CLICKED), f"{OLD}.abc-1_x", "", f"{MINTED}.AbC-1_x"),
        (hit_query(dl=f"{PAGE}?fbclid="), f"{OLD}.cookie", "", f"{OLD}.cookie"),
        (hit_query(dl=f"{PAGE}?fbclid=a%0d%0ab"), f"{OLD}.cookie", "", f"{OLD}.cookie"),
        (FROM_RL, f"{OLD}.FromRl", "", f"{OLD}.FromRl"),
        (FROM_RL, f"{OLD}.cookie", "", f"{MINTED}.FromRl"),
        # the page's address goes before its referrer, the hit's referrer before the header's
        (hit_query(dl=CLICKED, rl=f"{PAGE}?fbclid=FromRl"), "", "", f"{MINTED}.AbC-1_x"),
        (FROM_RL, "", CLICKED, f"{MINTED}.FromRl"),
        (hit_query(), "", CLICKED, f"{MINTED}.AbC-1_x"),
        (hit_query(), "", "shop.example/?fbclid=noscheme", f"{MINTED}.noscheme"),
        (hit_query(), "", "http://[bad?fbclid=x", None),
        (hit_query(), "", "", None),
    ],
)
def test_fbc_is_kept_unless_the_click_id_changes(hit, cookie, referer, fbc):
    assert ids(hit, _fbc=cookie, referer=referer).fbc == fbc


TEXT = st.text(max_size=80) | st.sampled_from([*WELL_FORMED, *MALFORMED, CLICKED, "//[", "http://a.b/?fbclid=%"])


@given(fbp=TEXT, fbc=TEXT, dl=TEXT, rl=TEXT, referer=TEXT, cookie=TEXT, host=TEXT)
def test_whatever_arrives_the_ids_are_well_formed(fbp, fbc, dl, rl, referer, cookie, host):
    hit = hit_query(fbp=fbp, fbc=fbc, dl=dl, rl=rl)
    found = ids(hit, referer=referer, host=host, _fbp=cookie, _fbc=cookie)
    assert found.fbp is not None
    assert browser_id.valid(found.fbp)
    assert found.fbc is None or browser_id.valid(found.fbc)


@given(random=st.integers(0, browser_id.RANDOM_BELOW - 1), host=st.sampled_from(["a.shop.co.uk", "localhost", "[::1]"]))
def test_an_fbp_once_made_is_kept_from_then_on(random, host):
    query = hit_query(dl=f"https://{host}/")
    made = ids(query, random=random, host=host).fbp
    assert made is not None
    assert ids(query, random=None, host=host, _fbp=made).fbp == made


def vectors() -> list[dict]:
    file = VECTORS / "fbc_fbp.json"
    return json.loads(file.read_text()) if file.exists() else []


def bare(value: str | None) -> str | None:
    """An id without appendix."""
    return value and ".".join(value.split(".")[:4])


# Where we differ from Meta's builder on purpose: a kept id keeps the appendix it came with (PROTOCOL section 5), none
# is added; and, as the vectors' README says, a click id of other characters is none, so the cookie stays as it is
SAFE_CLICK = re.compile(r"[A-Za-z0-9_-]{0,500}")  # THREATS T8; "with.dot.in.it" and "IwAR%20enc" are not


@pytest.mark.skipif(not vectors(), reason="the shared vectors are not there")
def test_every_shared_case_ends_as_meta_s_builder_ends_it():
    for case in vectors():
        given, expected = case["input"], case["expected"]
        cookies = "; ".join(f"{name}={value}" for name, value in given["cookies"].items())
        asked = request(
            hit_query(dl=f"https://{given['host']}/?{urlencode(given['query'])}"),
            headers={"cookie": cookies, "referer": given["referer"] or ""},
            host=browser_host(given["host"]),
            received_at=given["now_ms"] / 1000,
        )
        domains = given["domain_list"] or ()
        random = int(given["random"] * browser_id.RANDOM_BELOW)
        found = browser_ids(parsed(asked), asked, random=random, domains=domains)
        fbc = expected["fbc"]
        if not SAFE_CLICK.fullmatch(given["query"].get("fbclid", "")):
            fbc = bare(browser_id.valid(given["cookies"].get("_fbc", "")))
        assert (bare(found.fbp), bare(found.fbc)) == (expected["fbp"], fbc), given
        kept = given["cookies"].values()
        assert all(value in kept or value == bare(value) for value in (found.fbp, found.fbc) if value), given
        theirs = {cookie["name"]: cookie for cookie in expected["set_cookies"]}
        for cookie in cookies_to_set(found, asked, asked.host, domains=domains):
            assert cookie.domain or browser_host(given["host"]) == theirs[cookie.name]["domain"], given
            assert cookie.domain in (None, theirs[cookie.name]["domain"]), given


def browser_host(netloc: str) -> str:
    """The host as the front door passes it on: without port."""
    return netloc.partition("]")[0] + "]" if netloc.startswith("[") else netloc.partition(":")[0]
