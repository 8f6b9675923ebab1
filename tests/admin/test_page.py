"""The Test Events page in a real browser."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from pixeltwin.admin.app import create_app
from pixeltwin.admin.server import serving
from pixeltwin.capi.validate import Remark
from pixeltwin.delivery.journal import State
from pixeltwin.delivery.outbox import Depth
from pixeltwin.mapping.notes import Note
from tests.admin.factories import EM, FN, PURCHASE, View
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
        "a-1",
        event_name=HOSTILE,
        detail=HOSTILE,
        event_id=HOSTILE,
        source_url=HOSTILE,
        relay=HOSTILE,
        rules=(HOSTILE,),
        consent=HOSTILE,
        notes=(f"personal_data_removed: {HOSTILE}", HOSTILE),
        hit=((HOSTILE, HOSTILE), (f"cd[{HOSTILE}]", HOSTILE)),
        twin={"event_id": HOSTILE, "custom_data": {HOSTILE: [{HOSTILE: HOSTILE}]}},
        origins={"event_id": f"rule {HOSTILE}"},
    )
    await page.locator("#rows button").click()
    for place in ("#rows .event", "#rows .why", "#detail h2", "#detail .notes", "#detail dl", "#detail .from >> nth=0"):
        await expect(page.locator(place)).to_contain_text(HOSTILE)
    assert await page.locator("img").count() == 0


async def test_markup_cannot_be_injected_even_by_a_mistake(page: Page) -> None:
    mistake = 'try { document.body.innerHTML = "<b>x</b>"; "taken" } catch (error) { error.name }'
    assert await page.evaluate(mistake) == "TypeError"


async def detail_row(page: Page, name: str) -> list[str]:
    row = page.locator("#detail tr", has=page.get_by_role("rowheader", name=name, exact=True))
    return await row.locator("td").all_text_contents()


async def opened(page: Page, view: View, **changes: Any) -> None:
    view.note("a-1", **changes)
    await page.locator("#rows button").click()
    await expect(page.locator("#detail h2")).to_contain_text(changes.get("event_name", "Purchase"))


async def test_detail_shows_hit_and_twin_side_by_side(page: Page, view: View) -> None:
    await opened(page, view)
    assert await detail_row(page, "event_id") == ["order-1001", "=", "order-1001", "hit eid"]
    assert (await detail_row(page, "event_time"))[1::2] == ["=", "hit ts"]
    assert await detail_row(page, "action_source") == ["–", "+", "website", "gateway"]
    assert (await detail_row(page, "event_source_url"))[1] == "~"
    assert await detail_row(page, "value") == ["24.90", "=", "24.9", "hit cd[value]"]
    assert (await detail_row(page, "contents"))[1] == "="
    assert (await detail_row(page, "data_processing_options"))[:3] == ["–", "+", "(empty list)"]
    assert await detail_row(page, "sw") == ["1512", "", "–", ""]


# of a twin with these values: who gave it, beside a hit with those parameters, and with what is known of origins
WHERE_FROM = [
    ("event_name", "Lead", [("ev", "Lead")], {}, "hit ev"),
    ("event_name", "Lead", [("ev", "Contact")], {"event_name": "rule twin-alone"}, "rule twin-alone"),
    ("event_id", "pt-1", [("eid", "")], {}, "new, written into the browser's copy"),
    ("event_time", 1795461800, [("ts", "1")], {}, "time of receipt"),
    ("event_source_url", "https://a.example/", [("dl", "https://a.example/?email=x")], {}, "hit dl"),
    ("event_source_url", "https://a.example/", [("dl", "")], {}, "Referer"),
    ("data_processing_options", ["LDU"], [("dpo", "LDU")], {}, "hit dpo"),
    ("data_processing_options", ["LDU"], [("dpo", "")], {}, "consent"),
    ("data_processing_options", [], [("dpo", "")], {}, "hit dpo"),
    ("user_data.client_ip_address", "203.0.113.9", [], {}, "peer, X-Forwarded-For or cookie _fbi"),
    ("user_data.client_user_agent", "Mozilla/5.0", [], {}, "User-Agent"),
    ("user_data.fbp", "fb.1.1.1", [("fbp", "fb.1.1.1")], {}, "hit fbp"),
    ("user_data.fbp", "fb.1.1.1", [("fbp", "nonsense")], {}, "cookie _fbp, or new"),
    ("user_data.fbc", "fb.1.1.a", [], {}, "cookie _fbc, or fbclid"),
    ("user_data.em", [EM], [("ud[em]", EM)], {}, "hit ud[em]"),
    ("user_data.em", [EM], [("ud[em]", "no hash"), ("udff[em]", EM.upper())], {}, "hit udff[em]"),
    ("user_data.em", [EM, FN], [("ud[em]", EM)], {"user_data.em": "customers"}, "hit ud[em], customers"),
    ("user_data.em", [EM], [], {"user_data.em": "remembered"}, "remembered"),
    ("custom_data.value", 3, [("cd[value]", "9")], {"custom_data.value": "rule margin"}, "rule margin"),
    ("custom_data.currency", "EUR", [("cd[currency]", "eur")], {}, "hit cd[currency]"),
    ("custom_data.currency", "EUR", [], {}, ""),
]


@pytest.mark.parametrize(("path", "value", "hit", "origins", "expected"), WHERE_FROM)
async def test_every_value_of_the_twin_says_where_it_is_from(
    page: Page, view: View, path: str, value: Any, hit: list[tuple[str, str]], origins: dict[str, str], expected: str
) -> None:
    section, _, key = path.partition(".")
    twin = {section: {key: value}} if key else {section: value}
    await opened(page, view, hit=[("id", "1"), *hit], twin=twin, origins=origins)
    assert (await detail_row(page, key or section))[3] == expected


async def test_hash_that_came_to_the_browsers_own_is_an_addition(page: Page, view: View) -> None:
    await opened(page, view, twin={"user_data": {"em": [EM, FN]}}, origins={"user_data.em": "customers"})
    assert (await detail_row(page, "em"))[:3] == [f"{EM[:8]}…", "+", f"{EM[:8]}…, {FN[:8]}…"]


async def test_event_that_a_server_posted_is_not_taken_for_an_addition(page: Page, view: View) -> None:
    await opened(page, view, hit=())
    await expect(page.locator("#detail dl")).to_contain_text("a server posted this event")
    assert await detail_row(page, "event_id") == ["–", "", "order-1001", "posted"]
    assert (await detail_row(page, "fn"))[1:] == ["+", f"{FN[:8]}…", "customers"]


async def test_row_tells_the_rules_the_consent_and_how_many_kinds_of_notes(page: Page, view: View) -> None:
    view.note("a-1", state=State.DELIVERED, detail="Meta took it", rules=("purchases", "margin"))
    why = page.locator("#rows .why")
    await expect(why).to_have_text("rules: purchases, margin · consent: granted (eu) · Meta took it")
    await expect(why).to_have_attribute("data-notes", "2")
    view.note("a-2", rules=(), consent="", notes=())
    await expect(why.first).to_have_text("waits to be sent")
    assert await why.first.evaluate("why => getComputedStyle(why, '::before').content") == "none"


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ("dropped_by_rule: purchases", "dropped by rule: purchases · consent: denied (eu)"),
        ("consent_denied: eu", "consent denied: eu · rules: purchases"),
        ("purchase_without_value (100/2804009)", "purchase without value (100/2804009) · rules: purchases · consent: "),
    ],
)
async def test_row_says_nothing_twice(page: Page, view: View, detail: str, expected: str) -> None:
    view.note("a-1", state=State.SKIPPED, detail=detail, consent="denied (eu)")
    await expect(page.locator("#rows .why")).to_contain_text(expected)
    assert (await page.locator("#rows .why").inner_text()).count("denied") == 1


async def test_held_event_says_what_it_waits_for_and_has_a_tile_of_its_own(page: Page, view: View) -> None:
    view.note("a-1", state=State.HELD, relay="held", consent="unknown (eu)", rules=())
    view.note("a-2")
    held = page.locator("#rows li", has_text="held")
    await expect(held.locator(".state")).to_have_text("‖ held")
    await expect(held.locator(".why")).to_have_text("waits for the visitor's answer · consent: unknown (eu)")
    await page.locator("#flow [data-state=held]").click()
    await expect(page.locator("#flow [data-state=held]")).to_have_text("1held")
    await expect(page.locator("#rows li:visible")).to_have_count(1)
    await held.locator("button").click()
    await expect(page.locator("#detail dl")).to_contain_text("it goes once the visitor consents")
    await expect(page.locator("#detail dl")).to_contain_text("Consentunknown (eu)")


async def test_list_is_searched_by_rule_and_consent_and_note(page: Page, view: View) -> None:
    view.note("a-1", event_name="One", rules=("margin",), notes=())
    view.note("a-2", event_name="Two", consent="unknown (us)", notes=())
    view.note("a-3", event_name="Three", notes=("currency_ignored",))
    shown = page.locator("#rows li:visible .event")
    for text, event in (("margin", "One"), ("unknown (us)", "Two"), ("invalid currency code", "Three")):
        await page.locator("#filter").fill(text)
        await expect(shown).to_have_text(event)


async def test_notes_are_said_in_words_with_metas_names_where_it_has_some(page: Page, view: View) -> None:
    await opened(page, view, notes=(*PURCHASE.notes, "value_ignored", "currency_ignored", "rule_fault: margin: value"))
    texts = await page.locator("#detail .notes li").all_text_contents()
    assert texts == [
        "Missing currency parameter: value has none",
        "Potentially violating personal data, removed before anything was sent: dl, cd[note]",
        "Invalid value parameter: cd[value] is no number",
        "Invalid currency code: cd[currency] is not three letters",
        "A rule, or a field of it, gave nothing that can be used: margin: value",
    ]


async def test_every_note_there_is_has_words(page: Page, view: View) -> None:
    notes = [*Note, *Remark, "event_name_of_twin_alone", "event_id_of_twin_alone"]
    await opened(page, view, notes=notes)
    texts = await page.locator("#detail .notes li").all_text_contents()
    assert len(texts) == len(notes)
    assert [text for text in texts if text[0].islower() and not text.startswith(("eventID ", "content_type "))] == []


async def test_hashes_are_shown_by_their_first_characters(page: Page, view: View) -> None:
    await opened(page, view, source_url=f"https://www.shop.example/?em={EM}", detail=EM, rules=(EM,))
    assert (await detail_row(page, "em"))[:3] == [f"{EM[:8]}…", "=", f"{EM[:8]}…"]
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
    assert "held" not in await page.locator("footer").inner_text()
    await expect(page.locator("#ready")).to_have_text("not ready: the outbox is not open")
    view.depths = {"conversions_api": Depth(held=4)}
    await expect(page.locator("footer")).to_contain_text("conversions_api: 0 ready, 0 under way, 4 held for consent, 0")


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
