"""What a browser told once enriches its later hits, under consent, for its own pixel; an order's visit its events."""

import pytest

from pixeltwin.capi.event import ServerEvent
from pixeltwin.memories.memory import MemoryInProcess
from pixeltwin.mirror import Draft
from tests.factories import PIXEL

from .factories import AGENCY, BOTH, FBP, Line

REMEMBER = "identity: { remember: 90d }\n"
EU = "consent: { eu: { read: [{ cookie: ads, granted: [yes], denied: [no] }], unknown: hold 30m } }\n"
YES, NO = {"cookie": "ads=yes"}, {"cookie": "ads=no"}
US = "consent: { us: { read: [gpc], unknown: allow, denied: limit } }\n"
EM = "1" * 64
TOLD = {"ud[em]": EM}


def line(more: str = REMEMBER) -> Line:
    shop = Line(BOTH + more)
    shop.twins._store = MemoryInProcess(1000, shop.clock)
    return shop


async def emails(shop: Line) -> list[str]:
    return [value for event in await shop.events() for value in event["user_data"].get("em", [])]


async def test_a_later_anonymous_hit_of_the_browser_gets_the_hashes():
    shop = line()
    await shop.take("Lead", **TOLD)
    await shop.events()
    await shop.take("PageView")
    assert await emails(shop) == [EM]


async def test_where_a_value_was_remembered_the_record_says_so():
    shop = line()
    await shop.take("Lead", **TOLD)
    await shop.events()
    admission = await shop.take("PageView")
    await shop.events()
    record = shop.journal.get(admission.draft.record_id)
    assert record.origins == {"user_data.em": "remembered"}


async def test_another_browser_gets_nothing():
    shop = line()
    await shop.take("Lead", **TOLD)
    await shop.events()
    await shop.take("PageView", fbp="fb.1.1795461790000.2000000001")
    assert await emails(shop) == []


async def test_another_pixel_gets_nothing():
    shop = line()
    await shop.take("Lead", **TOLD)
    await shop.events()
    await shop.take("PageView", id=AGENCY)
    assert await emails(shop) == []


async def test_it_is_forgotten_after_its_time():
    shop = line()
    await shop.take("Lead", **TOLD)
    await shop.events()
    shop.now += 90 * 86400 + 1
    await shop.take("PageView", ts=f"{shop.now * 1000:.0f}")
    assert await emails(shop) == []


async def test_unless_it_is_asked_for_nothing_is_remembered():
    shop = line("identity: { remember: null }\n")
    await shop.take("Lead", **TOLD)
    await shop.events()
    await shop.take("PageView")
    assert await emails(shop) == []


@pytest.mark.parametrize(
    ("consent", "first", "second"),
    [
        (US, {}, {"sec-gpc": "1"}),
        (US, {"sec-gpc": "1"}, {}),
        (EU, {"cookie": "ads=yes"}, {"cookie": "ads=no"}),
        (EU, {"cookie": "ads=yes"}, {}),
    ],
    ids=["not to whoever says no", "not from whoever says no", "not after a no", "not while it waits"],
)
async def test_nothing_is_remembered_or_recalled_without_consent(consent, first, second):
    shop = line(REMEMBER + consent)
    await shop.take("Lead", first, **TOLD)
    await shop.events()
    await shop.take("PageView", second)
    assert await emails(shop) == []


async def test_a_refusal_takes_back_what_was_remembered_and_a_later_yes_brings_nothing_back():
    shop = line(REMEMBER + EU)
    await shop.take("Lead", YES, **TOLD)
    await shop.events()
    await shop.take("PageView", NO)
    await shop.take("PageView", YES)
    assert await emails(shop) == []


async def test_after_a_refusal_its_order_s_later_events_are_not_enriched_by_the_visit():
    shop = line(REMEMBER + EU)
    await shop.take("Purchase", YES, **TOLD)
    await shop.events()
    await shop.take("PageView", NO)
    await shop.posted(posted("A-1", client_ip_address="203.0.113.8"))
    [event] = await shop.events()
    assert event["user_data"] == {"client_ip_address": "203.0.113.8"}
    assert "event_source_url" not in event


async def test_another_browser_s_refusal_takes_nothing_back():
    shop = line(REMEMBER + EU)
    await shop.take("Lead", YES, **TOLD)
    await shop.events()
    await shop.take("PageView", NO, fbp="fb.1.1795461790000.2000000001")
    await shop.take("PageView", YES)
    assert await emails(shop) == [EM]


async def test_a_hit_that_the_page_limited_is_neither_remembered_nor_enriched():
    shop = line()
    await shop.take("Lead", dpo="LDU", **TOLD)
    await shop.events()
    await shop.take("PageView")
    assert await emails(shop) == []


# A match bundle.


def posted(order_id: str, pixel_id: str = PIXEL, **user_data: str) -> Draft:
    """A renewal that the shop's back end posts, with little but the order."""
    event = ServerEvent.model_validate(
        {
            "event_name": "Subscribe",
            "event_time": 1_795_461_800,
            "event_id": f"renewal-{order_id}",
            "action_source": "system_generated",
            "user_data": user_data,
            "custom_data": {"order_id": order_id, "value": 5, "currency": "EUR"},
        }
    ).as_json()
    return Draft(pixel_id=pixel_id, event=event, from_server=True)


async def test_a_server_s_later_event_of_an_order_is_as_rich_as_the_visit():
    shop = line()
    await shop.take("Purchase", **TOLD)
    await shop.events()
    await shop.posted(posted("A-1"))
    [event] = await shop.events()
    assert (event["user_data"]["fbp"], event["user_data"]["em"]) == (FBP, [EM])
    assert event["user_data"]["client_ip_address"] == "203.0.113.9"
    assert event["event_source_url"] == "https://www.shop.example/p/1"


@pytest.mark.parametrize("other", [posted("A-2"), posted("A-1", AGENCY)], ids=["order", "pixel"])
async def test_an_event_of_another_order_or_pixel_gets_nothing_of_it(other):
    shop = line()
    await shop.take("Purchase", **TOLD)
    await shop.events()
    await shop.posted(other)
    assert await shop.events() == []  # matches nobody


async def test_a_browser_that_names_the_order_gets_nothing_of_the_visit():
    """Anybody may make an order's id up."""
    shop = line()
    await shop.take("Purchase", **TOLD)
    await shop.events()
    await shop.take("PageView", fbp="fb.1.1795461790000.2000000001")
    assert await emails(shop) == []


async def test_a_visit_without_consent_leaves_no_bundle():
    shop = line(REMEMBER + US)
    await shop.take("Purchase", {"sec-gpc": "1"}, **TOLD)
    await shop.events()
    await shop.posted(posted("A-1"))
    assert await shop.events() == []


async def test_a_store_that_fails_delays_and_loses_nothing():
    shop = line()
    await shop.twins._store.close()
    await shop.take("Purchase", **TOLD)
    assert await emails(shop) == [EM]
