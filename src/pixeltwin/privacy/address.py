"""Personal data in the addresses of pages: `dl`, `rl`, `event_source_url`, `referrer_url` (THREATS T14).

Parameters that are private by their name go, whatever they hold; so does a name or password before the host. What the
filters find is masked in place, or its parameter or path segment goes. Every other character stays as it was.
"""

import re
from dataclasses import dataclass
from functools import reduce
from typing import Final
from urllib.parse import quote, unquote

from pixeltwin.privacy.settings import Privacy
from pixeltwin.privacy.words import LINKS, names_of, private_names, private_words, words_of

# RFC 3986, appendix B; every text matches
PARTS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)?(//[^/?#]*)?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
NESTED: Final = re.compile(r"https?://|/", re.IGNORECASE)  # how an address begins that is a parameter's value
FORM: Final = re.compile(r"(#!?/?)([^/?&=]+=.*)", re.DOTALL)  # a fragment of parameters
DEPTH: Final = 3  # of addresses in addresses
MAX_WORDS: Final = 500  # of an address, and of those in it; no page has such a one, and what is behind its path goes
BEHIND_A_LINK: Final = "token"

# Click ids and campaigns, which must arrive as they are. They are plain words: anything else under these names is
# looked at, for newsletters do write the reader's address into utm_content.
KEPT: Final = frozenset(
    (
        *("fbclid", "fbc", "_fbc", "fbp", "_fbp", "gclid", "dclid", "wbraid", "gbraid"),
        *("msclkid", "ttclid", "twclid", "li_fat_id", "epik", "yclid"),
    )
)
KEPT_PREFIX: Final = "utm_"
PLAIN: Final = re.compile(r"[\w.~-]*", re.ASCII)
SHA256: Final = re.compile(r"[0-9a-f]{64}(?:\.[\w-]{2,8})?", re.IGNORECASE | re.ASCII)


def clean_url(text: str, privacy: Privacy) -> str:
    """The address without personal data, as far as it can be told. Text that is no address is cleaned like a path."""
    return text if not text or is_quiet(text, privacy) else _Cleaner(privacy, DEPTH).address(text)


def is_quiet(text: str, privacy: Privacy) -> bool:
    """Whether there is plainly nothing to do. Most addresses are quiet, and this takes a tenth of reading them.

    Where it is so of several, each on a line of its own, it is so of each.
    """
    plain = unquote(text) if "%" in text else text
    detector = privacy.detector
    if not privacy.glance(plain) and not detector.suspects_unhinted(plain):
        return True
    if "@" in plain or "%" in plain or detector.suspects_plain(plain):
        return False
    names, private = names_of(plain), private_words(privacy.parameters)
    if detector.is_told_by(names) or not private.isdisjoint(words_of(" ".join(names))):
        return False
    return LINKS.isdisjoint(words_of(plain))


def _plain(text: str) -> str:
    """The text with the percent codes undone of all the addresses that are looked at."""
    return reduce(lambda plain, _: unquote(plain), range(DEPTH + 1), text)


def is_kept(name: str, value: str) -> bool:
    """Whether a parameter or property is never touched: a click id, a campaign's name, a SHA-256 value."""
    if name in KEPT or name.startswith(KEPT_PREFIX):
        return bool(PLAIN.fullmatch(value))
    return bool(SHA256.fullmatch(value))


@dataclass(frozen=True, slots=True)
class _Cleaner:
    """Cleans the parts of an address. `depth` tells how many addresses within addresses are looked at."""

    privacy: Privacy
    depth: int

    def address(self, text: str) -> str:
        parts = PARTS.fullmatch(text)
        assert parts  # noqa: S101 all of them are optional, and together they take any character
        scheme, authority, path, query, fragment = parts.groups("")
        start = scheme + self._authority(authority)
        if len(words_of(_plain(text))) > MAX_WORDS:
            return start + self.privacy.detector.masked(path)
        return start + self._path(path) + self._query(query) + self._fragment(fragment)

    def _authority(self, text: str) -> str:
        return "//" + self.privacy.detector.masked(text[2:].rpartition("@")[2]) if text else ""

    def _path(self, path: str) -> str:
        segments = path.split("/")
        before = ("", "", *segments)
        cleaned = (
            self._segment(segment, f"{before[place]}/{before[place + 1]}") for place, segment in enumerate(segments)
        )
        return "/".join(segment for segment in cleaned if segment is not None)

    def _segment(self, segment: str, before: str) -> str | None:
        plain, separator, parameters = segment.partition(";")  # /cart;jsessionid=1F3A
        cleaned = self.privacy.detector.clean(plain, "" if LINKS.isdisjoint(words_of(before)) else BEHIND_A_LINK)
        if cleaned is None or not parameters:
            return None if cleaned is None else cleaned + separator
        return f"{cleaned};{rest}" if (rest := self._parameters(parameters, ";")) else cleaned

    def _query(self, query: str) -> str:
        if len(query) < 2:
            return query
        return f"?{rest}" if (rest := self._parameters(query[1:], "&")) else ""

    def _fragment(self, fragment: str) -> str:
        """A fragment is a route (`#/orders?id=1`), parameters (`#access_token=…`), or a word."""
        if len(fragment) < 2:
            return fragment
        if form := FORM.fullmatch(fragment):
            return form[1] + rest if (rest := self._parameters(form[2], "&")) else ""
        route, question_mark, query = fragment.partition("?")
        return "#" + self._path(route[1:]) + self._query(question_mark + query)

    def _parameters(self, text: str, separator: str) -> str:
        cleaned = map(self._parameter, text.split(separator))
        return separator.join(pair for pair in cleaned if pair is not None)

    def _parameter(self, pair: str) -> str | None:
        name, separator, value = pair.partition("=")
        plain = unquote(name)
        if separator and self._is_private(plain):
            return None
        cleaned_name = self.privacy.detector.clean(name)
        cleaned = value if is_kept(plain, value) else self.privacy.detector.clean(self._nested(value), plain)
        return None if cleaned_name is None or cleaned is None else f"{cleaned_name}{separator}{cleaned}"

    def _is_private(self, name: str) -> bool:
        """Whether the name is listed, or the innermost key of it: `customer[email]`."""
        words, private = tuple(words_of(name)), private_names(self.privacy.parameters)
        return words in private or words[-1:] in private

    def _nested(self, value: str) -> str:
        """The value with an address in it cleaned, such as the page to go on to after a login."""
        address = unquote(value)
        if not self.depth or not NESTED.match(address):
            return value
        cleaned = _Cleaner(self.privacy, self.depth - 1).address(address)
        if cleaned == address:
            return value
        return cleaned if value == address else quote(cleaned, safe="", errors="replace")
