"""A lease's look-ups, as a plan: which source is asked for which keys, and which answer is whose.

    sealed sessions ─ open ─► their sources ─ the customers' ids ─► all other sources

Each source is asked once for all drafts of a lease; where nobody has a session the first round asks nobody.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pixeltwin.enrich.source import Profile, Scalar
from pixeltwin.mapping.elements.session import Settings as Session
from pixeltwin.mapping.elements.session import is_sealed

type Keys = Mapping[str, set[str]]  # what is to be asked for, by source
type Found = Mapping[str, Mapping[str, Profile] | None]  # what each source answered; None: it did not
type Profiles = Mapping[str, Mapping[str, Profile | None]]  # by source and a draft's key; None: nobody answered


class LookUps:
    """`asked` are the sources and keys of the drafts, `sessions` the config's elements that may have sealed some."""

    def __init__(self, asked: Iterable[tuple[str, str]], sessions: Sequence[Session]) -> None:
        self._asked = frozenset(asked)
        self._sources = {session.source for session in sessions}
        self._opened = {key: opened for _, key in self._asked if (opened := open_session(key, sessions))}

    @property
    def unopened(self) -> Mapping[str, int]:
        """By source how many customers nobody can tell: their sessions were sealed with a key that is gone."""
        return Counter(source for source, key in self._asked if is_sealed(key) and key not in self._opened)

    def of_sessions(self) -> Keys:
        """The first round: whose sessions are these?"""
        return _by_source((session.source, sid) for session, sid in self._opened.values())

    def of_customers(self, sessions: Found) -> Keys:
        """The second: who are these customers? Sources of sessions have had their turn."""
        names = ((source, self._name(source, key, sessions)) for source, key in self._asked)
        return _by_source((source, name) for source, name in names if name and source not in self._sources)

    def profiles(self, found: Found) -> Profiles:
        """What both rounds found."""
        silent = {source for source, answer in found.items() if answer is None}
        profiles: dict[str, dict[str, Profile | None]] = {source: {} for source, _ in self._asked}
        for source, key in self._asked:
            name = self._name(source, key, found)
            if self._session_source(key) in silent or (name and source in silent):
                profiles[source][key] = None
            elif name and (profile := (found.get(source) or {}).get(name)):
                profiles[source][key] = profile
        return profiles

    def _name(self, source: str, key: str, sessions: Found) -> str | None:
        """What the source is asked for in place of a draft's key; None: there is nobody to ask for.

        A source of sessions is asked for sessions alone, whatever else its element may be.
        """
        if not is_sealed(key):
            return None if source in self._sources else key
        if key not in self._opened:
            return None
        session, sid = self._opened[key]
        if source == session.source:
            return sid
        profile = (sessions.get(session.source) or {}).get(sid)
        return _text(profile.facts.get(session.fact)) if profile else None

    def _session_source(self, key: str) -> str | None:
        return self._opened[key][0].source if key in self._opened else None


def open_session(key: str, sessions: Iterable[Session]) -> tuple[Session, str] | None:
    """The element that sealed the key, and the session's id."""
    return next(((session, sid) for session in sessions if (sid := session.opened(key)) is not None), None)


def _by_source(wanted: Iterable[tuple[str, str]]) -> Keys:
    keys: dict[str, set[str]] = {}
    for source, key in wanted:
        keys.setdefault(source, set()).add(key)
    return keys


def _text(fact: Scalar | None) -> str | None:
    """A customer's id as text. Databases keep some in columns of decimals, which come as 42.0."""
    if isinstance(fact, bool) or fact is None:
        return None
    return str(int(fact)) if isinstance(fact, float) and fact.is_integer() else str(fact)
