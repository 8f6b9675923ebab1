"""What stands before every admin page: no foreign names, no writing without the token, no help for a hostile page.

The listener has no login; it is for people at the machine, and shows them what there is. A web page they visit could
still reach it through a name that its owner points at loopback (DNS rebinding), so a request must name a host that we
know.
"""

import hmac
import ipaddress
import re
from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixeltwin.admin.records import Json

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  what a listener may be told to listen on
AUTHORITY: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::[0-9]{1,5})?")
SAFE_METHODS: Final = ("GET", "HEAD")
WRITING: Final = {
    "PUT": re.compile(r"/api/customers"),
    "DELETE": re.compile(r"/api/customers/.+", re.DOTALL),
    "POST": re.compile(r"/api/(?:outbox/(?:requeue|discard)|reload)"),
}
NO_TOKEN: Final = "nobody may change anything here: set admin.token in the config file"  # noqa: S105  a sentence
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
    """ASGI middleware that refuses foreign hosts and writing methods, and adds `HEADERS` to every answer.

    The paths of `WRITING` are open to who bears the token; without a `token`, nothing is. A cookie opens nothing, so
    that no page can write by way of its visitor's browser.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = (), token: Callable[[], str] | None = None) -> None:
        self._app = app
        self._token = token
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
        headers = Headers(scope=scope)
        if not self._knows(headers.get("host", "")):
            return Json({"error": "unknown host"}, 421)
        method = scope.get("method")
        if method in SAFE_METHODS:
            return None
        writing = [name for name, path in WRITING.items() if self._token and path.fullmatch(scope["path"])]
        if method not in writing:
            return Json({"error": "read only"}, 405, headers={"Allow": ", ".join(writing or SAFE_METHODS)})
        return self._stranger(headers.get("authorization", ""))

    def _stranger(self, authorization: str) -> Json | None:
        """Why these credentials do not do."""
        token = self._token() if self._token else ""
        if not token:
            return Json({"error": NO_TOKEN}, 403)
        scheme, _, shown = authorization.partition(" ")
        is_it = hmac.compare_digest(shown.strip().encode("latin-1"), token.encode())  # in a time that tells nothing
        if scheme.lower() == "bearer" and is_it:
            return None
        return Json({"error": "the bearer token is wanted"}, 401, headers={"WWW-Authenticate": "Bearer"})

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
