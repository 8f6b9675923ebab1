"""The path of the page as a pattern: `/checkout/*`. `*` stands for anything, slashes too, `?` for one character."""

import re
from fnmatch import translate
from functools import lru_cache

from pixeltwin.rules.matcher import Matcher, Names
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """One pattern or several; each has to match the whole path."""

    want: Names

    def holds(self, moment: Arrival) -> bool:
        return any(_compiled(pattern).match(moment.page.path) for pattern in self.want)

    def covers(self, other: "Settings") -> bool:
        return "*" in self.want or self.want >= other.want


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """The library's translation never goes back over a star, so that it is linear in the path."""
    return re.compile(translate(pattern))
