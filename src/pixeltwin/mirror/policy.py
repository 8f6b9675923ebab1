"""Everything that decides about a hit, as the pure code takes it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from pixeltwin.capi.normalize import hashes
from pixeltwin.consent.policy import ConsentPolicy
from pixeltwin.expressions import Expression, Path, by_name
from pixeltwin.mapping.element import Element
from pixeltwin.mapping.json_body import HashValues
from pixeltwin.mirror.limits import sets_nothing_personal
from pixeltwin.pixel.hit import Limits
from pixeltwin.pixel.networks import Networks
from pixeltwin.privacy.settings import Privacy
from pixeltwin.rules.ruleset import RuleSet
from pixeltwin.rules.values import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelPolicy:
    """What is to be done with one pixel's hits.

    No `hosts`: any. No `events`: every event's name; automatic events only where `automatic_events` says so. `enrich`
    names the sources that add what is known of the customer, `verify` the source in which an event of that name must be
    found. `ingest_keys` are those of its servers.
    """

    name: str = ""
    hosts: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()
    automatic_events: bool = False
    default_country: str | None = None
    enrich: tuple[str, ...] = ()
    verify: Mapping[str, str] = field(default_factory=dict)
    ingest_keys: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePolicy:
    """The data element whose value names a customer in a source, and when it may be asked at all."""

    key: str
    only_when: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that decides about a hit. `config` names the config file that says so.

    `admits_origin` is asked, where it is there, whether pages of an origin may send hits, `is_one_too_many` about each
    hit's pixel and its visitor's public address.

    What follows from all that: `reach` has the pixels that a hit of each pixel may be sent to, itself and those of
    rules; `paths` and `asked_elements` are what expressions ask for when a hit arrives, those of the rules and of the
    sources, by variable; of `clean_rules` it is known beforehand that they set nothing personal.
    """

    pixels: Mapping[str, PixelPolicy]
    limits: Limits = field(default_factory=Limits)
    ingest_limits: Limits = field(default_factory=lambda: Limits(body=4 << 20))
    trusted_proxies: Networks = field(default_factory=Networks)
    fbi_cookie: bool = True
    set_cookies: bool = True
    admits_origin: Callable[[str], bool] | None = None
    is_one_too_many: Callable[[str, str | None], bool] | None = None
    elements: Mapping[str, Element] = field(default_factory=dict)
    country: Element | None = None
    region: Element | None = None
    sources: Mapping[str, SourcePolicy] = field(default_factory=dict)
    consent: Mapping[str, ConsentPolicy] = field(default_factory=dict)
    privacy: Privacy = field(default_factory=Privacy)
    rules: RuleSet = field(default_factory=RuleSet)
    config: str = ""
    reach: Mapping[str, frozenset[str]] = field(init=False)
    paths: Mapping[str, Collection[Path]] = field(init=False)
    asked_elements: frozenset[str] = field(init=False)
    clean_rules: frozenset[str] = field(init=False)
    _ids: Mapping[str, str] = field(init=False)
    _hash_values: Mapping[str, HashValues] = field(init=False)

    def __post_init__(self) -> None:
        """Work out now what every hit asks for: Python reads a slot quickly, and a cached property slowly."""
        for name, made in DERIVED.items():
            object.__setattr__(self, name, made(self))

    def hash_values(self, pixel_id: str) -> HashValues:
        """How customer data in plain text becomes hashes; phone numbers need the pixel's country."""
        return self._hash_values.get(pixel_id, hashes)

    def pixel_id(self, pixel: str) -> str | None:
        """The id of a pixel that is called by its name or id; None for one that is not configured."""
        return pixel if pixel in self.pixels else self._ids.get(pixel)


def _ids(policy: Policy) -> Mapping[str, str]:
    return {pixel.name: pixel_id for pixel_id, pixel in policy.pixels.items()}


def _hash_values(policy: Policy) -> Mapping[str, HashValues]:
    return {name: partial(hashes, default_country=pixel.default_country) for name, pixel in policy.pixels.items()}


def _reach(policy: Policy) -> Mapping[str, frozenset[str]]:
    elsewhere = _elsewhere(policy)
    return {pixel_id: elsewhere | {pixel_id} for pixel_id in policy.pixels}


def _elsewhere(policy: Policy) -> frozenset[str]:
    """The pixels that rules may send a hit of any other pixel to."""
    named = [value for rule in policy.rules.rules for value in rule.then.destinations]
    if not all(isinstance(value, Literal) for value in named):
        return frozenset(policy.pixels)  # a data element may name any of them
    texts = (str(value.value) for value in named if isinstance(value, Literal))
    return frozenset(policy.pixel_id(text) or text for text in texts)


def _paths(policy: Policy) -> Mapping[str, Collection[Path]]:
    asked = (source.only_when.paths for source in policy.sources.values() if source.only_when)
    return by_name(policy.rules.paths.union(*asked))


def _asked_elements(policy: Policy) -> frozenset[str]:
    asked = (source.only_when.elements for source in policy.sources.values() if source.only_when)
    return policy.rules.elements.union(*asked)


def _clean_rules(policy: Policy) -> frozenset[str]:
    return frozenset(rule.name for rule in policy.rules.rules if sets_nothing_personal(rule.then, policy.privacy))


DERIVED: Final[Mapping[str, Callable[[Policy], Any]]] = {  # in this order
    "_ids": _ids,
    "_hash_values": _hash_values,
    "reach": _reach,
    "paths": _paths,
    "asked_elements": _asked_elements,
    "clean_rules": _clean_rules,
}
