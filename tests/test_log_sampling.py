"""A flood of hits does not become a flood of log lines, and what was left out is told."""

import structlog
from structlog.testing import LogCapture

from pixeltwin.log_sampling import MOST, PERIOD, Sampler


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def logger(clock: Clock) -> tuple[structlog.typing.BindableLogger, LogCapture]:
    seen = LogCapture()
    return structlog.wrap_logger(structlog.PrintLogger(), processors=[Sampler(clock), seen]), seen


def test_of_one_message_so_many_lines_are_logged_and_the_next_period_says_how_many_were_not():
    clock = Clock()
    log, seen = logger(clock)
    for number in range(1000):
        log.warning("Meta refused a twin", number=number)
    assert [line["number"] for line in seen.entries] == list(range(MOST))
    clock.now += PERIOD
    log.warning("Meta refused a twin", number=1000)
    assert seen.entries[-1] == {
        "event": "Meta refused a twin",
        "number": 1000,
        "left_out": 1000 - MOST,
        "log_level": "warning",
    }
    log.warning("Meta refused a twin", number=1001)
    assert "left_out" not in seen.entries[-1]


def test_another_message_is_logged_in_a_flood_of_one():
    log, seen = logger(Clock())
    for _ in range(1000):
        log.warning("Meta refused a twin")
    log.error("the outbox took nothing")
    assert seen.entries[-1]["event"] == "the outbox took nothing"


def test_what_comes_seldom_is_always_logged():
    clock = Clock()
    log, seen = logger(clock)
    for _ in range(10 * MOST):
        log.warning("a source did not answer")
        clock.now += 2 * PERIOD / MOST
    assert len(seen.entries) == 10 * MOST


def test_each_of_a_config_s_warnings_is_logged():
    log, seen = logger(Clock())
    warnings = [f"pixels[{number}]: anyone can forge a Purchase" for number in range(3 * MOST)]
    for warning in warnings:
        log.warning("config", warning=warning)
    assert [line["warning"] for line in seen.entries] == warnings
