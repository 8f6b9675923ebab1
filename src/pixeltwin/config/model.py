"""Every option there is, as frozen models. What is not named here is refused.

The kinds of `outbox`, `sources` and `elements` come from their folders: a file added there is an option here.
`Config.from_text` and `load_config` check what concerns several options (`checks.py`); the models check the rest.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, field_validator
from pydantic_core import PydanticCustomError

from pixeltwin import kinds
from pixeltwin.config.units import Duration, Size, wrong
from pixeltwin.config.values import (
    BaseUrl,
    Count,
    Country,
    GraphVersion,
    HostText,
    Listen,
    ListenText,
    Name,
    NetworkText,
    Origin,
    OriginText,
    PathText,
    PixelId,
    Token,
    not_empty,
)
from pixeltwin.errors import Problem
from pixeltwin.mapping.element import element_type

DEFAULT_OUTBOX: Final[Any] = {"kind": "sqlite"}

if TYPE_CHECKING:
    from pixeltwin.enrich.source import SourceSettings as Source
    from pixeltwin.kinds import KindSettings as Outbox
    from pixeltwin.mapping.element import Element
else:
    Outbox = kinds.union("pixeltwin.outboxes")
    Source = kinds.union("pixeltwin.sources")
    Element = element_type()


class Section(BaseModel):
    """A part of the file. Errors hide their input: it may be a secret."""

    model_config = ConfigDict(**kinds.FROZEN, hide_input_in_errors=True)


class Limits(Section):
    """What a hit may cost at most. In-app browsers send GETs with 32 KiB of URL."""

    body: Size = 256 << 10
    ingest_body: Size = 4 << 20
    url: Size = 40 << 10
    params: Count = 1000
    read_timeout: Duration = 10.0


class Paths(Section):
    """The paths on which hits, OpenBridge posts (also below it) and server events (`…/{pixel_id}/events`) are taken."""

    hits: Annotated[tuple[PathText, ...], AfterValidator(not_empty)] = ("/tr", "/tr/")
    openbridge: PathText = "/events"
    ingest: PathText = "/capi"


class Server(Section):
    """The front door. Empty `public_hosts`: see `Config.hosts`."""

    listen: ListenText = Listen("127.0.0.1", 8080)
    public_hosts: tuple[HostText, ...] = ()
    trusted_proxies: tuple[NetworkText, ...] = ()
    allowed_origins: tuple[OriginText, ...] = ()
    limits: Limits = Limits()
    paths: Paths = Paths()

    def admits_origin(self, origin: str) -> bool:
        """Whether a page of that `Origin` header may send hits. No `allowed_origins`: every page may."""
        if not self.allowed_origins:
            return True
        try:
            page = Origin.parse(origin)
        except PydanticCustomError:
            return False
        return any(allowed.admits(page) for allowed in self.allowed_origins)


class Meta(Section):
    """Where Meta is. URLs have no slash at the end."""

    graph: BaseUrl = "https://graph.facebook.com"
    pixel: BaseUrl = "https://www.facebook.com"
    graph_version: GraphVersion = "v26.0"


class Pixel(Section):
    """A pixel whose hits get twins. `relay` None leaves the browser's copy to the front door."""

    id: PixelId
    name: Name = Field(default_factory=lambda fields: fields.get("id", ""))
    access_token: Token
    hosts: tuple[HostText, ...] = ()
    default_country: Country | None = None
    relay: Literal["native", "background", "browser", "none"] | None = None
    ingest_keys: tuple[Token, ...] = ()
    test_event_code: str | None = None
    enrich: tuple[str, ...] = ()

    @field_validator("test_event_code")
    @classmethod
    def _blank_is_none(cls, code: str | None) -> str | None:
        return code or None  # `${TEST_CODE:-}` is how people write "only where it is set"


class Identity(Section):
    """How a browser is known: Meta's `_fbi` client-IP cookie, and the gateway's own `_fbp` and `_fbc`."""

    fbi_cookie: bool = True
    set_cookies: bool = True


class Admin(Section):
    """The admin server; it has no login yet, so only this machine may reach it."""

    listen: ListenText = Listen("127.0.0.1", 8090)

    @field_validator("listen")
    @classmethod
    def _only_loopback(cls, listen: Listen) -> Listen:
        if not listen.is_loopback:
            raise wrong("write a loopback address such as 127.0.0.1:8090: there is no login yet")
        return listen


class Config(Section):
    """A config file that can be used. Made by `load_config` or `from_text`."""

    version: Literal[1] = 1
    server: Server = Server()
    meta: Meta = Meta()
    pixels: Annotated[tuple[Pixel, ...], AfterValidator(not_empty)]
    identity: Identity = Identity()
    elements: Mapping[Name, Element] = {}
    sources: Mapping[Name, Source] = {}
    outbox: Outbox = Field(default=DEFAULT_OUTBOX, validate_default=True)
    admin: Admin | None = Admin()

    _base: Path = PrivateAttr(default_factory=Path)
    _digest: str = PrivateAttr(default="")
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @classmethod
    def from_text(cls, text: str, *, base: Path, env: Mapping[str, str] = os.environ, file: str = "config") -> "Config":
        """Read the text of a config file that lies in `base`; raises `ConfigError` with every problem."""
        from pixeltwin.config.load import read_text  # load.py builds what is declared here

        return read_text(text, base=base, env=env, file=file)

    @property
    def base(self) -> Path:
        """The folder of the file; relative paths in it start there: `config.base / settings.path`."""
        return self._base

    @property
    def digest(self) -> str:
        """Which text this is: the first 12 hex digits of its SHA-256."""
        return self._digest

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What can be used but is dangerous, in the order of the file."""
        return self._warnings

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that are answered, `public_hosts` or else the pixels'; empty: every host is."""
        return frozenset(self.server.public_hosts or (host for pixel in self.pixels for host in pixel.hosts))
