"""What only the finished config can show: names that rules, consent and sources use, and what is doubtful there."""

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from pixeltwin.config.asking import asking_fields, wished_elements
from pixeltwin.config.document import Document, Fault, Loc
from pixeltwin.config.meta_checks import doubts_for_meta
from pixeltwin.config.model import Config
from pixeltwin.config.problems import did_you_mean
from pixeltwin.config.session_checks import session_findings
from pixeltwin.consent.places import UNKNOWN
from pixeltwin.consent.verdict import Answer
from pixeltwin.rules.matcher import Match
from pixeltwin.rules.rule import Rule
from pixeltwin.rules.ruleset import never_holding
from pixeltwin.rules.values import Literal
from pixeltwin.units import KEY

type Finding = tuple[Loc, str, str]  # where, what was found, what would work

MONEY: tuple[str, ...] = ("Purchase",)


def check_rules(config: Config, document: Document) -> Iterator[Fault]:
    """Names that nobody has given."""
    names = (_twice(config), _pixels(config), _elements(config), _verifiers(config))
    yield from _faults(document, chain(*names, session_findings(config, _element_names(config))))


def doubts_about_rules(config: Config, document: Document) -> Iterator[Fault]:
    """What works, but hardly as it was meant."""
    hardly = (_verifiers_that_cannot, _unreachable, _unknown_facts, _renamed, doubts_for_meta)
    doubts = (*hardly, _test_codes, _unverified, _by_person)
    yield from _faults(document, chain.from_iterable(doubt(config) for doubt in doubts))


def _faults(document: Document, findings: Iterable[Finding]) -> Iterator[Fault]:
    for loc, found, remedy in findings:
        if loc[-1] == KEY:
            yield Fault(loc[:-1], document.key_spot(loc[:-1]), found, remedy)
        else:
            place = loc if loc in document.values or isinstance(loc[-1], str) else loc[:-1]  # one, written as no list
            yield Fault(place, document.value_spot(place), found, remedy)


def _twice(config: Config) -> Iterator[Finding]:
    seen = {pixel.id: f"pixels[{index}] has it as its id" for index, pixel in enumerate(config.pixels)}
    for index, rule in enumerate(config.rules):
        if taken := seen.get(rule.name):
            yield ("rules", index, "name"), taken, "choose another name"
        seen.setdefault(rule.name, f"rules[{index}] has the same name")


def _pixels(config: Config) -> Iterator[Finding]:
    known = {name for pixel in config.pixels for name in (pixel.id, pixel.name)}
    for index, rule in enumerate(config.rules):
        given = [value.value for value in rule.then.pixels if isinstance(value, Literal)]
        places = (("match", "pixel", _wished(rule.match, "pixel")), ("then", "pixels", map(str, given)))
        for section, option, names in places:
            for name in sorted(set(names) - known):
                remedy = did_you_mean(name, sorted(pixel.name for pixel in config.pixels))
                yield ("rules", index, section, option), f"no pixel is named {name!r}", remedy
        if (other := rule.then.pixel) and not other.access_token and _literal(other.id) not in {None, *known}:
            remedy = "add its access_token, or the pixel under `pixels`"
            yield ("rules", index, "then", "pixel", "id"), f"no pixel is named {_literal(other.id)!r}", remedy


def _literal(value: Any) -> str | None:
    return str(value.value) if isinstance(value, Literal) else None


def _elements(config: Config) -> Iterator[Finding]:
    for loc, names in _element_names(config):
        for name in sorted(names - config.elements.keys()):
            remedy = did_you_mean(name, list(config.elements), "there is no element: add it under `elements`")
            yield loc, f"no element is named {name!r}", remedy


def _element_names(config: Config) -> Iterator[tuple[Loc, frozenset[str]]]:
    """Who asks for which data elements."""
    for index, rule in enumerate(config.rules):
        yield from ((("rules", index, *loc), frozenset({name})) for loc, name in wished_elements(rule.match))
        yield from ((("rules", index, *loc), asking.elements) for loc, asking in asking_fields(rule))
    for name, policy in config.consent.items():
        asked = (getattr(signal, "element", None) for signal in policy.read if signal.kind == "element")
        yield ("consent", name, "read"), frozenset(filter(None, asked))
    for name, source in config.sources.items():
        if source.only_when:
            yield ("sources", name, "only_when"), source.only_when.elements


def _wished(match: Match, option: str) -> frozenset[str]:
    """What it names under that option, in its `not` as well."""
    wished, negated = getattr(match, option, None), getattr(match, "not", None)
    own = frozenset(wished.want) if wished else frozenset()
    return own | _wished(negated.want, option) if negated else own


def _verifiers(config: Config) -> Iterator[Finding]:
    for index, pixel in enumerate(config.pixels):
        for event, source in pixel.verify.items():
            if source not in config.sources:
                remedy = did_you_mean(source, list(config.sources), "there is no source: add it under `sources`")
                yield ("pixels", index, "verify", event), f"no source is named {source!r}", remedy


def _verifiers_that_cannot(config: Config) -> Iterator[Finding]:
    """A verifier that names no amount, or that remembers for too long that an order was not there."""
    for name in sorted({source for pixel in config.pixels for source in pixel.verify.values()}):
        source = config.sources[name]
        if missing := [key for key in ("value", "currency") if key not in source.custom_data]:
            remedy = "write custom_data: { value: <column>, currency: <column> }"
            yield ("sources", name), f"it verifies, but says nothing of {' and '.join(missing)}", remedy
        if source.cache and source.cache.negative_ttl >= config.enrich.verify_wait:
            found = "an order that was not there counts as missing for longer than enrich.verify_wait"
            yield ("sources", name, "cache"), found, "shorten negative_ttl, or write cache: null"


def _unreachable(config: Config) -> Iterator[Finding]:
    ids = {pixel.name: pixel.id for pixel in config.pixels}
    rules = [rule.model_copy(update={"match": _by_id(rule.match, ids)}) for rule in config.rules]
    for index, why in never_holding(rules):
        yield ("rules", index, "name"), f"it can never hold: {why}", "move it up, or remove it"
    for index, rule in enumerate(config.rules):
        answers, places = getattr(rule.match, "consent", None), getattr(rule.match, "country", None)
        if answers and not config.consent and Answer.UNKNOWN not in answers.want:
            found = "it can never hold: nobody is asked for consent"
            yield ("rules", index, "match", "consent"), found, "add a policy under `consent`"
        if places and not config.geo.country and UNKNOWN not in places.want:
            found = "it can never hold: nobody says where visitors are"
            yield ("rules", index, "match", "country"), found, "add `geo: { country: … }`"


def _by_id(match: Match, ids: Mapping[str, str]) -> Match:
    """The same with every pixel by its id, so that two ways to call one are alike."""
    changes: dict[str, Any] = {}
    if pixel := getattr(match, "pixel", None):
        changes["pixel"] = pixel.model_copy(update={"want": frozenset(ids.get(name, name) for name in pixel.want)})
    if negated := getattr(match, "not", None):
        changes["not"] = negated.model_copy(update={"want": _by_id(negated.want, ids)})
    return match.model_copy(update=changes) if changes else match


def _unknown_facts(config: Config) -> Iterator[Finding]:
    known = {name for source in config.sources.values() for name in source.profile}
    for index, rule in enumerate(config.rules):
        for loc, asking in asking_fields(rule):
            for name in sorted(asking.facts - known):
                remedy = did_you_mean(name, sorted(known), "write its column under `profile` of a source")
                yield ("rules", index, *loc), f"no source says profile.{name}", remedy


def _renamed(config: Config) -> Iterator[Finding]:
    """The two copies must bear one name, or Meta counts both (PROTOCOL 1.10)."""
    for index, rule in enumerate(config.rules):
        section = rule.then.server_event
        name = _literal(section.event_name) if section else None
        if section and section.event_name and not _matches_only(rule, name):
            found = "only the twin gets this name, so that Meta counts it beside the browser's copy"
            yield ("rules", index, "then", "server_event", "event_name"), found, "write `rename`, which renames both"
        elif rule.then.rename and (loc := _browser_sends_itself(config)):
            found = f"{loc} has relay: browser, whose copies keep their name: Meta counts both"
            yield ("rules", index, "then", "rename"), found, "use another relay"


def _matches_only(rule: Rule, name: str | None) -> bool:
    wished = getattr(rule.match, "event", None)
    return wished is not None and wished.want == {name}


def _browser_sends_itself(config: Config) -> str | None:
    return next((pixel.name for pixel in config.pixels if pixel.relay == "browser"), None)


def _test_codes(config: Config) -> Iterator[Finding]:
    """A code that is left in production shows every visitor's event under Test Events."""
    remedy = "add `when` for your own browser or `until`, or take it out in production"
    for index, pixel in enumerate(config.pixels):
        if pixel.test_event_code:
            found = "every event is marked as a test event"
            yield ("pixels", index, "test_event_code"), found, "write a rule with test_event and when or until"
    for index, rule in enumerate(config.rules):
        if (test := rule.then.test_event) and test.when is None and test.until is None:
            yield ("rules", index, "then", "test_event"), "a test event code without `when` and `until`", remedy
        elif test and test.is_over(time.time()):
            yield ("rules", index, "then", "test_event", "until"), "its time is over", "remove the section"


def _unverified(config: Config) -> Iterator[Finding]:
    for index, pixel in enumerate(config.pixels):
        takes = [event for event in MONEY if not pixel.events or event in pixel.events]
        for event in takes:
            if event not in pixel.verify:
                found = f"{pixel.name}: anyone can forge a {event}"
                yield ("pixels", index), found, f"verify: {{ {event}: <a source of your orders> }}"


def _by_person(config: Config) -> Iterator[Finding]:
    if config.identity.by_external_id:
        found = "anyone who makes up an external_id gets that person's remembered data sent with their own"
        yield ("identity", "by_external_id"), found, "remove it: browsers are recognised by fbp"
