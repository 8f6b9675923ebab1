"""A lease's look-ups, as a plan: which source is asked for which keys, and which answer is whose.

    sealed sessions ─ open ─► their sources ─ the customers' ids ─► all other sources

Each source is asked once for all drafts of a lease; where nobody has a session the first round asks nobody.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from pixeltwin.enrich.source import Profile, Scalar
from pixeltwin.mapping.elements.session import Settings as Session
from pixeltwin.mapping.elements.session import is_sealed

type Keys = Mapping[str, set[str]]  # what is to be asked for, by source
type Found = Mapping[str, Mapping[str, Profile] | None]  # what each source answered; None: it did not
type Profiles = Mapping[str, Mapping[str, Profile | None]]  # by source and a draft's key; None: nobody answered


class LookUps:
    """`asked` are the sources and keys of the drafts, `sessions` the config's elements that may have sealed some."""

    def __init__(self, asked: Iterable[tuple[str, str]], sessions: Sequence[Session]) -> None:
        self._asked = _by_source(asked)
        self._sources = {session.source for session in sessions}
        sealed = {key for keys in self._asked.values() for key in keys if is_sealed(key)}
        self._opened = {key: opened for key in sealed if (opened := open_session(key, sessions))}
        self._is_plain = not (self._sources or sealed)  # most configs know no sessions, and pay nothing for them

    @property
    def unopened(self) -> Mapping[str, int]:
        """By source how many customers nobody can tell: their sessions were sealed with a key that is gone."""
        counts = {source: sum(map(self._is_unopened, keys)) for source, keys in self._asked.items()}
        return {source: count for source, count in counts.items() if count}

    def of_sessions(self) -> Keys:
        """The first round: whose sessions are these?"""
        return _by_source((session.source, sid) for session, sid in self._opened.values())

    def of_customers(self, sessions: Found) -> Keys:
        """The second: who are these customers? Sources of sessions have had their turn."""
        if self._is_plain:
            return self._asked
        others = (source for source in self._asked if source not in self._sources)
        names = {source: {self._name(source, key, sessions) for key in self._asked[source]} for source in others}
        return {source: known for source, these in names.items() if (known := {name for name in these if name})}

    async def answered(self, ask: Callable[[Keys], Awaitable[Found]]) -> Profiles:
        """What both rounds find: sessions are asked for first, then all others at once."""
        sessions = await ask(self.of_sessions())
        return self.profiles({**sessions, **await ask(self.of_customers(sessions))})

    def profiles(self, found: Found) -> Profiles:
        """What both rounds found."""
        return {source: self._answers(source, keys, found) for source, keys in self._asked.items()}

    def _answers(self, source: str, keys: set[str], found: Found) -> Mapping[str, Profile | None]:
        answer = found.get(source, {})
        if self._is_plain:
            return dict.fromkeys(keys) if answer is None else answer
        answers: dict[str, Profile | None] = {}
        for key in keys:
            name = self._name(source, key, found)
            if self._is_silent(key, found) or (name and answer is None):
                answers[key] = None
            elif name and answer and name in answer:
                answers[key] = answer[name]
        return answers

    def _is_unopened(self, key: str) -> bool:
        return is_sealed(key) and key not in self._opened

    def _is_silent(self, key: str, found: Found) -> bool:
        """Whether nobody said whose session it is."""
        return key in self._opened and found.get(self._opened[key][0].source, {}) is None

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
