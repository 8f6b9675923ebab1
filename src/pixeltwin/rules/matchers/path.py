"""The path of the page as a pattern: `/checkout/*`. `*` stands for anything, slashes too, `?` for one character."""

import re
from fnmatch import translate
from functools import cached_property
from typing import Annotated, Final

from pydantic import AfterValidator

from pixeltwin.rules.matcher import Example, Matcher, Names
from pixeltwin.rules.moment import Arrival
from pixeltwin.units import wrong


def _of_a_page(patterns: frozenset[str]) -> frozenset[str]:
    """Raises a pydantic error for what no page's path can match."""
    if not all(pattern.startswith(("/", "*", "?")) for pattern in patterns):
        raise wrong("begin with a slash, as paths do, or with a star: /checkout/*, */checkout/*")
    if any("#" in pattern for pattern in patterns):
        raise wrong('what follows on # is no part of the path; ask for it by `when`: page.url.contains("#/cart")')
    return patterns


class Settings(Matcher):
    """One pattern or several; each has to match the whole path."""

    want: Annotated[Names, AfterValidator(_of_a_page)]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """The library's translation never goes back over a star, so that it is linear in the path."""
        plain = (pattern.replace("[", "[[]") for pattern in self.want)  # to the library a bracket opens a set
        return re.compile("|".join(map(translate, plain)))

    def holds(self, moment: Arrival) -> bool:
        return self._pattern.match(moment.page.path) is not None

    def covers(self, other: "Settings") -> bool:
        return "*" in self.want or self.want >= other.want


EXAMPLES: Final = (
    Example(written="/checkout/*", hit={"dl": "https://shop.example/checkout/step/2?x=1"}, holds=True),
    Example(written="/checkout/*", hit={"dl": "https://shop.example/en/checkout/"}, holds=False),
    Example(written=["/en/p/?", "/de/p/?"], hit={"dl": "https://shop.example/de/p/7"}, holds=True),
    Example(written="/a[1]/*.html", hit={"dl": "https://shop.example/a[1]/b.html"}, holds=True),
    Example(written="/", hit={"dl": "https://shop.example/p"}, holds=False),
)
