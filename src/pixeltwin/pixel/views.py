"""Requests and pages as expressions see them: plain maps of texts."""

from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pixeltwin.pixel.request import HitRequest

MAX_PARAMETERS: Final = 512
PRIVATE: Final = frozenset({"authorization", "cookie", "proxy-authorization"})  # they log people in


def parts_of(address: str) -> SplitResult:
    """The parts of an address; of a broken one nothing."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def page_of(address: str) -> dict[str, Any]:
    """A page: url, host, path, and its query by name, of repeated parameters the first."""
    parts = parts_of(address)
    parameters = parse_qsl(parts.query, keep_blank_values=True)[:MAX_PARAMETERS]
    return {"url": address, "host": parts.hostname or "", "path": parts.path, "query": dict(reversed(parameters))}


def http_of(request: HitRequest, client_ip: str | None) -> dict[str, Any]:
    """The request that brought the hit, without the headers that log people in."""
    return {
        "method": request.method,
        "host": request.host,
        "path": request.path,
        "client_ip": client_ip or "",
        "user_agent": request.header("user-agent"),
        "cookies": request.cookies,
        "headers": {name: value for name, value in request.headers.items() if name not in PRIVATE},
    }
