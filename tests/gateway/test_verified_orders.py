"""Money events are sent only with an order that the shop's own source knows, for what that says they are worth."""

import pytest

from pixeltwin.consent.verdict import Answer
from pixeltwin.delivery.outbox import REMEMBERED, Dropped, Later
from pixeltwin.delivery.worker import Ready
from pixeltwin.enrich.source import Profile
from pixeltwin.pixel.skip import Reason
from tests.factories import PIXEL

from .factories import Known, Line

CONFIG = f"""
pixels: [{{ name: shop, id: "{PIXEL}", access_token: "${{T}}", enrich: [crm], verify: {{ Purchase: orders }} }}]
elements: {{ order: {{ custom_data: order_id, trust: unsafe }}, uid: {{ signed_cookie: uid, key: "${{T}}" }} }}
sources:
  orders: {{ kind: embedded, key: order, map: {{}}, custom_data: {{ value: total, currency: currency }} }}
  crm: {{ kind: embedded, key: order, map: {{ em: email }} }}
"""
US = "consent: { us: { read: [gpc], unknown: allow, denied: limit } }\n"
HASH = "1" * 64
WORTH = Profile(custom_data={"value": 80.0, "currency": "CHF"})
MINUTE, HOUR = 60, 3600


def line(orders: Known, crm: Known | None = None, more: str = "") -> Line:
    return Line(CONFIG + more, {"orders": orders, "crm": crm or Known()})


async def test_a_purchase_with_its_order_carries_the_source_s_value_and_currency():
    shop = line(Known({"A-1": WORTH}))
    await shop.take(cd_value="9999", cd_currency="EUR")
    [event] = await shop.events()
    assert event["custom_data"] == {"value": 80.0, "currency": "CHF", "order_id": "A-1"}


async def test_a_forged_purchase_is_never_sent():
    shop = line(Known())
    await shop.take(cd_order_id="made-up")
    for _ in range(30):
        assert await shop.events() == []
        shop.now += MINUTE
    assert shop.ends == []  # it was given up before


async def test_a_purchase_waits_for_its_order_and_is_given_up_after_verify_wait():
    shop = line(Known())
    await shop.take()
    [later] = await shop.prepared()
    assert isinstance(later, Later)
    assert "orders does not know the order yet" in later.reason
    shop.now += shop.config.enrich.verify_wait - 1
    assert isinstance((await shop.prepared())[0], Later)
    shop.now += 1
    assert await shop.prepared() == [Dropped(Reason.NOT_VERIFIED)]


async def test_an_order_that_comes_a_little_later_is_in_time():
    orders = Known()
    shop = line(orders)
    await shop.take()
    assert await shop.events() == []
    orders.customers["A-1"] = WORTH
    shop.now += MINUTE
    assert [event["custom_data"]["value"] for event in await shop.events()] == [80.0]


async def test_a_purchase_that_names_no_order_has_nothing_to_wait_for():
    shop = line(Known({"A-1": WORTH}))
    await shop.take(cd_order_id="")
    assert await shop.prepared() == [Dropped(Reason.NOT_VERIFIED)]


@pytest.mark.parametrize(("hours", "waits"), [(0, True), (1, True), (47.9, True), (48, False), (60, False)])
async def test_a_silent_source_holds_a_purchase_back_for_as_long_as_it_may_be_late(hours, waits):
    assert REMEMBERED == 48 * HOUR
    orders = Known()
    orders.is_silent = True
    shop = line(orders)
    shop.relay = "none"  # so that nothing but the source's silence ends it
    await shop.take()
    shop.now += hours * HOUR
    [prepared] = await shop.prepared()
    assert isinstance(prepared, Later if waits else Dropped)
    assert prepared.reason == ("no answer from orders" if waits else Reason.NOT_VERIFIED)


async def test_a_source_that_answers_again_lets_it_go():
    orders = Known({"A-1": WORTH})
    orders.is_silent = True
    shop = line(orders)
    await shop.take()
    assert await shop.events() == []
    orders.is_silent = False
    shop.now += 6 * HOUR
    assert [event["custom_data"]["value"] for event in await shop.events()] == [80.0]


@pytest.mark.parametrize("ev", ["PageView", "AddToCart", "Lead"])
async def test_other_events_go_and_their_order_is_not_looked_up(ev):
    orders = Known()
    orders.is_silent = True
    shop = line(orders)
    await shop.take(ev)
    assert [event["event_name"] for event in await shop.events()] == [ev]
    assert orders.asked == []


async def test_a_silent_source_of_customers_delays_a_verified_purchase_for_enrich_wait_only():
    crm = Known()
    crm.is_silent = True
    shop = line(Known({"A-1": WORTH}), crm)
    await shop.take()
    assert isinstance((await shop.prepared())[0], Later)
    shop.now += shop.config.enrich.wait
    assert isinstance((await shop.prepared())[0], Ready)


async def test_a_purchase_of_whoever_said_no_is_verified_and_nobody_looked_up():
    crm = Known({"A-1": Profile({"em": (HASH,)})})
    shop = line(Known({"A-1": Profile({"em": (HASH,)}, WORTH.custom_data)}), crm, US)
    admission = await shop.take(headers={"sec-gpc": "1"})
    assert admission.verdict.answer is Answer.DENIED
    [event] = await shop.events()
    assert (event["custom_data"]["value"], event["data_processing_options"]) == (80.0, ["LDU"])
    assert "em" not in event["user_data"]
    assert crm.asked == []


async def test_a_server_s_own_events_are_its_word():
    """Whoever shows the pixel's key is the shop."""
    shop = line(Known())
    draft = (await shop.take(cd_order_id="B-2")).draft
    await shop.posted(draft._replace(from_server=True, verifier="", keys={}, event=with_id(draft.event, "s")))
    assert [event["event_id"] for event in await shop.events()] == ["s"]


def with_id(event, event_id):
    return {**event, "event_id": event_id}
