"""Hits that wait for consent: kept for their browser, released by its yes, purged by its no."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pixeltwin.delivery.outbox import Dropped
from pixeltwin.destinations import conversions_api, pixel_relay
from pixeltwin.gateway.consents import REMEMBERED, Consents, said_by
from pixeltwin.gateway.items import items_of, subject_of
from pixeltwin.pixel.skip import Reason
from tests.factories import PIXEL, hit_query, request

from .factories import AGENCY, BOTH, FBP, SHOP, Line

EU = "consent: { eu: { read: [{ cookie: ads, granted: [yes], denied: [no] }], unknown: hold 30m } }\n"
YES, NO, SILENT = {"cookie": "ads=yes"}, {"cookie": "ads=no"}, {}
OTHER_FBP = "fb.1.1795461790000.2000000001"
TO_BOTH = "rules: [{ name: all, match: { event: Purchase }, then: { pixels: [shop, agency] } }]\n"


async def depths(line: Line) -> Mapping[str, int]:
    return {name: depth.held for name, depth in (await line.outbox.stats()).items() if depth.held}


async def test_a_hit_that_waits_is_kept_for_its_browser_and_not_sent():
    line = Line(SHOP + EU)
    admission = await line.take()
    kept = items_of(admission, "background", line.now)
    assert {item.destination for item in kept} == {conversions_api.NAME, pixel_relay.NAME}
    assert {(item.subject, item.hold_until) for item in kept} == {(subject_of(FBP), line.now + 1800)}
    assert (await line.events(), await line.relayed()) == ([], 0)


async def test_a_later_yes_of_the_same_browser_releases_both_copies():
    line = Line(SHOP + EU)
    await line.take("Purchase")
    await line.take("PageView", YES)
    assert {event["event_name"] for event in await line.events()} == {"Purchase", "PageView"}
    assert await line.relayed() == 2


async def test_a_yes_of_another_browser_releases_nothing():
    line = Line(SHOP + EU)
    await line.take("Purchase")
    await line.take("PageView", YES, fbp=OTHER_FBP)
    assert [event["event_name"] for event in await line.events()] == ["PageView"]


async def test_a_no_purges_what_waits_and_a_later_yes_brings_nothing_back():
    line = Line(SHOP + EU)
    await line.take("Purchase")
    admission = await line.take("PageView", NO)
    assert admission.skip is Reason.CONSENT_DENIED
    assert await depths(line) == {}
    await line.take("Lead", YES)
    assert [event["event_name"] for event in await line.events()] == ["Lead"]


async def test_a_no_takes_back_what_was_released_and_not_yet_sent():
    line = Line(SHOP + EU)
    await line.take("Purchase")
    await line.take("Lead", YES)
    await line.take("PageView", NO)
    assert (await line.events(), await line.relayed()) == ([], 0)


async def test_silence_decides_nothing_about_what_waits():
    line = Line(SHOP + EU)
    await line.take("Purchase")
    await line.take("PageView", SILENT)
    assert await depths(line) == {conversions_api.NAME: 2, pixel_relay.NAME: 2}


async def test_what_nobody_released_in_time_ends_without_being_sent():
    line = Line(SHOP + EU)
    await line.take("Purchase")
    line.now += 1801
    assert (await line.events(), await line.relayed()) == ([], 0)
    assert line.ends == [Dropped(Reason.CONSENT_UNKNOWN)]
    assert await depths(line) == {}


async def test_a_hit_of_no_known_browser_does_not_wait():
    line = Line(SHOP + EU)
    admission = await line.take(fbp="")
    assert (admission.skip, admission.withheld) == (Reason.CONSENT_UNKNOWN, True)
    assert items_of(admission, "background", line.now) == []


async def test_a_browser_is_the_same_with_the_appendix_of_meta_s_parameter_builder():
    line = Line(SHOP + EU)
    await line.take("Purchase", fbp=FBP)
    await line.take("PageView", YES, fbp=f"{FBP}.AQYCAQMA")
    assert len(await line.events()) == 2


@pytest.mark.parametrize(("headers", "expected"), [(YES, {PIXEL, AGENCY}), (NO, set())])
async def test_an_answer_reaches_the_twins_that_a_rule_sent_to_other_pixels(headers, expected):
    """The hit that brings it need not go there itself."""
    line = Line(BOTH + EU + TO_BOTH)
    await line.take("Purchase")
    await line.take("PageView", headers)
    purchases = {pixel for pixel, *_, events in await line.deliver() for e in events if e["event_name"] == "Purchase"}
    assert purchases == expected
    assert await depths(line) == {}


async def test_an_answer_for_one_pixel_reaches_no_other():
    line = Line(BOTH + EU)
    await line.take("Purchase")
    await line.take("PageView", YES, id=AGENCY)
    assert [pixel for pixel, *_ in await line.deliver()] == [AGENCY]


async def test_a_twin_waits_while_the_browser_s_copy_goes_where_the_policy_says_so():
    split = "consent: { eu: { read: [{ cookie: ads, granted: [yes] }], unknown: { relay: limit, twin: hold 30m } } }\n"
    line = Line(SHOP + split)
    await line.take("Purchase")
    assert (await line.events(), await line.relayed()) == ([], 1)
    await line.take("PageView", YES)
    purchase = next(event for event in await line.events() if event["event_name"] == "Purchase")
    assert purchase["data_processing_options"] == ["LDU"]  # as the copy that went before


async def test_a_copy_that_waits_is_released_though_its_twin_was_dropped():
    split = "consent: { eu: { read: [{ cookie: ads, granted: [yes] }], unknown: { relay: hold 30m, twin: drop } } }\n"
    line = Line(SHOP + split)
    assert (await line.take("Purchase")).skip is Reason.CONSENT_UNKNOWN
    assert await line.relayed() == 0
    await line.take("PageView", YES)
    assert await line.relayed() == 2


# An answer is carried out once.


class Outbox:
    """Counts what it is asked; fails while told to."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.fails = False

    async def release(self, pixel_id: str, subject: bytes) -> int:
        return self._do("release", pixel_id)

    async def purge(self, pixel_id: str, subject: bytes) -> int:
        return self._do("purge", pixel_id)

    def _do(self, what: str, pixel_id: str) -> int:
        if self.fails:
            raise OSError("full")
        self.done.append((what, pixel_id))
        return 1


async def followed(*answers: Mapping[str, str], outbox: Outbox | None = None) -> list[str]:
    line, found = Line(SHOP + EU), outbox or Outbox()
    consents = Consents(found)  # type: ignore[arg-type]  # it asks for two of an outbox's methods
    for headers in answers:
        await consents.follow(said_by(await line.take("PageView", headers)))
    return [what for what, _ in found.done]


async def test_an_answer_that_comes_with_every_page_is_carried_out_once():
    assert await followed(YES, YES, YES) == ["release"]
    assert await followed(NO, NO, NO) == ["purge"]


async def test_a_change_of_mind_is_carried_out_each_time():
    assert await followed(YES, NO, YES, NO) == ["release", "purge", "release", "purge"]


async def test_a_yes_after_a_hit_that_waits_is_carried_out_again():
    assert await followed(YES, SILENT, YES) == ["release", "release"]


async def test_an_answer_that_could_not_be_carried_out_is_tried_again_with_the_next_hit():
    outbox = Outbox()
    outbox.fails = True
    consents, line = Consents(outbox), Line(SHOP + EU)  # type: ignore[arg-type]  # as above
    admission = await line.take("PageView", YES)
    await consents.follow(said_by(admission))  # raises nothing: the hit must not fail by it
    outbox.fails = False
    await consents.follow(said_by(admission))
    assert outbox.done == [("release", PIXEL)]


async def test_what_is_remembered_of_browsers_is_bounded():
    consents, line = Consents(Outbox()), Line(SHOP + EU)  # type: ignore[arg-type]  # as above
    admission = await line.take("PageView", YES)
    for number in range(REMEMBERED + 10):
        await consents.follow(said_by(replace(admission, browser=f"fb.1.1.{number}")))
    assert len(consents._heard) == REMEMBERED


async def test_without_a_policy_nobody_is_followed():
    outbox, line = Outbox(), Line(SHOP)
    await Consents(outbox).follow(said_by(await line.take()))  # type: ignore[arg-type]  # as above
    assert outbox.done == []


async def test_a_request_that_is_no_hit_leaves_everything_as_it_is():
    line = Line(SHOP + EU)
    admission = await line.arrives(request("nothing=1"))
    assert (admission.hit, await line.events()) == (None, [])
    stranger = await line.arrives(request(hit_query(id="9999999999999999"), headers=NO))
    assert (stranger.skip, stranger.reach) == (Reason.UNKNOWN_PIXEL, frozenset())
