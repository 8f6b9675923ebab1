"""Whether the browser is a crawler: by its User-Agent, of which a list of some 1500 patterns is kept by others."""

from functools import cache
from typing import Any, Final

import re2  # type: ignore[import-untyped]

from pixeltwin.rules.matcher import Matcher
from pixeltwin.rules.moment import Arrival

LONGEST: Final = 512  # characters of a User-Agent that are looked at


class Settings(Matcher):
    """`true` for crawlers, `false` for people."""

    want: bool

    def holds(self, moment: Arrival) -> bool:
        return is_crawler(moment.visit.request.header("user-agent")) is self.want


def is_crawler(user_agent: str) -> bool:
    return bool(_crawlers().Match(user_agent[:LONGEST]))


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
