"""One case of a config: a hit in, a twin or a skip reason out (`pixeltwin test`)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, BeforeValidator, Field

from pixeltwin.cli.hit_lines import parameters, read_lines
from pixeltwin.config import Config, Pixel
from pixeltwin.config.problems import did_you_mean
from pixeltwin.consent.verdict import Answer
from pixeltwin.enrich.profiles import profile_of
from pixeltwin.enrich.source import Profile
from pixeltwin.gateway.dry_run import DryRun, decide, dry_run, look_ups_of
from pixeltwin.gateway.look_ups import Found, Keys, Profiles
from pixeltwin.kinds import FROZEN
from pixeltwin.mirror import Policy
from pixeltwin.pixel.request import HitRequest
from pixeltwin.units import wrong

NOW: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a case is decided alike on every day
PAGE: Final = "https://www.shop.example/"
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
VERSION: Final = "2.9.414"  # of the pixel's script


def _parameters_or(other: type, remedy: str) -> Any:
    """A check before pydantic's own, which complains once for each thing that it could have been."""

    def check(written: Any) -> Any:
        if not isinstance(written, Mapping | other):
            raise wrong(remedy)
        return written

    return BeforeValidator(check)


Parameters = Mapping[str, Any]
Hit = Annotated[str | Parameters, _parameters_or(str, "write a line of a hits file, or the hit's parameters")]
Copy = Annotated[bool | Parameters, _parameters_or(bool, "write true, false, or parameters of that copy")]


class Around(BaseModel):
    """What is around the hit: its request, where the visitor is, what he said, what sources know of him.

    `now` is when it arrives, in unix seconds or ISO 8601.
    """

    model_config = FROZEN

    host: str = ""
    ip: str = "203.0.113.9"
    headers: Mapping[str, str] = {}
    cookies: Mapping[str, str] = {}
    geo: Mapping[Literal["country", "region"], str] = {}
    consent: Answer | None = None
    elements: Mapping[str, str] = {}
    sources: Mapping[str, Mapping[str, Any]] = {}
    now: datetime = NOW

    @property
    def received_at(self) -> float:
        return (self.now if self.now.tzinfo else self.now.replace(tzinfo=UTC)).timestamp()


class Expected(BaseModel):
    """What has to come out; whatever is not named may be as it likes, and null has to be absent."""

    model_config = FROZEN

    twin: Mapping[str, Any] | None = None
    twins: Mapping[str, Mapping[str, Any] | None] = {}
    skip: str | None = None
    relay: Copy = True
    rules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    held: bool = False
    test_event_code: str | None = None


class Case(BaseModel):
    """`hit` is a line of a hits file, or the hit's parameters; `pixel` is the pixel that it is for, else the first."""

    model_config = FROZEN

    name: str
    pixel: str | None = None
    hit: Hit
    around: Around = Field(default=Around(), alias="with")
    expect: Expected


def run_case(case: Case, config: Config, policy: Policy) -> DryRun:
    """What the config makes of the case's hit. Raises ValueError for a case that cannot be."""
    if remedy := next(_misnamed(case, config), None):
        raise ValueError(remedy)
    request, told = request_of(case, config), _told(policy, case.around)
    return dry_run(request, told, _profiles(case.around, config, request, told))


def request_of(case: Case, config: Config) -> HitRequest:
    """The request that brings the hit."""
    around, pixel = case.around, _pixel(case, config)
    text = case.hit if isinstance(case.hit, str) else f"GET {PAGE}tr/?{_query(case.hit, pixel.id, around)}"
    request = next(read_lines([text], around.received_at), None)
    if request is None:
        raise ValueError("the hit is blank; write a line of a hits file, or the hit's parameters")
    cookies = "; ".join(f"{name}={value}" for name, value in around.cookies.items())
    own = {"user-agent": BROWSER, **({"cookie": cookies} if cookies else {})}
    given = {name.lower(): value for name, value in around.headers.items()}
    host = around.host or next(iter((*pixel.hosts, *sorted(config.hosts))), "")
    return replace(request, host=host, peer=around.ip, headers={**own, **request.headers, **given})


def _misnamed(case: Case, config: Config) -> Iterator[str]:
    """What the case speaks of and the config has not: it would pass or fail for a reason that nobody sees."""
    pixels = [name for pixel in config.pixels for name in dict.fromkeys((pixel.name, pixel.id))]
    around = case.around
    for what, named, known in (
        ("pixel", [case.pixel] if case.pixel else [], pixels),
        ("source", around.sources, list(config.sources)),
        ("element", around.elements, list(config.elements)),
    ):
        for name in set(named) - set(known):
            yield f"the config has no {what} {name!r}; {did_you_mean(name, known, 'add it there')}"
    for name in around.geo:
        if getattr(config.geo, name) is None:
            yield f"the config does not know a visitor's {name}; add `geo: {{ {name}: … }}` there"
    if around.consent and not config.consent:
        yield "the config asks nobody for consent; add a policy under `consent` there"


def _pixel(case: Case, config: Config) -> Pixel:
    return next((it for it in config.pixels if case.pixel in (it.name, it.id)), config.pixels[0])


def _query(hit: Mapping[str, Any], pixel_id: str, around: Around) -> str:
    """The hit's query; what every hit has need not be written."""
    moment = f"{around.received_at * 1000:.0f}"
    standard = {"id": pixel_id, "ev": "PageView", "dl": PAGE, "ts": moment, "it": moment, "v": VERSION}
    return urlencode(standard | dict(parameters(hit)))


@dataclass(frozen=True, slots=True)
class Said:
    """A data element, or a consent signal, that answers as the case says."""

    value: Any
    kind: str = "case"
    trusted: bool = True

    def read(self, *visit: Any) -> Any:
        return self.value


def _told(policy: Policy, around: Around) -> Policy:
    """The policy with what the case says in place of what a request would."""
    changes: dict[str, Any] = {"elements": {**policy.elements, **{n: Said(v) for n, v in around.elements.items()}}}
    changes |= {name: Said(code) for name, code in around.geo.items()}
    if around.consent is not None:
        said = (Said(around.consent),)
        changes["consent"] = {n: it.model_copy(update={"read": said}) for n, it in policy.consent.items()}
    return replace(policy, **changes)


def _profiles(around: Around, config: Config, request: HitRequest, policy: Policy) -> Profiles:
    """The rows of the case as sources give them, under the keys that the hit is looked up by."""

    def ask(wanted: Keys) -> Found:
        said = {name: around.sources[name] for name in wanted if name in around.sources}
        return {name: dict.fromkeys(wanted[name], _profile(row, config, name)) for name, row in said.items()}

    look_ups = look_ups_of(decide(request, policy), policy)
    sessions = ask(look_ups.of_sessions())
    return look_ups.profiles({**sessions, **ask(look_ups.of_customers(sessions))})


def _profile(row: Mapping[str, Any], config: Config, source: str) -> Profile:
    settings = config.sources[source]
    return profile_of(row, settings.columns, settings.default_country)
