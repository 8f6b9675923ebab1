"""Where sessions may be used: whose one is, its source says, and that is asked when the hit has been decided about."""

from collections.abc import Iterable, Iterator
from itertools import chain

from pixeltwin.config.document import Loc
from pixeltwin.config.model import Config
from pixeltwin.config.problems import did_you_mean
from pixeltwin.mapping.elements.first_of import Settings as FirstOf
from pixeltwin.mapping.elements.session import Settings as Session
from pixeltwin.mapping.sessions import sessions_within

type Finding = tuple[Loc, str, str]  # where, what was found, what would work

TOO_EARLY = "is a session, and whose it is nobody knows yet"


def session_findings(config: Config, asked: Iterable[tuple[Loc, frozenset[str]]]) -> Iterator[Finding]:
    """What is wrong with sessions; `asked` says who asks for which elements but as the key of a source."""
    for name, place, session in _sessions(config):
        yield from chain(_source(config, ("elements", name, *place), session), _its_own(config, name, session))
    yield from _changed(config)
    yield from _asked_too_early(config, asked)
    yield from _verifiers(config)


def _sessions(config: Config) -> Iterator[tuple[str, Loc, Session]]:
    for name, element in config.elements.items():
        yield from ((name, place, session) for place, session in sessions_within(element))


def _source(config: Config, loc: Loc, session: Session) -> Iterator[Finding]:
    """The source that is to know the session, and its fact."""
    source = config.sources.get(session.source)
    if source is None:
        remedy = did_you_mean(session.source, list(config.sources), "there is no source: add it under `sources`")
        yield (*loc, "source"), f"no source is named {session.source!r}", remedy
    elif session.fact not in source.profile:
        remedy = did_you_mean(session.fact, list(source.profile), f"add it there: profile: {{ {session.fact}: … }}")
        yield (*loc, "fact"), f"source {session.source!r} has no fact {session.fact!r} under `profile`", remedy


def _its_own(config: Config, name: str, session: Session) -> Iterator[Finding]:
    """What a source of sessions is asked for: sessions of its own, whenever a customer of theirs is looked up."""
    source = config.sources.get(session.source)
    if source is None:
        return
    key = config.elements.get(source.key)
    if key and {its.source for _, its in sessions_within(key)} != {session.source}:
        found = f"{name!r} looks sessions up in it, so that it can be asked for nothing else"
        yield ("sources", session.source, "key"), found, f"write key: {name}"
    if source.only_when is not None:
        found = f"{name!r} looks sessions up in it, whenever a customer of theirs is looked up"
        yield ("sources", session.source, "only_when"), found, "write only_when at the sources of these customers"


def _changed(config: Config) -> Iterator[Finding]:
    """What `first_of` does to its value would be done to a sealed session."""
    for name, element in config.elements.items():
        yield from _changed_within(element, ("elements", name))


def _changed_within(element: object, loc: Loc) -> Iterator[Finding]:
    if not isinstance(element, FirstOf) or not any(sessions_within(element)):
        return
    for option in ("pattern", "transforms"):
        if getattr(element, option):
            yield (*loc, option), "one of its elements is a session, which is sealed by now", "write it at the elements"
    for index, member in enumerate(element.first_of):
        yield from _changed_within(member, (*loc, "first_of", index))


def _asked_too_early(config: Config, asked: Iterable[tuple[Loc, frozenset[str]]]) -> Iterator[Finding]:
    sessions = {name for name, _, _ in _sessions(config)}
    remedy = "it can be the key of a source, whose facts rules may ask about: profile.…"
    for loc, names in asked:
        yield from ((loc, f"{name!r} {TOO_EARLY}", remedy) for name in sorted(names & sessions))
    for option in ("country", "region"):
        if any(sessions_within(element) if (element := getattr(config.geo, option)) else ()):
            yield ("geo", option), f"it {TOO_EARLY}", "take an element that the front in front of us fills"


def _verifiers(config: Config) -> Iterator[Finding]:
    """An order is verified even of whoever refused to be looked up, so that nobody may be looked up for it."""
    sessions = {name for name, _, _ in _sessions(config)}
    for index, pixel in enumerate(config.pixels):
        for event, name in pixel.verify.items():
            if name in config.sources and config.sources[name].key in sessions:
                found = f"{name!r} finds its orders by the visitor's session"
                yield ("pixels", index, "verify", event), found, "verify by what the event says, such as its order_id"
