"""A real browser shops in the demo: every hit of the visit has one twin, same event_id, de-duplicated."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page
from tests.browser import USER_AGENT, chromium, in_browser
from tests.processes import BIN, Meta, free_port, started, until

__all__ = ["chromium"]
VISIT = sorted(
    [
        *["PageView"] * 7,
        *("ViewContent", "AddToCart", "Login", "InitiateCheckout", "Purchase"),
    ]
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port from which the demo's ports count."""
    base = free_port(4)
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    with started(BIN / "pixeltwin", "demo", "--port-base", str(base), log=log, port=base) as process:
        yield base
        assert process.stop() == 0, process.output()


async def shop_around(page: Page, shop: str) -> None:
    """Look, put in the cart, log in, buy; each page is left once its hits are sent."""
    await page.goto(f"{shop}/?fbclid=IwAR0fAkE-cLiCk_1dAaBb", wait_until="networkidle")
    await page.goto(f"{shop}/product/mugs", wait_until="networkidle")
    await page.get_by_role("button", name="cart").click()
    await page.wait_for_load_state("networkidle")
    await page.goto(f"{shop}/login", wait_until="networkidle")
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_load_state("networkidle")
    await page.goto(f"{shop}/checkout", wait_until="networkidle")
    await page.get_by_role("button", name="order").click()
    await page.wait_for_load_state("networkidle")


@in_browser
async def test_every_hit_of_a_real_visit_has_its_twin(chromium, demo):
    meta = Meta(f"http://127.0.0.1:{demo + 2}")
    page = await chromium.new_page(user_agent=USER_AGENT)
    await shop_around(page, f"http://127.0.0.1:{demo + 1}")
    until(lambda: len(meta.pairs()) == len(VISIT))
    report = meta.report()
    assert sorted(pair["event_name"] for pair in meta.pairs() if pair["by"] == "event_id") == VISIT
    assert (report["counts"]["events"], report["refused"]) == (len(VISIT), [])
    purchase = next(pair for pair in meta.pairs() if pair["event_name"] == "Purchase")
    assert purchase["event_id"].startswith("order-")
    hit = dict(map(tuple, purchase["browser"]["params"]))
    known = purchase["server"]["event"]["user_data"]
    assert {"em", "ph", "fn", "ln", "external_id"} <= known.keys()
    assert not any(name.startswith("ud[") for name in hit)
    assert (known["fbp"], known["fbc"]) == (hit["fbp"], hit["fbc"])
    assert known["fbc"].endswith(".IwAR0fAkE-cLiCk_1dAaBb")
    await page.close()


@in_browser
async def test_the_test_events_page_lists_the_pairs_live(chromium, demo):
    page = await chromium.new_page(user_agent=USER_AGENT)
    await page.goto(f"http://127.0.0.1:{demo + 10}/")
    other = await chromium.new_page(user_agent=USER_AGENT)
    await other.goto(f"http://127.0.0.1:{demo + 1}/product/socks", wait_until="networkidle")
    row = page.locator("#rows li").filter(has_text="ViewContent").filter(has_text="delivered").first
    await row.wait_for(timeout=10_000)
    await page.close()
    await other.close()


@pytest.mark.timeout(60)
def test_the_demo_checks_itself_in_under_a_minute(tmp_path: Path):
    check = (BIN / "pixeltwin", "demo", "--check", "--port-base", str(free_port(4)))
    with started(*check, log=tmp_path / "log") as process:
        assert process.popen.wait(60) == 0, process.output()
        assert "accepted and de-duplicated" in process.output()
