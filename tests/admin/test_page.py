"""The Test Events page in a real browser."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from pixeltwin.admin.app import create_app
from pixeltwin.admin.server import serving
from pixeltwin.delivery.journal import State
from pixeltwin.delivery.outbox import Depth
from tests.admin.factories import EM, View
from tests.browser import in_browser

pytestmark = in_browser

HOSTILE = '"><img src=x onerror=alert(1)>'


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser, view: View) -> AsyncIterator[Page]:
    """The page, open and live. Errors in its script fail the test."""
    errors: list[str] = []
    async with serving(create_app(view), "127.0.0.1", 0) as url:
        page = await chromium.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
        page.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
        await page.goto(url)
        await expect(page.locator("#live")).to_have_text("live")
        yield page
        assert errors == []
        await page.close()


async def test_rows_arrive_and_change_live(page: Page, view: View) -> None:
    await expect(page.locator("#empty")).to_be_visible()
    view.note("a-1")
    row = page.locator("#rows button")
    await expect(row).to_contain_text("Purchase")
    for text in ("shop", "order-1001", "background", "queued"):
        await expect(row).to_contain_text(text)
    view.journal.update("a-1", state=State.REFUSED, detail="HTTP 400, code 100: no")
    await expect(row).to_contain_text("refused")
    await expect(row).to_contain_text("HTTP 400, code 100: no")
    await expect(page.locator("#empty")).to_be_hidden()


async def test_page_shows_what_came_before_it_newest_first(page: Page, view: View) -> None:
    for number in range(3):
        view.note(f"a-{number}", event_name=f"Event{number}")
    await page.reload()
    await expect(page.locator("#rows .event")).to_have_text(["Event2", "Event1", "Event0"])


async def test_hostile_texts_are_shown_as_texts(page: Page, view: View) -> None:
    view.note(
        "a-1", event_name=HOSTILE, detail=HOSTILE, event_id=HOSTILE, source_url=HOSTILE, hit=((HOSTILE, HOSTILE),)
    )
    await page.locator("#rows button").click()
    await expect(page.locator("#detail h2")).to_contain_text(HOSTILE)
    await expect(page.locator("#rows .event")).to_have_text(HOSTILE)
    assert await page.locator("img").count() == 0


async def test_markup_cannot_be_injected_even_by_a_mistake(page: Page) -> None:
    mistake = 'try { document.body.innerHTML = "<b>x</b>"; "taken" } catch (error) { error.name }'
    assert await page.evaluate(mistake) == "TypeError"


async def detail_row(page: Page, name: str) -> list[str]:
    row = page.locator("#detail tr", has=page.get_by_role("rowheader", name=name, exact=True))
    return await row.locator("td").all_text_contents()


async def test_detail_shows_hit_and_twin_side_by_side(page: Page, view: View) -> None:
    view.note("a-1")
    await page.locator("#rows button").click()
    await expect(page.locator("#detail h2")).to_contain_text("Purchase")
    assert await detail_row(page, "event_id") == ["order-1001", "=", "order-1001"]
    assert (await detail_row(page, "event_time"))[1] == "="
    assert await detail_row(page, "action_source") == ["–", "+", "website"]
    assert (await detail_row(page, "event_source_url"))[1] == "~"
    assert await detail_row(page, "value") == ["24.90", "=", "24.9"]
    assert (await detail_row(page, "contents"))[1] == "="
    assert await detail_row(page, "data_processing_options") == ["–", "+", "(empty list)"]
    assert await detail_row(page, "sw") == ["1512", "", "–"]


async def test_hashes_are_shown_by_their_first_characters(page: Page, view: View) -> None:
    view.note("a-1", source_url=f"https://www.shop.example/?em={EM}")
    await page.locator("#rows button").click()
    await expect(page.locator("#detail h2")).to_contain_text("Purchase")
    assert await detail_row(page, "em") == [f"{EM[:8]}…", "=", f"{EM[:8]}…"]
    assert EM[:9] not in await page.inner_text("body")


async def test_open_detail_follows_its_event(page: Page, view: View) -> None:
    view.note("a-1")
    await page.locator("#rows button").click()
    await expect(page.locator("#detail .state")).to_contain_text("queued")
    view.journal.update("a-1", state=State.DELIVERED, detail="events_received 1")
    await expect(page.locator("#detail .state")).to_contain_text("delivered")


async def test_skipped_hit_shows_why_it_has_no_twin(page: Page, view: View) -> None:
    view.note("a-1", state=State.SKIPPED, detail="automatic_event", twin=None)
    await page.locator("#rows button").click()
    await expect(page.locator("#detail")).to_contain_text("automatic event")
    await expect(page.locator("#detail")).to_contain_text("This hit has no twin.")


async def test_flow_counts_what_is_shown_and_filters_by_state(page: Page, view: View) -> None:
    view.note("a-1", event_name="Lead", state=State.DELIVERED)
    view.note("a-2", state=State.DELIVERED)
    view.note("a-3", state=State.SKIPPED, detail="bot")
    shown = page.locator("#rows li:visible")
    delivered, skipped = (page.locator(f"#flow [data-state={state}]") for state in ("delivered", "skipped"))
    await expect(delivered).to_have_text("2delivered")
    await page.keyboard.press("/")
    await page.keyboard.type("LEAD")
    await expect(delivered).to_have_text("1delivered")
    await expect(skipped).to_have_text("0skipped")
    await page.locator("#filter").fill("")
    await skipped.click()
    await expect(shown).to_have_count(1)
    await expect(shown).to_contain_text("bot")
    await skipped.click()
    await expect(shown).to_have_count(3)


async def test_pause_holds_the_list_still(page: Page, view: View) -> None:
    await page.keyboard.press("p")
    view.note("a-1")
    await expect(page.locator("#pause")).to_have_text("Resume (1)")
    assert await page.locator("#rows li").count() == 0
    await page.locator("#pause").click()
    await expect(page.locator("#rows li")).to_have_count(1)


async def test_cleared_events_stay_away_and_new_ones_come(page: Page, view: View) -> None:
    view.note("a-1")
    await expect(page.locator("#rows li")).to_have_count(1)
    await page.locator("#clear").click()
    view.journal.update("a-1", state=State.DELIVERED)
    view.note("a-2", event_name="Lead")
    await expect(page.locator("#rows .event")).to_have_text(["Lead"])


async def test_keyboard_is_enough(page: Page, view: View) -> None:
    for number in range(3):
        view.note(f"a-{number}", event_name=f"Event{number}")
    await expect(page.locator("#rows li")).to_have_count(3)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator("#detail h2")).to_contain_text("Event1")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("#detail h2")).to_contain_text("Event0")
    await page.keyboard.press("Escape")
    await expect(page.locator("#detail")).to_be_hidden()
    await expect(page.locator("#rows button").nth(2)).to_be_focused()


async def test_page_tells_the_gateways_health(page: Page, view: View) -> None:
    view.depths = {"conversions_api": Depth(ready=2, dead=1)}
    view.not_ready = "the outbox is not open"
    await expect(page.locator("footer")).to_contain_text("conversions_api: 2 ready, 0 under way, 1 dead")
    await expect(page.locator("#ready")).to_have_text("not ready: the outbox is not open")


async def test_page_comes_back_to_a_gateway_that_was_away(chromium: Browser, view: View) -> None:
    app = create_app(view)
    async with serving(app, "127.0.0.1", 0) as url:
        page = await chromium.new_page()
        await page.goto(url)
        await expect(page.locator("#live")).to_have_text("live")
    await expect(page.locator("#live")).to_have_text("reconnecting")
    view.note("a-1")
    async with serving(app, "127.0.0.1", int(url.rpartition(":")[2])):
        await expect(page.locator("#rows li")).to_have_count(1)
        await page.close()
