"""What stands before every admin page: no foreign names, no methods that write, no help for a hostile page.

The listener has no login; it is for people at the machine. A web page they visit could still reach it through a name
that its owner points at loopback (DNS rebinding), so a request must name a host that we know.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixeltwin.admin.records import Json

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  what a listener may be told to listen on
AUTHORITY: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::[0-9]{1,5})?")
SAFE_METHODS: Final = ("GET", "HEAD")
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that refuses foreign hosts and writing methods, and adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.strip("[]").lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the app answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (self._refusal(scope) or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Json | None:
        if not self._knows(Headers(scope=scope).get("host", "")):
            return Json({"error": "unknown host"}, 421)
        if scope.get("method") not in SAFE_METHODS:
            return Json({"error": "read only"}, 405, headers={"Allow": ", ".join(SAFE_METHODS)})
        return None

    def _knows(self, authority: str) -> bool:
        found = AUTHORITY.fullmatch(authority.lower())
        host = (found[1] or found[2]) if found else ""
        return host in self._hosts or (not ANY_ADDRESS.isdisjoint(self._hosts) and _is_address(host))


def _is_address(host: str) -> bool:
    """True for a numeric address: nobody can point one of those elsewhere."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
