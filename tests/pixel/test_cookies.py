"""The cookies the gateway sets: only where needed, and nothing else can get into the header (THREATS T7, T8)."""

from http.cookiejar import CookieJar
from http.cookies import SimpleCookie
from urllib.request import Request

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import NOW, hit_query, parsed, request

from pixeltwin.pixel.browser_id import BrowserIds, browser_ids
from pixeltwin.pixel.cookies import SetCookie, cookies_to_set

FBP, FBC = "fb.1.1795000000000.77", "fb.1.1795000000001.AbC"
HELD = f"_fbp={FBP}; _fbc={FBC}"
BOTH = BrowserIds(fbp=FBP, fbc=FBC)


def to_set(ids=BOTH, cookie="", host="px.shop.example", **options) -> dict[str, SetCookie]:
    asked = request(headers={"cookie": cookie}, host=host)
    return {made.name: made for made in cookies_to_set(ids, asked, host, **options)}


def test_a_cookie_is_the_site_s_for_90_days():
    assert to_set()["_fbp"].header() == (
        "_fbp=fb.1.1795000000000.77; Max-Age=7776000; Path=/; Domain=shop.example; Secure; SameSite=Lax"
    )


@pytest.mark.parametrize(
    ("ids", "cookie", "names"),
    [
        (BOTH, "", {"_fbp", "_fbc"}),
        (BOTH, HELD, set()),
        (BOTH, f"_fbp={FBP}", {"_fbc"}),
        (BOTH, HELD.replace("AbC", "abc"), {"_fbc"}),
        (BOTH, f"_fbp=garbage; _fbc={FBC}", {"_fbp"}),
        (BrowserIds(fbp=FBP, fbc=None), "", {"_fbp"}),
        (BrowserIds(fbp=None, fbc=None), HELD, set()),
    ],
)
def test_a_cookie_is_set_when_the_browser_lacks_it_or_holds_another(ids, cookie, names):
    assert to_set(ids, cookie).keys() == names


@pytest.mark.parametrize(
    ("host", "domains", "domain"),
    [
        ("px.shop.example", (), "shop.example"),
        ("px.shop.co.uk", (), "shop.co.uk"),
        ("px.eu.shop.example", ("eu.shop.example",), "eu.shop.example"),
        ("localhost", (), None),
        ("127.0.0.1", (), None),
        ("[::1]", (), None),
        ("evil; domain=x.example", (), None),
    ],
)
def test_a_cookie_reaches_the_whole_site_but_of_localhost_and_addresses_only_the_host(host, domains, domain):
    cookie = to_set(host=host, domains=domains)["_fbp"]
    assert cookie.domain == domain
    assert ("Domain=" in cookie.header()) == (domain is not None)


def test_secure_is_left_out_for_a_shop_on_plain_localhost_only():
    assert "Secure" not in to_set(host="localhost")["_fbp"].header()
    assert "Secure" in to_set(host="shop.localhost.example")["_fbp"].header()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "session"},
        {"name": "_fbp\r\nX: y"},
        {"value": ""},
        {"value": "fb.1.1795000000000.a;Domain=evil.example"},
        {"value": f"{FBP}\r\nSet-Cookie: a=b"},
        {"value": f"{FBP}\n"},
        {"domain": ""},
        {"domain": "shop.example; Path=/x"},
        {"domain": "shop.example\n"},
        {"domain": "127.0.0.1"},
    ],
)
def test_a_cookie_of_anything_else_cannot_be_made(change):
    with pytest.raises(ValueError, match="is no"):
        SetCookie(**({"name": "_fbp", "value": FBP, "domain": "shop.example"} | change))


TEXT = st.text(max_size=60) | st.sampled_from(
    [FBP, FBC, "abc; Domain=evil.example", "abc\r\nSet-Cookie: a=b", "https://www.shop.example/?fbclid=a%0d%0ab%3Bc"]
)
CLICK = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)


@given(hit_id=TEXT, cookie=TEXT, page=TEXT, click=TEXT | CLICK, host=TEXT | st.just("px.shop.example"))
def test_whatever_a_client_sends_the_header_holds_one_cookie_and_no_more(hit_id, cookie, page, click, host):
    hit = hit_query(fbp=hit_id, fbc=hit_id, dl=f"https://{page}/?fbclid={click}", rl=page)
    asked = request(hit, headers={"cookie": f"_fbp={cookie}; _fbc={cookie}", "referer": page}, host=host)
    ids = browser_ids(parsed(asked), asked, random=7)
    for made in cookies_to_set(ids, asked, host):
        header = made.header()
        assert header.isascii()
        assert header.isprintable()
        assert header.count(";") == (4 if made.domain else 3) + made.secure
        (read,) = SimpleCookie(header).values()
        assert (read.key, read.value, read["domain"] or None) == (made.name, made.value, made.domain)
        assert (read["path"], read["max-age"], read["samesite"]) == ("/", "7776000", "Lax")
        assert bool(read["secure"]) == made.secure


class Response:
    """As much of an HTTP response as a cookie jar asks for."""

    def __init__(self, *headers: str) -> None:
        self._headers = list(headers)

    def info(self):
        return self

    def get_all(self, name: str, default: list[str]) -> list[str]:
        return self._headers if name.lower() == "set-cookie" else default


def test_a_browser_sends_back_what_was_set_to_every_host_of_the_site():
    jar = CookieJar()
    answer = Response(*(cookie.header() for cookie in to_set().values()))
    jar.extract_cookies(answer, Request("https://px.shop.example/tr/"))
    shop = Request("https://www.shop.example/")
    jar.add_cookie_header(shop)
    back = request(hit_query(), headers={"cookie": shop.get_header("Cookie")}, received_at=NOW + 60)
    assert browser_ids(parsed(back), back, random=8) == BOTH
    assert not cookies_to_set(BOTH, back, "px.shop.example")
