"""The demo shop: what its pages tell the pixel, and who it says a visitor is."""

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.sandbox.shop import (
    KNOWN_CUSTOMER,
    PixelCall,
    ShopSettings,
    create_shop,
    pixel_calls,
    sign,
)
from pixeltwin.sandbox.shop.catalogue import CATALOGUE, Cart
from pixeltwin.sandbox.shop.identity import subject_of
from pixeltwin.sandbox.shop.snippet import snippet

PIXEL = "1234567890123456"
SCRIPT = "http://127.0.0.1:9100/en_US/fbevents.js"
GATEWAY = "http://127.0.0.1:8080/tr/"
KEY = b"a key"
NOW = 1_790_000_000


def shop(endpoint: str | None = GATEWAY) -> httpx.AsyncClient:
    settings = ShopSettings(pixel_id=PIXEL, pixel_script=SCRIPT, hit_endpoint=endpoint, uid_key=KEY)
    app = create_shop(settings, clock=lambda: NOW)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://shop.test", follow_redirects=True)


@pytest.fixture
async def visitor() -> AsyncIterator[httpx.AsyncClient]:
    async with shop() as client:
        yield client


async def own_event(response: httpx.Response) -> PixelCall:
    page_view, event = pixel_calls(response.text)
    assert page_view == PixelCall("track", "PageView")
    return event


async def test_home_tells_of_a_page_view_alone(visitor: httpx.AsyncClient) -> None:
    assert pixel_calls((await visitor.get("/")).text) == [PixelCall("track", "PageView")]


async def test_product_is_viewed(visitor: httpx.AsyncClient) -> None:
    event = await own_event(await visitor.get("/product/mugs"))
    assert (event.event_name, event.event_id) == ("ViewContent", None)
    assert event.custom_data == {
        "content_type": "product",
        "content_ids": ["mugs"],
        "contents": [{"id": "mugs", "quantity": 1, "item_price": 24.9}],
        "content_name": "Morning mugs",
        "content_category": "Kitchen",
        "value": 24.9,
        "currency": "EUR",
    }


async def test_add_to_cart_is_told_once_with_an_id(visitor: httpx.AsyncClient) -> None:
    event = await own_event(await visitor.post("/cart", data={"sku": "socks"}))
    assert (event.event_name, event.custom_data["content_ids"]) == ("AddToCart", ["socks"])
    assert re.fullmatch("add-[0-9a-f]{32}", event.event_id or "")
    assert len(pixel_calls((await visitor.get("/cart")).text)) == 1


async def test_checkout_sums_up_the_cart(visitor: httpx.AsyncClient) -> None:
    for sku in ("mugs", "mugs", "candles"):
        await visitor.post("/cart", data={"sku": sku})
    event = await own_event(await visitor.get("/checkout"))
    assert (event.event_name, event.event_id) == ("InitiateCheckout", None)
    assert event.custom_data["content_ids"] == ["mugs", "candles"]
    assert event.custom_data["contents"][0] == {"id": "mugs", "quantity": 2, "item_price": 24.9}
    assert (event.custom_data["num_items"], event.custom_data["value"]) == (3, 62.7)


async def test_each_order_is_a_purchase_with_the_next_order_id(visitor: httpx.AsyncClient) -> None:
    purchases = []
    for _ in range(2):
        await visitor.post("/cart", data={"sku": "bookends"})
        purchases.append(await own_event(await visitor.post("/checkout")))
    assert [event.event_id for event in purchases] == ["order-1001", "order-1002"]
    assert purchases[0].custom_data["value"] == 49.0
    assert "Your cart is empty" in (await visitor.get("/cart")).text


async def test_reloaded_thanks_repeats_the_order_id(visitor: httpx.AsyncClient) -> None:
    await visitor.post("/cart", data={"sku": "bookends"})
    first = await visitor.post("/checkout")
    assert pixel_calls(first.text) == pixel_calls((await visitor.get(str(first.url))).text)


async def test_removed_product_leaves_the_cart(visitor: httpx.AsyncClient) -> None:
    await visitor.post("/cart", data={"sku": "socks"})
    assert "is empty" in (await visitor.post("/cart", data={"sku": "socks", "remove": "1"})).text


@pytest.mark.parametrize("path", ["/checkout", "/thanks", "/thanks?order=order-9"])
async def test_without_an_order_there_is_neither_checkout_nor_thanks(visitor: httpx.AsyncClient, path: str) -> None:
    assert len(pixel_calls((await visitor.get(path)).text)) == 1


async def test_unknown_product_is_not_found(visitor: httpx.AsyncClient) -> None:
    assert (await visitor.get("/product/nothing")).status_code == 404
    assert (await visitor.post("/cart", data={"sku": "nothing"})).status_code == 404


async def test_login_signs_the_customer_for_thirty_days(visitor: httpx.AsyncClient) -> None:
    event = await own_event(await visitor.post("/login", data={"email": " Alex.Doe@Example.com"}))
    assert (event.method, event.event_name, event.event_id) == ("trackCustom", "Login", None)
    claim = f"cust-1001.{NOW + 2_592_000}"
    mac = hmac.new(KEY, f"uid={claim}".encode(), hashlib.sha256).hexdigest()
    assert visitor.cookies["uid"] == f"{claim}.{mac}"


async def test_login_cookie_is_out_of_reach_of_scripts(visitor: httpx.AsyncClient) -> None:
    form = {"email": KNOWN_CUSTOMER["em"]}
    response = await visitor.post("/login", data=form, follow_redirects=False)
    cookie = response.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Max-Age=2592000", "Path=/"))


async def test_login_is_told_once(visitor: httpx.AsyncClient) -> None:
    await visitor.post("/login", data={"email": KNOWN_CUSTOMER["em"]})
    again = await visitor.get("/login")
    assert "Hello, Alex" in again.text
    assert len(pixel_calls(again.text)) == 1


async def test_logout_forgets_the_customer(visitor: httpx.AsyncClient) -> None:
    await visitor.post("/login", data={"email": KNOWN_CUSTOMER["em"]})
    await visitor.post("/logout")
    assert "uid" not in visitor.cookies


async def test_stranger_is_not_logged_in(visitor: httpx.AsyncClient) -> None:
    response = await visitor.post("/login", data={"email": "eve@example.com"})
    assert response.status_code == 401
    assert "uid" not in visitor.cookies


async def test_forged_cookie_is_nobody(visitor: httpx.AsyncClient) -> None:
    visitor.cookies["uid"] = sign("uid", "cust-1001", NOW + 60, b"another key")
    assert "Log in</a>" in (await visitor.get("/")).text


def test_cookie_of_another_name_or_time_is_nobody() -> None:
    value = sign("uid", "cust-1001", NOW, KEY)
    assert subject_of("uid", value, KEY, NOW - 1) == "cust-1001"
    assert subject_of("uid", value, KEY, NOW) is None
    assert subject_of("sid", value, KEY, NOW - 1) is None


@given(st.text())
def test_garbage_in_a_login_cookie_is_nobody(value: str) -> None:
    assert subject_of("uid", value, KEY, NOW) is None


def test_subject_with_a_dot_is_not_signed() -> None:
    with pytest.raises(ValueError, match="a subject is"):
        sign("uid", "cust.1001", NOW, KEY)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_garbage_in_a_cart_cookie_is_an_empty_cart(value: str) -> None:
    assert Cart.from_cookie(value) == Cart()


@given(st.dictionaries(st.sampled_from([*CATALOGUE, "ghost"]), st.integers() | st.booleans() | st.text()))
def test_cart_cookie_holds_known_products_in_sane_numbers(wanted: dict[str, object]) -> None:
    cart = Cart.from_cookie(json.dumps(wanted))
    assert all(1 <= line.quantity <= 9 for line in cart.lines)
    assert Cart.from_cookie(cart.to_cookie()) == cart


async def test_endpoint_is_set_before_init(visitor: httpx.AsyncClient) -> None:
    page = (await visitor.get("/")).text
    endpoint = page.index(f"fbq('set', 'endpoint', \"{GATEWAY}\");")
    assert endpoint < page.index(f"fbq('init', \"{PIXEL}\");") < page.index("fbq('track'")
    assert SCRIPT in page


async def test_unmodified_pixel_keeps_its_endpoint() -> None:
    async with shop(endpoint=None) as visitor:
        page = (await visitor.get("/")).text
    assert "endpoint" not in page
    assert 'src="https://www.facebook.com/tr/?id=' in page


async def test_browser_without_javascript_sends_images(visitor: httpx.AsyncClient) -> None:
    page = (await visitor.post("/cart", data={"sku": "mugs"})).text
    sources = [src.replace("&amp;", "&") for src in re.findall(r'<img [^>]*src="([^"]+)"', page)]
    first, second = (parse_qs(urlsplit(source).query) for source in sources)
    assert first == {"id": [PIXEL], "ev": ["PageView"], "noscript": ["1"]}
    assert second["ev"] == ["AddToCart"]
    assert second["eid"] == [pixel_calls(page)[1].event_id]
    assert second["cd[value]"] == ["24.9"]
    assert json.loads(second["cd[contents]"][0]) == [{"id": "mugs", "quantity": 1, "item_price": 24.9}]


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
CALLS = st.builds(
    PixelCall,
    st.sampled_from(["track", "trackCustom"]),
    st.text(),
    st.dictionaries(st.text(), JSON),
    st.none() | st.text(min_size=1),
)


@given(st.lists(CALLS))
def test_calls_read_back_as_written_whatever_they_hold(calls: list[PixelCall]) -> None:
    assert pixel_calls(snippet(PIXEL, SCRIPT, GATEWAY, calls)) == calls


@pytest.mark.parametrize("hostile", ["</script><script>alert(1)</script>", "<!--<script>", "\u2028"])
def test_calls_cannot_leave_their_script(hostile: str) -> None:
    call = PixelCall("track", hostile, {hostile: hostile}, hostile)
    html = snippet(PIXEL, SCRIPT, GATEWAY, [call])
    assert html.count("<") == 2  # <script> and </script>
    assert hostile not in html
