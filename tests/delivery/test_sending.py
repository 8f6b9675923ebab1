"""The worker against a Meta that answers in each way of DELIVERY 3: nothing is lost, nobody is pestered."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs
from tests.delivery.bench import OTHER, PIXEL, as_it_is, bench, event, until
from tests.delivery.scripted_meta import Answer, Post, error, refusing, took

from pixeltwin.delivery.outbox import REPEATABLE, Delivered, Expired, Item, Later, Refused
from pixeltwin.delivery.worker import Prepared, Ready
from pixeltwin.telemetry import REGISTRY

DAY = 24 * 3600.0


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"pixeltwin_{name}", {"destination": "conversions_api", **labels}) or 0.0


def meta_errors(code: str, subcode: str = "") -> float:
    labels = {"pixel": "shop", "code": code, "subcode": subcode}
    return REGISTRY.get_sample_value("pixeltwin_meta_errors_total", labels) or 0.0


class Script:
    """Answers in turn, the last one for ever."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def __call__(self, post: Post) -> Answer:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(post) if callable(answer) else answer


async def tallied(made) -> int:
    """What the outbox's equation says is missing: nothing, ever."""
    tally = (await made.outbox.tally())[made.name]
    depth = (await made.outbox.stats()).get(made.name)
    waiting = depth.ready + depth.leased + depth.held if depth else 0
    return (
        tally.accepted
        + tally.requeued
        - (tally.delivered + tally.dropped + tally.dead + tally.expired + tally.purged + waiting)
    )


# transient


@pytest.mark.parametrize(
    "answer",
    [error(500, 1), error(503, 2, is_transient=True), Answer(502, b"<html>"), Answer(200, b"Service Unavailable")],
)
async def test_a_passing_fault_is_tried_again_a_little_later_each_time(answer):
    async with bench(answer=Script(answer, answer, took), chance=lambda: 0.5) as made:
        await made.append("a")
        await made.deliver()
        first = made.last("a")
        assert isinstance(first, Later)
        assert (first.at - made.clock.now, first.counts, first.ambiguous) == (1.5, True, False)
        assert await made.deliver(1.4) == []
        await made.deliver(0.1)
        assert made.last("a").at - made.clock.now == 2.0
        await made.deliver(2.0)
        assert isinstance(made.last("a"), Delivered)


async def test_a_server_error_that_names_a_time_is_heeded():
    async with bench(answer=Answer(503, b"", {"retry-after": "42"})) as made:
        await made.append("a")
        await made.deliver()
        assert made.last("a").at - made.clock.now == 42


async def test_a_time_out_after_the_body_was_sent_is_ambiguous():
    before = metric("ambiguous_total")
    async with bench(answer=Answer(200, b"{}", seconds=1.0), timeout=0.1) as made:
        await made.append("a", "b")
        await made.deliver()
        assert made.last("a").ambiguous
    assert metric("ambiguous_total") == before + 2


async def test_no_connection_is_not_ambiguous():
    async with bench(url="http://127.0.0.1:9") as made:  # nobody listens on the discard port
        await made.append("a")
        await made.deliver()
        assert not made.last("a").ambiguous


# throttles


async def test_a_throttled_pixel_is_parked_for_a_minute_and_twice_as_long_each_time_and_no_attempt_counts():
    throttled = error(400, 80004)
    async with bench(answer=Script(*[throttled] * 7, took)) as made:
        await made.append("a", "b", "c")
        waits = []
        for _ in range(7):
            await made.deliver()
            waits.append(round((await made.parked())[PIXEL][0]))
            made.clock.now += waits[-1]
        assert waits == [60, 120, 240, 480, 900, 900, 900]
        assert not any(end.counts for ends in made.ends.values() for end in ends)
        await made.deliver()
        assert made.ended_as(Delivered) == {"a", "b", "c"}
        assert await made.parked() == {}


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(429, b"", {"retry-after": "7"}), 7),
        (
            error(
                400,
                80004,
                headers={
                    "x-business-use-case-usage": json.dumps({"1": [{"estimated_time_to_regain_access": 3}]}),
                },
            ),
            180,
        ),
        (Answer(429, b""), 60),
    ],
)
async def test_a_throttle_that_says_how_long_is_heeded(answer, seconds):
    async with bench(answer=answer) as made:
        await made.append("a")
        await made.deliver()
        wait, reason = (await made.parked())[PIXEL]
        assert (round(wait), reason.startswith("throttle: HTTP")) == (seconds, True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-app-usage": json.dumps({"call_count": 90, "total_time": 5, "total_cputime": 5})}, 60),
        (
            {
                "x-business-use-case-usage": json.dumps(
                    {"1": [{"total_time": 93, "estimated_time_to_regain_access": 3}]}
                )
            },
            180,
        ),
    ],
)
async def test_a_pixel_that_has_nearly_used_up_what_it_may_is_left_alone_and_then_asked_by_one_event(headers, seconds):
    full = True
    async with bench(answer=lambda post: took(post, **(headers if full else {})), lease_limit=2) as made:
        await made.append(*"abcdef")
        assert [len(post.events) for post in await made.deliver()] == [2]
        wait, reason = (await made.parked())[PIXEL]
        assert (round(wait), "of what Meta allows" in reason) == (seconds, True)
        assert await made.deliver(seconds - 1) == []
        assert [len(post.events) for post in await made.deliver(1)] == [1]
        full = False
        assert len(await made.deliver(seconds)) == 2  # the probe, and what was leased with it
        while made.ended_as(Delivered) != set("abcdef"):
            assert await made.deliver()
        assert all(len(ends) == 1 for ends in made.ends.values())
        assert await tallied(made) == 0


async def test_a_pixel_that_has_used_less_than_nine_tenths_goes_on():
    usage = json.dumps({"call_count": 89.9})
    async with bench(answer=lambda post: took(post, **{"x-app-usage": usage})) as made:
        await made.append("a")
        await made.deliver()
        assert await made.parked() == {}


async def test_a_throttled_pixel_holds_up_no_other():
    async with bench(answer=lambda post: error(400, 4) if post.pixel_id == PIXEL else took(post)) as made:
        await made.append("a")
        await made.append("b", pixel_id=OTHER)
        await made.deliver()
        await made.append("c", pixel_id=OTHER)
        assert [post.names for post in await made.deliver()] == [["c"]]
        assert made.ended_as(Delivered) == {"b", "c"}


# set-up


@pytest.mark.parametrize("answer", [error(401, 190, 463), error(403, 200), error(400, 100, 33), error(400, 294)])
async def test_a_fault_of_the_set_up_parks_the_pixel_and_never_makes_a_dead_letter(answer):
    async with bench(answer=answer) as made:
        await made.append(*"abcdef")
        for _ in range(40):
            await made.deliver(900)
        assert made.ended_as(Later) <= set("abcdef")
        assert not any(end.counts for ends in made.ends.values() for end in ends)
        assert (await made.outbox.letters(), await tallied(made)) == ([], 0)
        assert (await made.parked())[PIXEL][1].startswith("setup: HTTP")


async def test_a_parked_pixel_is_asked_by_one_event_each_time():
    async with bench(answer=error(401, 190)) as made:
        await made.append(*"abcdef")
        assert [len(post.events) for post in await made.deliver()] == [6]
        assert await made.deliver(59) == []
        assert [len(post.events) for post in await made.deliver(1)] == [1]
        assert await made.deliver(119) == []
        assert [len(post.events) for post in await made.deliver(1)] == [1]


async def test_a_human_is_told_once_which_pixel_and_what_to_do():
    async with bench(answer=error(401, 190)) as made:
        await made.append("a", "b")
        with capture_logs() as logs:
            for _ in range(5):
                await made.deliver(900)
    told = [line for line in logs if line["log_level"] == "error"]
    assert len(told) == 1
    assert (told[0]["pixel"], told[0]["pixel_id"]) == ("shop", PIXEL)
    assert "access token" in told[0]["to_do"]


async def test_a_new_token_heals_the_backlog():
    async with bench(answer=lambda post: took(post) if post.token == "new" else error(401, 190)) as made:
        names = [f"e{number}" for number in range(500)]
        await made.append(*names)
        await made.deliver()
        made.tokens[PIXEL] = "new"
        posts = await made.deliver(60)
        assert [len(post.events) for post in posts[:1]] == [1]
        assert made.ended_as(Delivered) == set(names)
        assert (await made.parked(), await tallied(made)) == ({}, 0)


async def test_a_pixel_that_left_the_config_waits_for_a_human_too():
    async with bench() as made:
        await made.append("a", pixel_id="999")
        await made.deliver()
        assert made.meta.posts == []
        assert "config" in (await made.parked())["999"][1]


async def test_a_worker_that_starts_asks_a_parked_pixel_by_one_event_too():
    async with bench(answer=error(401, 190)) as made:
        await made.append(*"abc")
        await made.deliver()
        made.worker = made.another_worker()
        running = asyncio.create_task(made.worker.run())  # learns of the park
        await asyncio.sleep(0.05)
        made.worker.stop()
        await running
        assert [len(post.events) for post in await made.deliver(60)] == [1]


# data


async def test_the_event_at_fault_is_refused_with_meta_s_code_and_title_and_the_others_are_delivered():
    before = meta_errors("100", "2804050")
    async with bench(answer=refusing("c")) as made:
        await made.append(*"abcdefgh")
        posts = await made.deliver()
        assert made.ended_as(Delivered) == set("abdefgh")
        assert made.last("c") == Refused("HTTP 400, code 100/2804050: Not Enough", "100/2804050")
        letter = (await made.outbox.letters())[0]
        assert (letter.code, letter.is_expired) == ("100/2804050", False)
        assert [post.names for post in posts] == [
            list("abcdefgh"),
            list("abcd"),
            ["a", "b"],
            ["c"],
            ["d"],
            list("efgh"),
        ]
    assert meta_errors("100", "2804050") == before + 3


async def test_an_event_that_meta_names_is_found_at_once():
    before = metric("bisect_posts_total")
    async with bench(answer=refusing("c", blame=True)) as made:
        await made.append(*"abcdefgh")
        assert [post.names for post in await made.deliver()] == [list("abcdefgh"), ["c"], list("abdefgh")]
        assert made.ended_as(Refused) == {"c"}
    assert metric("bisect_posts_total") == before + 2


async def test_a_batch_with_many_events_at_fault_costs_64_posts_and_the_rest_goes_later():
    names = [f"e{number}" for number in range(80)]
    async with bench(answer=refusing(*names[::2])) as made:
        await made.append(*names)
        assert len(await made.deliver()) == 64
        assert made.ended_as(Later)
        for _ in range(6):
            await made.deliver(400)
        assert made.ended_as(Refused) == set(names[::2])
        assert made.ended_as(Delivered) == set(names[1::2])
        assert await tallied(made) == 0


async def test_a_fault_in_the_midst_of_a_search_loses_nothing():
    async with bench(answer=Script(refusing("c"), refusing("c"), error(500, 1), refusing("c"))) as made:
        await made.append(*"abcdefgh")
        await made.deliver()
        assert await tallied(made) == 0
        for _ in range(3):
            await made.deliver(10)
        assert (made.ended_as(Refused), made.ended_as(Delivered)) == ({"c"}, set("abdefgh"))


# unknown 4xx


async def test_an_unknown_refusal_is_the_event_s_when_the_others_are_taken():
    async with bench(answer=refusing("c", code=2500, subcode=7)) as made:
        await made.append(*"abcdefgh")
        await made.deliver()
        assert (made.ended_as(Refused), made.ended_as(Delivered)) == ({"c"}, set("abdefgh"))
        assert made.last("c").code == "2500/7"


async def test_events_of_two_shapes_that_are_refused_alike_park_the_pixel_and_none_is_dead():
    async with bench(answer=error(403, 2500)) as made:
        await made.append_events([event("a"), event("b", custom_data={"value": 1})])
        with capture_logs() as logs:
            await made.deliver()
        assert (await made.outbox.letters(), await tallied(made)) == ([], 0)
        assert "setup" in (await made.parked())[PIXEL][1]
        assert [line["log_level"] for line in logs if line["log_level"] == "error"] == ["error"]
        made.meta.answer = took
        await made.deliver(60)
        await made.deliver(60)
        assert made.ended_as(Delivered) == {"a", "b"}


async def test_a_lone_unknown_refusal_is_tried_some_times_and_then_the_event_s():
    async with bench(answer=error(400, 2500)) as made:
        await made.append("a")
        assert sum([len(await made.deliver(400)) for _ in range(10)]) == 6
        assert made.ended_as(Refused) == {"a"}


# too big


@pytest.mark.parametrize("answer", [Answer(413, b"<html>"), error(400, -3)])
async def test_what_is_too_big_is_halved_from_then_on(answer):
    async with bench(answer=lambda post: answer if len(post.events) > 3 else took(post)) as made:
        await made.append(*"abcdefgh")
        assert [len(post.events) for post in await made.deliver()] == [8, 4, 2, 2, 4, 2, 2]
        assert made.ended_as(Delivered) == set("abcdefgh")
        await made.append(*"ijkl")
        assert [len(post.events) for post in await made.deliver()] == [2, 2]


async def test_one_event_that_is_too_big_is_refused():
    async with bench(answer=Answer(413, b"")) as made:
        await made.append("a")
        await made.deliver()
        assert isinstance(made.last("a"), Refused)


# breakers


async def test_a_host_that_fails_is_left_alone_and_asked_by_one_event():
    async with bench(answer=error(500, 1)) as made:
        for number in range(8):
            await made.append(f"e{number}", pixel_id=(PIXEL, OTHER)[number % 2])
            await made.deliver(0.1)
        assert len(made.meta.posts) == 5
        assert metric("breaker_state", pixel="") == 2
        made.meta.answer = took
        assert await made.deliver(4) == []
        assert [len(post.events) for post in await made.deliver(1.1)] == [1]
        assert metric("breaker_state", pixel="") == 0
        for _ in range(3):
            await made.deliver(2)
        assert len(made.ended_as(Delivered)) == 8


async def test_a_probe_that_fails_makes_the_rest_longer():
    async with bench(answer=error(500, 1)) as made:
        await made.append(*(f"e{number}" for number in range(30)))
        posts = [len(await made.deliver(1)) for _ in range(200)]
        assert 5 < sum(posts) < 14


async def test_one_pixel_s_breaker_is_told_to_all_workers_and_holds_up_no_other():
    async with bench(answer=lambda post: error(500, 1) if post.pixel_id == PIXEL else took(post)) as made:
        for number in range(5):
            await made.append(f"a{number}")
            await made.append(f"b{number}", pixel_id=OTHER)
            await made.deliver(0.1)
        assert list(await made.parked()) == [PIXEL]
        assert (await made.parked())[PIXEL][1].startswith("breaker: HTTP 500")
        assert metric("breaker_state", pixel="shop") == 2
        assert metric("breaker_state", pixel="blog") == 0
        assert metric("parked_pixels", cause="breaker") == 1
        assert made.ended_as(Delivered) == {f"b{number}" for number in range(5)}
        made.meta.answer = took
        await made.deliver(10)
        assert len(made.ended_as(Delivered)) == 10
        assert metric("breaker_state", pixel="shop") == 0


# size, deadlines, counts


async def test_batches_hold_200_events_while_all_is_well_and_1000_under_a_backlog():
    async with bench(answer=took) as made:
        await made.append(*(f"e{number}" for number in range(450)))
        assert sorted(len(post.events) for post in await made.deliver()) == [50, 200, 200]
        await made.append(*(f"f{number}" for number in range(3500)))
        assert [len(post.events) for post in await made.deliver()] == [1000]


async def test_a_batch_weighs_half_a_mebibyte_at_most():
    async with bench(answer=took) as made:
        await made.append(*(f"e{number}" for number in range(6)), pad="x" * 150_000)
        assert sorted(len(post.events) for post in await made.deliver()) == [3, 3]


async def test_two_posts_of_a_pixel_are_under_way_at_most():
    async with bench(answer=lambda post: Answer(200, took(post).body, seconds=0.05)) as made:
        await made.append(*(f"e{number}" for number in range(1000)))
        assert len(await made.deliver()) == 5
        assert made.meta.most_at_once == 2


async def test_credentials_and_test_codes_never_share_a_batch():
    async def prepare(items: Sequence[Item]) -> dict[int, Prepared]:
        made = (Ready(b'{"event_id":"x"}', code, token) for code in ("", "TEST1") for token in ("", OTHER))
        return {item.seq: ready for item, ready in zip(items, made, strict=True)}

    async with bench(answer=took, prepare=prepare) as made:
        await made.append(*"abcd")
        posts = {(post.test_event_code, post.token, len(post.events)) for post in await made.deliver()}
        assert posts == {(code, token, 1) for code in ("", "TEST1") for token in ("token", "other-token")}


async def test_what_is_past_its_deadline_is_never_sent_however_it_waited():
    async with bench(answer=took) as made:

        async def slow(items: Sequence[Item]) -> dict[int, Prepared]:
            made.clock.now += 10  # a source took its time
            return await as_it_is(items)

        made.options["prepare"] = slow
        made.worker = made.another_worker()
        now = made.clock.now
        await made.append_events([event("late")], deadline=now + 5)
        await made.append_events([event("in_time")], deadline=now + 50)
        assert [post.names for post in await made.deliver()] == [["in_time"]]
        assert made.last("late") == Expired("too_late")
        assert [(letter.is_expired, letter.reason) for letter in await made.outbox.letters()] == [(True, "too_late")]


async def test_a_running_worker_makes_letters_of_what_is_past_its_deadline():
    async with bench(answer=took) as made:
        await made.append_events([event("late")], deadline=made.clock.now + 5)
        made.clock.now += 6
        running = asyncio.create_task(made.worker.run())
        await asyncio.sleep(0.05)
        made.worker.stop()
        await running
        assert [letter.is_expired for letter in await made.outbox.letters()] == [True]
        assert made.meta.posts == []


async def test_an_ambiguous_item_is_not_sent_after_48_hours():
    async with bench(answer=Answer(200, b"{}", seconds=0.5), timeout=0.05) as made:
        await made.append_events([event("a")], deadline=made.clock.now + 7 * DAY)
        await made.deliver()
        made.meta.answer = took
        assert await made.deliver(2 * DAY) == []


async def test_events_that_meta_did_not_count_are_noticed():
    before = metric("missing_total")
    async with bench(answer=Answer(200, b'{"events_received":1}')) as made:
        await made.append(*"abc")
        with capture_logs() as logs:
            await made.deliver()
        assert made.ended_as(Delivered) == set("abc")
        assert [line["missing"] for line in logs if "missing" in line] == [2]
    assert metric("missing_total") == before + 2


async def test_the_delay_of_an_event_is_from_its_keeping_to_meta_s_answer():
    before = metric("event_delay_seconds_sum"), metric("event_delay_seconds_count")
    async with bench(answer=took) as made:
        await made.append("a")
        await made.deliver(3.5)
    assert metric("event_delay_seconds_sum") == pytest.approx(before[0] + 3.5)
    assert metric("event_delay_seconds_count") == before[1] + 1


async def test_metrics_tell_a_hundred_codes_apart_and_no_more():
    codes = iter(range(1, 400))
    async with bench(answer=lambda post: error(400, 100, next(codes) + 9_000_000)) as made:
        await made.append(*(f"e{number}" for number in range(130)))
        for _ in range(2):
            await made.deliver(400)
    told = {
        sample.labels["subcode"]
        for family in REGISTRY.collect()
        if family.name == "pixeltwin_meta_errors"
        for sample in family.samples
        if sample.labels["subcode"].startswith("9000")
    }
    assert 0 < len(told) <= 100


# the loop


async def test_a_running_worker_delivers_as_it_comes_and_another_pixel_s_hang_holds_up_nobody():
    def answer(post: Post) -> Answer:
        return Answer(200, took(post).body, seconds=30 if post.pixel_id == PIXEL else 0)

    async with bench(answer=answer, timeout=1.0, linger=0.01) as made:
        running = asyncio.create_task(made.worker.run())
        await made.append("hangs")
        for number in range(10):
            await made.append(f"e{number}", pixel_id=OTHER)
            await asyncio.sleep(0.02)
        await until(
            lambda: (
                sum(post.pixel_id == OTHER for post in made.meta.posts) >= 1
                and sum(len(post.events) for post in made.meta.posts if post.pixel_id == OTHER) == 10
            ),
            seconds=0.8,
        )
        made.worker.stop()
        await asyncio.wait_for(running, 5)


async def test_a_worker_that_is_cancelled_settles_what_was_answered():
    def answer(post: Post) -> Answer:
        return Answer(200, took(post).body, seconds=30 if post.pixel_id == PIXEL else 0)

    async with bench(answer=answer) as made:
        await made.append("hangs")
        await made.append("goes", pixel_id=OTHER)
        running = asyncio.create_task(made.worker.run())
        await until(lambda: len(made.meta.posts) == 2)
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        tally = (await made.outbox.tally())[made.name]
        depth = (await made.outbox.stats())[made.name]
        assert (tally.delivered, depth.ready, depth.leased) == (1, 1, 0)


async def test_a_post_that_a_stop_cuts_off_may_have_arrived():
    async with bench(answer=lambda post: Answer(200, took(post).body, seconds=30)) as made:
        await made.append("cut off")
        running = asyncio.create_task(made.worker.run())
        await until(lambda: len(made.meta.posts) == 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert [item.deadline - made.clock.now for item in await made.outbox.waiting()] == [REPEATABLE]


async def test_a_worker_rests_while_the_host_does_and_is_no_busy_loop():
    async with bench(answer=error(500, 1)) as made:
        for number in range(8):
            await made.append(f"e{number}")
            await made.deliver(2)
        before = len(made.meta.posts)
        running = asyncio.create_task(made.worker.run())
        await asyncio.sleep(0.2)
        made.worker.stop()
        await asyncio.wait_for(running, 2)
        assert len(made.meta.posts) == before
