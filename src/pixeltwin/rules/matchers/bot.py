"""Whether the browser is a crawler: by its User-Agent, of which a list of some 1500 patterns is kept by others."""

from functools import cache
from typing import Any, Final

import re2  # type: ignore[import-untyped]

from pixeltwin.rules.matcher import Example, Matcher
from pixeltwin.rules.moment import Arrival

LONGEST: Final = 512  # characters of a User-Agent that are looked at


class Settings(Matcher):
    """`true` for crawlers, `false` for people."""

    want: bool

    def holds(self, moment: Arrival) -> bool:
        return is_crawler(moment.visit.request.header("user-agent")) is self.want


def is_crawler(user_agent: str) -> bool:
    return bool(_crawlers().Match(user_agent[:LONGEST].encode("utf-8", "replace")))


@cache
def _crawlers() -> Any:
    """All patterns as one automaton: about a microsecond, where they would take a millisecond one by one."""
    from crawleruseragents import (  # type: ignore[import-untyped]
        CRAWLER_USER_AGENTS_DATA,  # half a megabyte: only for configs that ask
    )

    patterns = re2.Set.SearchSet()
    for crawler in CRAWLER_USER_AGENTS_DATA:
        patterns.Add(crawler["pattern"])
    patterns.Compile()
    return patterns


GOOGLE: Final = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PHONE: Final = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"

EXAMPLES: Final = (
    Example(written=True, headers={"user-agent": GOOGLE}, holds=True),
    Example(written=True, headers={"user-agent": PHONE}, holds=False),
    Example(written=False, headers={"user-agent": PHONE}, holds=True),
)
