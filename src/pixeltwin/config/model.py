"""Every option there is, as frozen models. What is not named here is refused.

The kinds of `outbox`, `sources`, `elements` and others come from their folders: a file added there is an option here.
`Config.from_text` and `load_config` check what concerns several options (`checks.py`); the models check the rest.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, field_validator
from pydantic_core import PydanticCustomError

from pixeltwin import kinds
from pixeltwin.config.units import Duration, RateText, Size, wrong
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
from pixeltwin.consent.policy import ConsentPolicy
from pixeltwin.delivery.sender import POST_SECONDS
from pixeltwin.delivery.worker import LEASE_SECONDS
from pixeltwin.errors import Problem
from pixeltwin.mapping.element import element_type
from pixeltwin.privacy.settings import Privacy
from pixeltwin.rules.rule import Rule

SHORTEST_LEASE: Final = POST_SECONDS + 5.0
LONGEST_LEASE: Final = 600.0  # seconds; when a post ends is told within a lease, and repeats have 15 minutes to spare
DEFAULT_OUTBOX: Final[Any] = {"kind": "sqlite"}
DEFAULT_MEMORY: Final[Any] = {"kind": "sqlite"}

if TYPE_CHECKING:
    from pixeltwin.enrich.source import SourceSettings as Source
    from pixeltwin.kinds import KindSettings as Memory
    from pixeltwin.kinds import KindSettings as Outbox
    from pixeltwin.mapping.element import Element
else:
    Memory = kinds.union("pixeltwin.memories")
    Outbox = kinds.union("pixeltwin.outboxes")
    Source = kinds.union("pixeltwin.sources")
    Element = element_type()


class Section(BaseModel):
    """A part of the file. Errors hide their input: it may be a secret."""

    model_config = ConfigDict(**kinds.FROZEN, hide_input_in_errors=True)


class Limits(Section):
    """What a hit may cost at most. In-app browsers send GETs with 32 KiB of URL.

    `body` and `url` are sizes, `params` is how many parameters it has, and `read_timeout` how long it takes to arrive.
    `ingest_body` is the size of a post of server events. `ack_deadline` is how long an answer waits for the outbox:
    then a hit is answered and kept all the same if that can be, and a post of server events is answered 503.

    `rate_per_visitor` and `rate_per_pixel` are how many hits one public address, and one pixel, may bring; None: any
    number. What is too many is answered like any hit, and goes nowhere. Server events are not counted.
    `connections_per_address` is how many connections to one front process an address may have at once that is none of
    the trusted proxies; None: any number. More are answered 503.
    """

    body: Size = 256 << 10
    ingest_body: Size = 4 << 20
    url: Size = 40 << 10
    params: Count = 1000
    read_timeout: Duration = 10.0
    ack_deadline: Duration = 0.25
    rate_per_visitor: RateText | None = None
    rate_per_pixel: RateText | None = None
    connections_per_address: Count | None = None


class Paths(Section):
    """The paths on which something is taken.

    `hits` is where hits arrive. `openbridge` is for OpenBridge posts, also below it. Server events are posted to
    `ingest`, under `…/{pixel_id}/events`.
    """

    hits: Annotated[tuple[PathText, ...], AfterValidator(not_empty)] = ("/tr", "/tr/")
    openbridge: PathText = "/events"
    ingest: PathText = "/capi"


class Server(Section):
    """The front door.

    `listen` is its host and port. `public_hosts` are the hosts that are answered; empty: those of the pixels. Only
    `trusted_proxies` may say in X-Forwarded-For who the client is. `allowed_origins` are the pages that may send hits.
    """

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
    """Where Meta is. URLs have no slash at the end.

    `graph` is where twins go, `pixel` where the browser's copies go. `graph_version` is that of the Conversions API.
    """

    graph: BaseUrl = "https://graph.facebook.com"
    pixel: BaseUrl = "https://www.facebook.com"
    graph_version: GraphVersion = "v26.0"


class Pixel(Section):
    """A pixel whose hits get twins.

    Its `id` is in Meta's Events Manager, its `access_token` is for the Conversions API, its `name` for logs and
    metrics. `hosts` is where its hits arrive; empty: on any host of the server. `default_country` is that of phone
    numbers without a country code. `relay` None leaves the browser's copy to the front door. `ingest_keys` are shown by
    servers that post events. With a `test_event_code` twins are shown under Test Events.

    No `events`: all but the automatic ones, which `automatic_events` lets in. `enrich` names the sources that know the
    customer. `verify` names by event the source in which its order must be found.
    """

    id: PixelId
    name: Name = Field(default_factory=lambda fields: fields.get("id", ""))
    access_token: Token
    hosts: tuple[HostText, ...] = ()
    default_country: Country | None = None
    relay: Literal["native", "background", "browser", "none"] | None = None
    ingest_keys: tuple[Token, ...] = ()
    test_event_code: str | None = None
    events: tuple[str, ...] = ()
    automatic_events: bool = False
    enrich: tuple[str, ...] = ()
    verify: Mapping[str, str] = {}

    @field_validator("test_event_code")
    @classmethod
    def _blank_is_none(cls, code: str | None) -> str | None:
        if code and not code.strip():
            raise wrong("write what Events Manager shows under Test Events, or nothing")
        return code or None  # `${TEST_CODE:-}` is how people write "only where it is set"


class Identity(Section):
    """How a browser is known: Meta's `_fbi` client-IP cookie, and the gateway's own `_fbp` and `_fbc`.

    `fbi_cookie` believes the former, `set_cookies` sets the latter. `remember` is how long what a browser has told
    about its user enriches its later hits; None: not at all. With `by_external_id` it does so on other browsers too,
    for whoever makes such an id up. `store` is where that is kept.
    """

    fbi_cookie: bool = True
    set_cookies: bool = True
    remember: Duration | None = None
    by_external_id: bool = False
    store: Memory = Field(default=DEFAULT_MEMORY, validate_default=True)


class Geo(Section):
    """Where the visitor is, in ISO 3166 codes, as data elements that the front in front of us fills.

    `country` is DE, `region` is CA of US.
    """

    country: Element | None = None
    region: Element | None = None


class Enrich(Section):
    """How long a twin waits.

    `wait` is for a source that does not answer, `verify_wait` for an order that must be there but is not yet.
    """

    wait: Duration = 30.0
    verify_wait: Duration = 300.0


class Delivery(Section):
    """Who delivers what waits: with `senders` the gateway itself; without, `pixeltwin worker` elsewhere.

    `lease` is for how long events are a sender's alone, from 20 s to 10 min: of one that died in a shared outbox they
    are another's after that time.
    """

    senders: bool = True
    lease: Duration = LEASE_SECONDS

    @field_validator("lease")
    @classmethod
    def _outlasts_posts(cls, lease: float) -> float:
        if not SHORTEST_LEASE <= lease <= LONGEST_LEASE:
            raise wrong("write 20s to 10m: it has to outlast a post, and nobody else sends its events meanwhile")
        return lease


class Admin(Section):
    """The admin server; it has no login yet, so only this machine may reach it.

    `listen` is its host and port. Who shows the `token` may put and forget customers, and deal with letters.
    """

    listen: ListenText = Listen("127.0.0.1", 8090)
    token: Token | None = None

    @field_validator("listen")
    @classmethod
    def _only_loopback(cls, listen: Listen) -> Listen:
        if not listen.is_loopback:
            raise wrong("write a loopback address such as 127.0.0.1:8090: there is no login yet")
        return listen


class Config(Section):
    """A config file that can be used. Made by `load_config` or `from_text`.

    `version` is that of the format. `pixels` are those whose hits get twins. `elements` are values that a hit carries,
    by names of your own. `consent` has policies, of which the first that applies decides. `sources` know your
    customers. `rules` change or drop events, one after the other. `outbox` is where twins wait, `delivery` says who
    delivers them. Without `admin`, written `null`, there is no admin server.
    """

    version: Literal[1] = 1
    server: Server = Server()
    meta: Meta = Meta()
    pixels: Annotated[tuple[Pixel, ...], AfterValidator(not_empty)]
    identity: Identity = Identity()
    elements: Mapping[Name, Element] = {}
    geo: Geo = Geo()
    consent: Mapping[Name, ConsentPolicy] = {}
    privacy: Privacy = Privacy()
    sources: Mapping[Name, Source] = {}
    enrich: Enrich = Enrich()
    rules: tuple[Rule, ...] = ()
    outbox: Outbox = Field(default=DEFAULT_OUTBOX, validate_default=True)
    delivery: Delivery = Delivery()
    admin: Admin | None = Admin()

    _base: Path = PrivateAttr(default_factory=Path)
    _digest: str = PrivateAttr(default="")
    _text: str = PrivateAttr(default="")
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
    def text(self) -> str:
        """The text it was read from, as others may read it who have the same environment."""
        return self._text

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What can be used but is dangerous, in the order of the file."""
        return self._warnings

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that are answered, `public_hosts` or else the pixels'; empty: every host is."""
        return frozenset(self.server.public_hosts or (host for pixel in self.pixels for host in pixel.hosts))
