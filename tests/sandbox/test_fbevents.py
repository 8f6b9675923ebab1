"""The sandbox's pixel in a real browser speaks the wire of PROTOCOL 2.2 and 3.2 to 3.9."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Route
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount
from starlette.routing import Route as Path

from pixeltwin.sandbox.app import Sandbox, create_app
from pixeltwin.sandbox.server import serving
from tests.browser import USER_AGENT, in_browser
from tests.sandbox.factories import EM, PH, PIXEL

pytestmark = in_browser

EDGE = f"{USER_AGENT} Edg/156.0.0.0"
INSTAGRAM = f"{USER_AGENT} Instagram 300.0.0.0"

# Meta's snippet, as every site has it, but for the address of the script.
LOADER = """
!function(f,b,e,v,n,t,s){if(f.fbq)return;n=f.fbq=function(){n.callMethod?
n.callMethod.apply(n,arguments):n.queue.push(arguments)};if(!f._fbq)f._fbq=n;
n.push=n;n.loaded=!0;n.version='2.0';n.queue=[];t=b.createElement(e);t.async=!0;
t.src=v;s=b.getElementsByTagName(e)[0];s.parentNode.insertBefore(t,s)}(window,
document,'script','/en_US/fbevents.js');
"""

# PROTOCOL 1.5, Meta's documentation samples: raw value, hash.
DOCUMENTED = {
    "em": ("John_Smith@gmail.com ", EM),
    "ph": ("16505551212", PH),
    "fn": ("Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
    "ln": ("정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
    "db": ("1997-02-16", "01acdbf6ec7b4f478a225f1a246e5d6767eeab1a7ffa17f025265b5b94f40f0c"),
    "ge": ("F", "252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111"),
    "ct": ("New York", "350c754ba4d38897693aa077ef43072a859d23f613443133fecbbd90a3512ca5"),
    "st": ("CA", "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126"),
    "zp": ("94035-1234", "1794327a4d443904421f5ca1f3d72d0a62ba2f0770d80755ec2220fc0efb052e"),
    "country": ("us", "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"),
    "external_id": ("User-42", "6d894aa3ee802549d7f340e7c1cf0d1c1cb14cd84f768d92ffaa6785337c4997"),
}


@dataclass
class Hit:
    """A hit as the sandbox saw it."""

    method: str
    params: list[tuple[str, str]]
    headers: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return dict(self.params)[name]

    def get(self, name: str) -> str | None:
        return dict(self.params).get(name)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.params]


class Shop:
    """A site whose page holds the snippet and whatever script a test writes, on any host of shop.example."""

    def __init__(self, browser: Browser, sandbox: Sandbox, base: str) -> None:
        self.browser = browser
        self.sandbox = sandbox
        self.port = base.rpartition(":")[2]

    def url(self, path: str = "/page", host: str = "www.shop.example") -> str:
        return f"http://{host}:{self.port}{path}"

    @asynccontextmanager
    async def visit(
        self, script: str, url: str | None = None, user_agent: str = USER_AGENT, **options: Any
    ) -> AsyncIterator[Page]:
        async with await self.browser.new_context(user_agent=user_agent) as context:
            page = await context.new_page()
            await self.open(page, script, url, **options)
            yield page

    async def open(self, page: Page, script: str, url: str | None = None, **options: Any) -> None:
        await page.add_init_script(f"window.pageScript = {json.dumps(script)}")
        await page.goto(url or self.url(), **options)

    async def hits(self, count: int) -> list[Hit]:
        """The hits so far, once there are that many; a moment later still, so that one too many is seen."""
        for _ in range(100):
            if len(self.sandbox.ledger.entries) >= count:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        copies = [entry.browser for entry in self.sandbox.ledger.entries]
        found = [Hit(copy.detail["method"], copy.detail["params"], copy.detail["headers"]) for copy in copies if copy]
        assert len(found) == count
        return found

    async def hits_of(self, script: str, count: int = 1, **visit: Any) -> list[Hit]:
        async with self.visit(script, **visit):
            return await self.hits(count)


async def serve_page(request: Request) -> HTMLResponse:
    head = f"<script>{LOADER}\n(0, eval)(window.pageScript)</script>"
    return HTMLResponse(f"<!doctype html><meta charset=utf-8><title>Shop</title>{head}<p>Shop")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def street(chromium: Browser) -> AsyncIterator[Shop]:
    sandbox = Sandbox()
    app = Starlette(routes=[Path("/page", serve_page), Mount("/", create_app(sandbox))])
    async with serving(app, port=0) as base:
        yield Shop(chromium, sandbox, base)


@pytest.fixture
def shop(street: Shop) -> Shop:
    """The shop, as if it had just opened."""
    street.sandbox.reset()
    return street


def init(user_data: object = None) -> str:
    return f"fbq('init', '{PIXEL}', {json.dumps(user_data)});"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def cookies(context: BrowserContext) -> dict[str, dict[str, Any]]:
    return {cookie["name"]: dict(cookie) for cookie in await context.cookies()}


# The hit


async def test_parameters_keep_the_documented_order(shop: Shop) -> None:
    script = f"""
        fbq('dataProcessingOptions', ['LDU'], 1, 1000);
        fbq('set', 'agent', 'plshop-1');
        {init({"em": "john_smith@gmail.com"})}
        fbq('trackSingle', '{PIXEL}', 'Purchase', {{value: 129.9, currency: 'USD'}}, {{eventID: 'order-42'}});
    """
    (hit,) = await shop.hits_of(script, url=shop.url("/page?fbclid=IwAR0fAkE"))
    assert hit.names == [
        *("id", "ev", "dl", "rl", "if", "ts", "cd[value]", "cd[currency]", "sw", "sh", "ud[em]"),
        *("v", "r", "a", "ec", "o", "fbc", "fbp", "it", "coo", "dpo", "dpoco", "dpost", "eid", "tm", "rqm"),
    ]


async def test_a_page_view_says_where_and_when(shop: Shop) -> None:
    (hit,) = await shop.hits_of(f"{init()} fbq('track', 'PageView');", referer="http://search.example/")
    assert (hit.method, hit["rqm"]) == ("GET", "GET")
    assert (hit["id"], hit["ev"], hit["dl"]) == (PIXEL, "PageView", shop.url())
    assert (hit["rl"], hit["if"], hit["ec"], hit["r"], hit["coo"]) == (
        *("http://search.example/", "false", "0", "stable", "false"),
    )
    assert len(hit["ts"]) == len(hit["it"]) == 13
    assert hit.get("eid") is None
    assert hit.get("tm") is None


async def test_a_blank_referrer_is_sent_blank(shop: Shop) -> None:
    (hit,) = await shop.hits_of(f"{init()} fbq('track', 'PageView');")
    assert hit["rl"] == ""


async def test_custom_data_keeps_lists_as_json_and_drops_nothing_but_nulls(shop: Shop) -> None:
    data = """{content_ids: ['a', 2], contents: [{id: 'a', quantity: 1}], flag: false, zero: 0, empty: '',
               none: null, undef: undefined, 'we ird[k]': 'é&='}"""
    (hit,) = await shop.hits_of(f"{init()} fbq('trackCustom', 'MyEv', {data});")
    assert [pair for pair in hit.params if pair[0].startswith("cd[")] == [
        ("cd[content_ids]", '["a",2]'),
        ("cd[contents]", '[{"id":"a","quantity":1}]'),
        ("cd[flag]", "false"),
        ("cd[zero]", "0"),
        ("cd[empty]", ""),
        ("cd[we ird[k]]", "é&="),
    ]


async def test_brackets_stay_literal_in_the_url(shop: Shop) -> None:
    async with shop.visit("") as page:
        async with page.expect_request("**/tr/**") as request:
            await page.evaluate(f"{init()} fbq('track', 'Lead', {{'we ird[k]': 1}});")
        assert "&cd[we%20ird%5Bk%5D]=1&" in (await request.value).url


@pytest.mark.parametrize(
    ("options", "eid"),
    [
        ("{eventID: 'a'}", "a"),
        ("{event_id: 'a'}", "a"),
        ("{eventID: {eventID: 'a'}}", "a"),
        ("{eventID: 42}", "42"),
        ("{eventID: ''}", ""),
        ("{eventid: 'a'}", None),
        ("undefined", None),
    ],
)
async def test_the_event_id_travels_as_eid(shop: Shop, options: str, eid: str | None) -> None:
    (hit,) = await shop.hits_of(f"{init()} fbq('track', 'Lead', {{}}, {options});")
    assert hit.get("eid") == eid


async def test_track_methods_reach_their_pixels(shop: Shop) -> None:
    script = """
        fbq('init', '111'); fbq('init', '222');
        fbq('track', 'Lead'); fbq('trackSingle', '111', 'Contact'); fbq('trackSingleCustom', '222', 'Mine');
    """
    found = {(hit["id"], hit["ev"], hit.get("tm"), hit["ec"]) for hit in await shop.hits_of(script, count=4)}
    assert found == {
        ("111", "Lead", None, "0"),
        ("222", "Lead", None, "0"),
        ("111", "Contact", "1", "1"),
        ("222", "Mine", "2", "1"),
    }


# Advanced matching


async def test_user_data_is_hashed_like_the_documentation_samples(shop: Shop) -> None:
    raw = {key: value for key, (value, _) in DOCUMENTED.items()}
    (hit,) = await shop.hits_of(f"{init(raw)} fbq('track', 'Lead');")
    sent = {key: hit.get(f"ud[{key}]") for key in DOCUMENTED}
    assert sent == {key: expected for key, (_, expected) in DOCUMENTED.items()}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"ph": "+1 (650) 555-1212"}, {"ph": PH}),
        ({"ph": "06 12 34 56 78"}, {"ph": sha256("612345678")}),
        ({"fn": "O'Brien Jr."}, {"fn": sha256("obrienjr")}),
        ({"fn": "Valéry"}, {"fn": "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"}),
        ({"ct": "Zürich"}, {"ct": sha256("zrich")}),
        ({"zp": "M1 1AE"}, {"zp": sha256("m1 1ae")}),
        ({"db": "2/16/1997"}, {"db": DOCUMENTED["db"][1]}),
        ({"db": "16.02.1997"}, {"db": DOCUMENTED["db"][1]}),
        ({"ge": "Female"}, {"ge": sha256("Female")}),
        ({"external_id": "User 42"}, {"external_id": sha256("user42")}),
        ({"external_id": 42}, {"external_id": sha256("42")}),
        ({"em": "johnsmith"}, {"em": sha256("johnsmith@gmail.com")}),
        ({"em": EM.upper()}, {"em": EM}),
        ({"ph": EM[:32].upper()}, {"ph": EM[:32]}),
        ({"foo": "bar"}, {"foo": sha256("bar")}),
        ({"fn": "x" * 55}, {"fn": sha256("x" * 55)}),
        ({"fn": "x" * 64}, {"fn": sha256("x" * 64)}),
        ({"fn": "é" * 300}, {"fn": sha256("é" * 300)}),
        ({"em": "", "fn": None}, {}),
    ],
    ids=str,
)
async def test_user_data_is_normalised_as_the_real_pixel_does(
    shop: Shop, given: dict[str, Any], sent: dict[str, str]
) -> None:
    (hit,) = await shop.hits_of(f"{init(given)} fbq('track', 'Lead');")
    assert {name: value for name, value in hit.params if name.startswith("ud[")} == {
        f"ud[{key}]": value for key, value in sent.items()
    }


@pytest.mark.parametrize("given", [{"em": ["a@b.co"], "fn": "mary"}, {"em": "a@b.co, c@d.co"}])
async def test_refused_user_data_is_told_in_the_option_bits(shop: Shop, given: dict[str, Any]) -> None:
    (hit,) = await shop.hits_of(f"{init(given)} fbq('track', 'Lead');")
    assert not [name for name in hit.names if name.startswith("ud[")]
    assert int(hit["o"]) & 32


# Transport

UNESCAPED = "!'()*-._~"  # by encodeURIComponent, besides letters and digits


def lead(length: int) -> str:
    return f"{init()} fbq('track', 'Lead', {{blob: '{'x' * length}'}});"


async def test_below_2048_characters_an_image_gets_it_and_at_2048_a_form_posts_it(shop: Shop) -> None:
    async with shop.visit(f"fbq.disableConfigLoading = true; {lead(1)}"):
        (hit,) = await shop.hits(1)
    query = "&".join(f"{name}={quote(value, safe=UNESCAPED)}" for name, value in hit.params)
    missing = 2048 - len(f"{shop.url('/tr/')}?{query}")
    shop.sandbox.reset()
    (longest,) = await shop.hits_of(f"fbq.disableConfigLoading = true; {lead(missing)}")
    assert (longest.method, longest["rqm"]) == ("GET", "GET")
    shop.sandbox.reset()
    (longer,) = await shop.hits_of(f"fbq.disableConfigLoading = true; {lead(missing + 1)}")
    assert (longer.method, longer["rqm"]) == ("POST", "formPOST")


async def test_chrome_posts_a_form_without_a_query(shop: Shop) -> None:
    # Only to https and to loopback addresses does a browser send Sec-Fetch-*.
    async with shop.visit("", shop.url(host="127.0.0.1")) as page:
        async with page.expect_request("**/tr/") as request:
            await page.evaluate(lead(3000))
        sent = await request.value
        (hit,) = await shop.hits(1)
        assert sent.resource_type == "document"
        assert await page.evaluate("document.querySelectorAll('iframe, form').length") == 0
    assert hit["rqm"] == "formPOST"
    assert hit["cd[blob]"] == "x" * 3000
    assert hit.headers["content-type"] == "application/x-www-form-urlencoded"
    assert hit.headers["sec-fetch-dest"] == "iframe"


async def test_elsewhere_a_beacon_posts_multipart(shop: Shop) -> None:
    (hit,) = await shop.hits_of(lead(3000), user_agent=EDGE)
    assert (hit.method, hit["rqm"], hit["cd[blob]"]) == ("POST", "SB", "x" * 3000)
    assert hit.headers["content-type"].startswith("multipart/form-data; boundary=")


async def test_in_app_browsers_get_up_to_32_kib(shop: Shop) -> None:
    (hit,) = await shop.hits_of(lead(20_000), user_agent=INSTAGRAM)
    assert (hit.method, hit["rqm"], len(hit["cd[blob]"])) == ("GET", "GET", 20_000)


async def test_endpoint_and_cdn_can_be_moved(shop: Shop) -> None:
    script = f"fbq('set', 'endpoint', '/x9/collect'); fbq('set', 'cdn', '/x9/'); {init()} fbq('track', 'Lead');"
    seen: list[str] = []

    async def answer(route: Route) -> None:
        seen.append(route.request.url.removeprefix(shop.url("")).partition("?")[0])
        await route.fulfill(
            content_type="text/javascript",
            body=f"fbq.registerPlugin('{PIXEL}', {{plugin: function (f, i) {{ i.configLoaded('{PIXEL}'); }}}});",
        )

    context = await shop.browser.new_context(user_agent=USER_AGENT)
    page = await context.new_page()
    await page.route("**/x9/**", answer)
    async with page.expect_request("**/x9/collect?**"):
        await shop.open(page, script)
    await context.close()
    assert seen == [f"/x9/signals/config/{PIXEL}", "/x9/collect"]
    assert await shop.hits(0) == []


async def test_the_config_is_asked_for_by_version_and_domain(shop: Shop) -> None:
    async with shop.visit("") as page:
        async with page.expect_request("**/signals/config/**") as request:
            await page.evaluate(init())
        url = (await request.value).url
    assert url == shop.url(f"/signals/config/{PIXEL}?v=pixeltwin-1&r=stable&domain=www.shop.example")


# What holds an event back


async def test_without_its_config_a_pixel_sends_nothing(shop: Shop) -> None:
    context = await shop.browser.new_context(user_agent=USER_AGENT)
    page = await context.new_page()
    await page.route("**/signals/config/**", lambda route: route.abort())
    await shop.open(page, f"{init()} fbq('track', 'PageView');")
    assert await shop.hits(0) == []
    await context.close()


async def test_config_loading_can_be_disabled(shop: Shop) -> None:
    script = f"fbq.disableConfigLoading = true; {init()} fbq('track', 'PageView');"
    (hit,) = await shop.hits_of(script)
    assert not int(hit["o"]) & 4
    assert hit.get("fbp") is None


async def test_revoked_consent_holds_events_until_it_is_granted(shop: Shop) -> None:
    async with shop.visit(f"fbq('consent', 'revoke'); {init()} fbq('track', 'PageView');") as page:
        assert await shop.hits(0) == []
        await page.evaluate("fbq('track', 'Lead'); fbq('consent', 'grant'); fbq('track', 'Contact')")
        found = await shop.hits(3)
    assert {(hit["ev"], hit["ec"]) for hit in found} == {("PageView", "0"), ("Lead", "1"), ("Contact", "2")}


async def test_headless_browsers_send_nothing(shop: Shop) -> None:
    headless = USER_AGENT.replace("Chrome/", "HeadlessChrome/")
    assert await shop.hits_of(f"{init()} fbq('track', 'PageView');", count=0, user_agent=headless) == []


@pytest.mark.parametrize(
    ("call", "sent"),
    [
        ("['LDU'], 1, 1000", {"dpo": "LDU", "dpoco": "1", "dpost": "1000"}),
        ("['LDU'], 0, 0", {"dpo": "LDU", "dpoco": "0", "dpost": "0"}),
        ("[]", {"dpo": ""}),
    ],
)
async def test_limited_data_use_travels_with_every_hit(shop: Shop, call: str, sent: dict[str, str]) -> None:
    script = f"fbq('dataProcessingOptions', {call}); {init()} fbq('track', 'PageView');"
    (hit,) = await shop.hits_of(script)
    assert {name: value for name, value in hit.params if name.startswith("dpo")} == sent


async def test_option_bits_tell_auto_config_and_cookies(shop: Shop) -> None:
    script = f"fbq('set', 'autoConfig', false, '{PIXEL}'); {init()} fbq('track', 'PageView');"
    (off,) = await shop.hits_of(script)
    assert int(off["o"]) == 1 | 4 | 4096
    shop.sandbox.reset()
    (on,) = await shop.hits_of(f"fbq('set', 'autoConfig', false, '999'); {init()} fbq('track', 'PageView');")
    assert int(on["o"]) == 2 | 4 | 4096


# Cookies


async def test_cookies_live_90_days_on_the_shortest_domain_that_takes_them(shop: Shop) -> None:
    async with shop.visit(f"{init()} fbq('track', 'Lead');", shop.url("/page?fbclid=IwAR0fAkE-cLiCk_1")) as page:
        (hit,) = await shop.hits(1)
        jar = await cookies(page.context)
        now = await page.evaluate("Date.now()")
    assert jar.keys() == {"_fbp", "_fbc"}
    for name in ("fbp", "fbc"):
        cookie = jar[f"_{name}"]
        assert cookie["value"] == hit[name]
        assert (cookie["domain"], cookie["path"], cookie["sameSite"]) == (".shop.example", "/", "Lax")
        assert abs(cookie["expires"] - now / 1000 - 90 * 86_400) < 60
    prefix, index, created, payload = hit["fbc"].split(".")
    assert (prefix, index, payload) == ("fb", "1", "IwAR0fAkE-cLiCk_1")
    assert abs(int(created) - now) < 60_000
    assert hit["fbp"].startswith("fb.1.")


async def test_on_a_bare_address_cookies_have_index_0(shop: Shop) -> None:
    async with shop.visit(f"{init()} fbq('track', 'Lead');", shop.url(host="127.0.0.1")) as page:
        (hit,) = await shop.hits(1)
        jar = await cookies(page.context)
    assert hit["fbp"].startswith("fb.0.")
    assert jar["_fbp"]["domain"] == "127.0.0.1"


async def test_cookies_that_fit_are_kept_appendix_and_all(shop: Shop) -> None:
    old = {
        "_fbp": "fb.1.1596403881668.1116446470.AQYCAQMA",
        "_fbc": "fb.1.1596403881668.IwAR0same.Bg",
    }
    context = await shop.browser.new_context(user_agent=USER_AGENT)
    await context.add_cookies(
        [{"name": name, "value": value, "domain": ".shop.example", "path": "/"} for name, value in old.items()]
    )
    await shop.open(await context.new_page(), f"{init()} fbq('track', 'Lead');", shop.url("/page?fbclid=IwAR0same"))
    (hit,) = await shop.hits(1)
    jar = await cookies(context)
    await context.close()
    assert {"_fbp": hit["fbp"], "_fbc": hit["fbc"]} == old
    assert all(jar[name]["expires"] > 0 for name in old)  # they were session cookies: extended


async def test_a_new_click_id_replaces_the_old(shop: Shop) -> None:
    context = await shop.browser.new_context(user_agent=USER_AGENT)
    await context.add_cookies(
        [{"name": "_fbc", "value": "fb.1.1596403881668.old", "domain": ".shop.example", "path": "/"}]
    )
    await shop.open(await context.new_page(), f"{init()} fbq('track', 'Lead');", shop.url("/page?fbclid=NEW"))
    (hit,) = await shop.hits(1)
    await context.close()
    assert hit["fbc"].endswith(".NEW")


async def test_the_click_id_may_come_with_the_referrer(shop: Shop) -> None:
    referer = shop.url("/landing?fbclid=FromReferrer")
    (hit,) = await shop.hits_of(f"{init()} fbq('track', 'Lead');", referer=referer)
    assert hit["fbc"].endswith(".FromReferrer")


@pytest.mark.parametrize("click", ["x" * 501, "javascript"])
async def test_a_click_id_that_cannot_be_one_is_ignored(shop: Shop, click: str) -> None:
    (hit,) = await shop.hits_of(f"{init()} fbq('track', 'Lead');", url=shop.url(f"/page?fbclid={click}"))
    assert hit.get("fbc") is None


async def test_first_party_cookies_can_be_turned_off(shop: Shop) -> None:
    script = f"fbq('set', 'firstPartyCookies', false, '{PIXEL}'); {init()} fbq('track', 'Lead');"
    async with shop.visit(script) as page:
        (hit,) = await shop.hits(1)
        jar = await cookies(page.context)
    assert (hit.get("fbp"), jar) == (None, {})


# Pages that navigate without loading


async def test_a_changed_url_is_a_page_view_with_the_old_one_as_referrer(shop: Shop) -> None:
    async with shop.visit(f"{init()} fbq('track', 'PageView');") as page:
        await shop.hits(1)
        await page.evaluate("history.pushState({}, '', '/page?step=2'); history.replaceState({}, '', '/page?step=2')")
        _, second = await shop.hits(2)
    assert (second["ev"], second["dl"], second["rl"]) == ("PageView", shop.url("/page?step=2"), shop.url())
    assert second.get("eid") is None


async def test_page_views_of_single_pages_can_be_turned_off(shop: Shop) -> None:
    async with shop.visit(f"fbq.disablePushState = true; {init()} fbq('track', 'PageView');") as page:
        await shop.hits(1)
        await page.evaluate("history.pushState({}, '', '/page?step=2')")
        await shop.hits(1)


async def test_no_event_ever_throws_into_the_page(shop: Shop) -> None:
    async with shop.visit(f"{init()}") as page:
        await page.evaluate("fbq('track', 'Lead', {half: '\\ud800'}); fbq('nonsense'); fbq('trackSingle', '5', 'x')")
        await page.evaluate("var loop = {}; loop.self = {loop: loop}; fbq('track', 'Lead', loop)")
        await page.evaluate("fbq('track', 'Contact')")
        (hit,) = await shop.hits(1)
    assert hit["ev"] == "Contact"
