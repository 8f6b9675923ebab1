"""Short ways to the values that tests are about."""

from collections.abc import Mapping
from urllib.parse import urlencode

from pixeltwin.config import Config
from pixeltwin.enrich.source import Source
from pixeltwin.gateway.line import open_source
from pixeltwin.pixel.hit import FORM, Limits, PixelHit, parse_hit
from pixeltwin.pixel.request import HitRequest

PIXEL = "1234567890123456"
NOW = 1_795_461_800.0  # 2026-11-23T19:23:20Z
UA = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
PAGE = "https://www.shop.example/p/1"


def request(
    query: str | bytes = b"",
    *,
    body: bytes = b"",
    content_type: str = "",
    headers: Mapping[str, str] | None = None,
    host: str = "px.shop.example",
    path: str = "/tr/",
    peer: str = "203.0.113.9",
    received_at: float = NOW,
) -> HitRequest:
    """A GET with that query, or a POST with that body."""
    return HitRequest(
        method="POST" if body else "GET",
        host=host,
        path=path,
        query=query.encode() if isinstance(query, str) else query,
        headers={
            "user-agent": UA,
            **({"content-type": content_type} if content_type else {}),
            **(headers or {}),
        },
        body=body,
        peer=peer,
        received_at=received_at,
        first_party=True,
    )


def hit_query(ev: str = "PageView", **parameters: str) -> str:
    """The query of a plausible hit; a parameter given as `cd_value` becomes `cd[value]`."""
    given = {
        name.replace("cd_", "cd[", 1) + "]" if name.startswith("cd_") else name: value
        for name, value in parameters.items()
    }
    standard = {"id": PIXEL, "ev": ev, "dl": PAGE, "ts": f"{int(NOW * 1000) - 5000}", "it": "1795461790000", "ec": "0"}
    return urlencode(standard | given)


def form(query: str) -> HitRequest:
    """The same hit as a form POST."""
    return request(body=query.encode(), content_type=FORM)


def multipart(parameters: list[tuple[str, str]], boundary: str = "----WebKitFormBoundaryAbC123") -> HitRequest:
    """The same hit as a beacon, written as browsers write FormData."""
    parts = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parameters
    )
    body = "".join(parts) + f"--{boundary}--\r\n"
    return request(body=body.encode(), content_type=f"multipart/form-data; boundary={boundary}")


def parsed(request: HitRequest) -> PixelHit:
    """The hit of a request that has one."""
    hit = parse_hit(request, Limits())
    assert isinstance(hit, PixelHit), hit
    return hit


def open_sources(config: Config) -> dict[str, Source]:
    """The config's sources by name."""
    return {name: open_source(name, config) for name in config.sources}
