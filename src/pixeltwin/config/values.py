"""The small values of the config file: addresses, hosts, origins, networks, URLs.

A parser either returns a value or raises `units.wrong(remedy)`. The remedy never repeats what was found: it may
have come out of a secret.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, SecretStr

from pixeltwin.units import text_type, wrong

type Network = IPv4Network | IPv6Network

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_PIXEL_ID: Final = r"[0-9]{1,20}"
_REFERENCE: Final = rf"\s*\{{\{{\s*{NAME}\s*\}}\}}\s*"  # to an element, see references.py
_COUNTRY: Final = r"[A-Za-z]{2}"
_GRAPH_VERSION: Final = r"v[0-9]{1,3}\.[0-9]{1,2}"
_PATH: Final = r'/[!-"$->@-~]*'
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_EVERY_IPV4_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def is_host(text: str) -> bool:
    """Whether the text is a lower-case host name or an IP address, without port or brackets."""
    return bool(_HOST_NAME.fullmatch(text)) or is_address(text)


def is_loopback(host: str) -> bool:
    """Whether only this machine can be meant. Names other than `localhost` are not looked up: they count as no."""
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server listens: an address or name without brackets; port 0 lets the system choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port`, with brackets around an IPv6 address."""
        match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+)):([0-9]{1,5})", text.lower())
        host = (match[1] or match[2]) if match else ""
        if not match or not (is_address(host) if match[1] else is_host(host)) or int(match[3]) > 65_535:
            raise wrong('write host:port, such as 127.0.0.1:8080 or "[::1]:8080" (in quotes)')
        return cls(host, int(match[3]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Origin:
    """A page's origin, or with `subdomains` every origin one or more labels below `host`."""

    scheme: str
    host: str
    port: int
    subdomains: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `https://shop.example`, `https://*.shop.example` or either with a port."""
        match = re.fullmatch(r"(https?)://(\*\.)?([^/?#@:\[\]*]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", text.lower())
        host = match[3].strip("[]") if match else ""
        port = int(match[4] or _DEFAULT_PORTS[match[1]]) if match else 0
        if not match or not is_host(host) or not 0 < port <= 65_535:
            raise wrong('write scheme and host, such as "https://shop.example" or "https://*.shop.example"')
        if match[2] and ("." not in host or is_address(host)):
            raise wrong('put a domain behind the wildcard, such as "https://*.shop.example"')
        return cls(match[1], host, port, bool(match[2]))

    def admits(self, origin: "Origin") -> bool:
        """Whether a page of `origin` (a plain one, as a browser sends it) is meant."""
        if origin.subdomains or (self.scheme, self.port) != (origin.scheme, origin.port):
            return False
        return origin.host.endswith(f".{self.host}") if self.subdomains else origin.host == self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{'*.' if self.subdomains else ''}{host}{port}"


def parse_host(text: str) -> str:
    """A host name or IP address in lower case."""
    if not is_host(text.lower()):
        raise wrong("write a host name alone, such as px.shop.example (no scheme, no port, no wildcard)")
    return text.lower()


def parse_network(text: str) -> Network:
    """A CIDR network that is not the whole internet: whoever is in it may choose the client's address."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise wrong("write a network in CIDR notation, such as 10.0.0.0/8") from None
    if ip_interface(text).ip != network.network_address:
        raise wrong(f"{network} is the network with that address")
    if network.prefixlen == 0 or network == _EVERY_IPV4_MAPPED:
        raise wrong("name your proxies' own networks, such as 10.0.0.0/8; this one lets anybody forge addresses")
    return network


def parse_base_url(text: str) -> str:
    """`scheme://host[:port]` without a slash. Plain http is for loopback: elsewhere tokens could be read along."""
    match = re.fullmatch(r"(https?)://([^/?#@\s\\]+)/?", text, re.IGNORECASE)
    if not match:
        raise wrong("write a URL of scheme and host alone, such as https://graph.facebook.com")
    host = _host_of(f"{match[1]}://{match[2]}")
    if match[1].lower() == "http" and not is_loopback(host):
        raise wrong("write https://…; plain http is taken for loopback hosts alone, for it shows tokens to the network")
    return f"{match[1]}://{match[2]}".lower()


def parse_pixel_id(value: Any) -> str:
    """The digits of a pixel id. YAML hands over whole numbers exactly, so they are taken too."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(_PIXEL_ID, text):
        raise wrong('write the pixel\'s digits, such as "1234567890123456" (Events Manager shows them)')
    return text


def parse_country(text: str) -> str:
    """An ISO 3166-1 code of two letters."""
    if not re.fullmatch(_COUNTRY, text):
        raise wrong("write the country's two letters, such as DE")
    return text.upper()


def parse_name(text: str) -> str:
    """A name for logs and metrics, and for pointing at things in the file."""
    if not re.fullmatch(NAME, text):
        raise wrong("write a name of letters, digits, - and _, such as shop-de (64 at most)")
    return text


def parse_graph_version(text: str) -> str:
    """A version of the Graph API."""
    if not re.fullmatch(_GRAPH_VERSION, text):
        raise wrong("write a version of the Graph API, such as v26.0")
    return text


def parse_path(text: str) -> str:
    """An absolute URL path without a query."""
    if not re.fullmatch(_PATH, text):
        raise wrong("write a path that begins with a slash, such as /tr (no host, no query)")
    return text


def check_token(token: SecretStr) -> SecretStr:
    """A token that a header can carry."""
    if not re.fullmatch(r"[!-~]+", token.get_secret_value()):
        raise wrong("it must be one word without line breaks: is the variable set to the token alone?")
    return token


def not_empty[T](values: tuple[T, ...]) -> tuple[T, ...]:
    """At least one."""
    if not values:
        raise wrong("name at least one")
    return values


def is_address(text: str) -> bool:
    try:
        return "%" not in text and bool(ip_address(text))
    except ValueError:
        return False


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not is_host(host):
        raise wrong("write a URL of scheme and host alone, such as https://graph.facebook.com")
    return host


def _text[T](kind: type[T] | None, parse: Callable[[str], T], pattern: str) -> PlainValidator:
    """Parse text; a value that is parsed already (code may build a model by hand) is taken as it is.

    The pattern is for editors: whatever is parsed matches it, and much that is not does not.
    """

    def read(value: Any) -> T:
        if kind is not None and isinstance(value, kind):
            return value
        return parse(value if isinstance(value, str) else "")

    return PlainValidator(read, json_schema_input_type=text_type(pattern))


_SCHEME: Final = "[Hh][Tt][Tt][Pp][Ss]?"
_ADDRESS: Final = r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"

ListenText = Annotated[
    Listen, _text(Listen, Listen.parse, r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+):[0-9]{1,5}"), PlainSerializer(str)
]
OriginText = Annotated[
    Origin,
    _text(Origin, Origin.parse, rf"{_SCHEME}://(\*\.)?([^/?#@:\[\]*]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?"),
    PlainSerializer(str),
]
NetworkText = Annotated[IPv4Network | IPv6Network, _text(None, parse_network, r"[0-9A-Fa-f:.]+(/[0-9.]+)?")]
HostText = Annotated[str, _text(None, parse_host, rf"[A-Za-z0-9_.-]+|{_ADDRESS}")]
BaseUrl = Annotated[str, _text(None, parse_base_url, rf"{_SCHEME}://[^/?#@\s\\]+/?")]
PathText = Annotated[str, _text(None, parse_path, _PATH)]
PixelId = Annotated[str, BeforeValidator(parse_pixel_id, int | text_type(rf"{_PIXEL_ID}|{_REFERENCE}"))]
Country = Annotated[str, _text(None, parse_country, _COUNTRY)]
Token = Annotated[SecretStr, AfterValidator(check_token)]
Name = Annotated[str, _text(None, parse_name, NAME)]
GraphVersion = Annotated[str, _text(None, parse_graph_version, _GRAPH_VERSION)]
Count = Annotated[int, Field(gt=0, le=1_000_000)]
