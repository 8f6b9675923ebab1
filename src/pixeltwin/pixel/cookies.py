"""The cookies that the gateway sets: `_fbp` and `_fbc`, when the browser lacks or must change them (PROTOCOL 2.1).

A cookie holds a well-formed browser id and a domain name, or it cannot be made: nothing else that a client wrote can
reach the header (THREATS T7, T8).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pixeltwin.pixel import browser_id
from pixeltwin.pixel.browser_id import DOMAIN, BrowserIds
from pixeltwin.pixel.request import HitRequest

NAMES: Final = frozenset({"_fbp", "_fbc"})
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_AGE: Final = 90 * 24 * 3600  # seconds, as the pixel's own


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCookie:
    """A cookie to set. Without `domain` only the host that sets it gets it back."""

    name: str
    value: str
    domain: str | None
    secure: bool = True

    def __post_init__(self) -> None:
        if self.name not in NAMES or not browser_id.valid(self.value):
            raise ValueError(f"{self.name!r} with {self.value!r} is no cookie of Meta's")
        if self.domain is not None and not DOMAIN.fullmatch(self.domain):
            raise ValueError(f"{self.domain!r} is no domain for a cookie")

    def header(self) -> str:
        """The value of a Set-Cookie header."""
        domain = f"; Domain={self.domain}" if self.domain else ""
        secure = "; Secure" if self.secure else ""
        return f"{self.name}={self.value}; Max-Age={MAX_AGE}; Path=/{domain}{secure}; SameSite=Lax"


def cookies_to_set(
    ids: BrowserIds, request: HitRequest, host: str, *, domains: Sequence[str] = ()
) -> tuple[SetCookie, ...]:
    """The cookies that make a browser that asked `host` hold `ids`.

    On another site than the page's they are harmless: a browser ignores SameSite=Lax cookies there. They are Secure,
    but for a shop on this machine: http://localhost is where Safari refuses that.
    """
    held = request.cookies
    wanted = (("_fbp", ids.fbp), ("_fbc", ids.fbc))
    changed = [(name, value) for name, value in wanted if value and value != held.get(name)]
    if not changed:
        return ()
    domain, secure = browser_id.registrable_domain(host, domains), host not in LOOPBACK
    return tuple([SetCookie(name=name, value=value, domain=domain, secure=secure) for name, value in changed])
