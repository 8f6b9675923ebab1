"""A request on a hit path as the gateway received it, free of any proxy's or server's types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final

type Network = IPv4Network | IPv6Network


@dataclass  # frozen by its types alone, like a hit
class HitRequest:
    """What a browser asked for.

    `host` is the Host header without port, lower-cased; empty where a proxy mode has overwritten it. `path` has no
    query; `query` is the raw query string. `headers` has lower-case names, repeated headers joined by ", ".
    `body` is raw, never decompressed. `peer` is the address of the TCP peer. `received_at` is unix seconds.
    `first_party`: the browser asked a host of the site's owner, so that cookies set in the answer are kept.
    """

    method: Final[str]
    host: Final[str]
    path: Final[str]
    query: Final[bytes]
    headers: Final[Mapping[str, str]]
    body: Final[bytes]
    peer: Final[str]
    received_at: Final[float]
    first_party: Final[bool]
    _cookies: dict[str, str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._cookies = None  # until somebody asks

    def header(self, name: str) -> str:
        """The header's value, empty when it is missing."""
        return self.headers.get(name, "")

    def of_peer(self, peer: str) -> "HitRequest":
        """The same request from another peer, in a tenth of the time of `replace`; its cookies are not read again."""
        rest = self.query, self.headers, self.body, peer, self.received_at, self.first_party
        made = HitRequest(self.method, self.host, self.path, *rest)
        made._cookies = self._cookies
        return made

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name; of repeated ones the first, which is the one with the longest path (RFC 6265 5.4)."""
        if self._cookies is None:
            self._cookies = self._read_cookies()
        return self._cookies

    def _read_cookies(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for pair in self.header("cookie").split(";"):
            name, separator, value = pair.strip().partition("=")
            if separator:
                found.setdefault(name, value)
        return found
