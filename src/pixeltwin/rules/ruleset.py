"""All the rules of a config, and what they make of one event.

In order: the first drop wins, what rules set accumulates, later rules see what earlier ones have set. A rule whose
expression fails does not hold, and is named.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

from pixeltwin.expressions import FaultError, Path, by_name
from pixeltwin.mapping.json_body import HashValues
from pixeltwin.rules.action import Leg, apply
from pixeltwin.rules.fields import text
from pixeltwin.rules.moment import Arrival, Moment
from pixeltwin.rules.rule import Rule

SAMPLES: Final = 1 << 32


@dataclass  # frozen by its types alone, like a hit
class Target:
    """A pixel that gets a twin. `credential` names the rule whose token it is sent with; empty: the pixel's own."""

    pixel: Final[str]
    credential: Final[str]


@dataclass
class Ruled:
    """What the rules have decided besides what they set on the event.

    `names` are the rules that held, `late` those that may hold once the customer is known, `unmet` those whose `when`
    alone did not hold. `because` is the rule for whose sake there is no twin. `origins` says which rule set a field.
    `faults` are rules, or fields of theirs (`rule: field`), that gave nothing that can be used.
    """

    names: list[str]
    late: list[str]
    unmet: list[str]
    drop: Leg | None
    sampled_out: bool
    because: str
    renamed: str
    targets: list[Target]
    test_event_code: str
    origins: dict[str, str]
    faults: list[str]

    @classmethod
    def nothing(cls) -> "Ruled":
        """No rule has been asked yet."""
        return cls([], [], [], None, False, "", "", [], "", {}, [])


@dataclass(frozen=True)
class RuleSet:
    """The rules in their order."""

    rules: tuple[Rule, ...] = ()

    @cached_property
    def _matching(self) -> tuple[tuple[Callable[[Arrival], bool], Rule], ...]:
        """What tells whether a rule's `match` holds, and the rule: looking that up takes as long as many an answer."""
        return tuple([(rule.match.holds, rule) for rule in self.rules])

    @cached_property
    def late(self) -> Mapping[str, Rule]:
        return {rule.name: rule for rule in self.rules if rule.is_late}

    @cached_property
    def paths(self) -> frozenset[Path]:
        """What expressions ask for when a hit arrives."""
        return frozenset().union(*(rule.paths for rule in self.rules if not rule.is_late))

    @cached_property
    def late_paths(self) -> Mapping[str, Collection[Path]]:
        """What expressions ask for when a twin is sealed, by variable."""
        return by_name(frozenset().union(*(rule.paths for rule in self.late.values())))

    @cached_property
    def elements(self) -> frozenset[str]:
        """The data elements that are asked for when a hit arrives."""
        return frozenset().union(*(rule.elements for rule in self.rules if not rule.is_late))

    @cached_property
    def late_elements(self) -> frozenset[str]:
        """The data elements that are asked for when a twin is sealed."""
        return frozenset().union(*(rule.elements for rule in self.late.values()))

    def decide(self, moment: Arrival, hash_values: HashValues, now: float) -> Ruled:
        """Run the rules on a hit that arrives; its event is set on the way.

        They go on after a hit is sampled out: what they say of the browser's copy is for all hits alike.
        """
        ruled = Ruled.nothing()
        for matches, rule in self._matching:
            if not matches(moment):
                continue
            if rule.is_late:
                ruled.late.append(rule.name)
            elif _holds(rule, moment, ruled):
                _do(rule, moment, ruled, hash_values, now)
            if ruled.drop:
                break
        return ruled

    def decide_late(self, names: Iterable[str], moment: Moment, hash_values: HashValues, now: float) -> Ruled:
        """Run the late rules of these names on a twin that is sealed, as far as the config still has them."""
        ruled = Ruled.nothing()
        for rule in (self.late[name] for name in names if name in self.late):
            if _holds(rule, moment, ruled):
                _do(rule, moment, ruled, hash_values, now)
            if ruled.drop:
                break
        return ruled


def _holds(rule: Rule, moment: Moment, ruled: Ruled) -> bool:
    if rule.when is None:
        return True
    try:
        if rule.when.holds(moment.scope):
            return True
    except FaultError:
        ruled.faults.append(rule.name)
    ruled.unmet.append(rule.name)
    return False


def _do(rule: Rule, moment: Moment, ruled: Ruled, hash_values: HashValues, now: float) -> None:
    then = rule.then
    ruled.names.append(rule.name)
    if then.drop:
        ruled.drop, ruled.because = then.drop, rule.name
        return
    if then.sample is not None and not _is_in_sample(moment.event["event_id"], then.sample):
        ruled.sampled_out, ruled.because = True, ruled.because or rule.name
    if then.rename:
        ruled.renamed, ruled.origins["event_name"] = then.rename, rule.name
        moment.set({"event_name": then.rename})
    if then.pixels or then.pixel:
        ruled.targets += _targets(rule, moment, ruled)
    applied = apply(then, moment, hash_values, now)
    for name in applied.fields:
        ruled.origins[name] = rule.name
    ruled.faults += [f"{rule.name}: {name}" for name in applied.faults]
    if test := then.test_event:
        ruled.test_event_code = _guarded(rule, ruled, partial(test.code_for, moment, now)) or ruled.test_event_code


def _targets(rule: Rule, moment: Moment, ruled: Ruled) -> Iterator[Target]:
    for value in rule.then.pixels:
        if pixel := text(_guarded(rule, ruled, partial(value.read, moment))):
            yield Target(pixel, "")
    if (other := rule.then.pixel) and (pixel := text(_guarded(rule, ruled, partial(other.id.read, moment)))):
        yield Target(pixel, rule.name if other.access_token else "")


def _guarded[T](rule: Rule, ruled: Ruled, read: Callable[[], T]) -> T | None:
    try:
        return read()
    except FaultError:
        ruled.faults.append(rule.name)
        return None


def _is_in_sample(event_id: str, share: float) -> bool:
    """Decided by the event's id, so that a retransmission is decided alike."""
    digest = hashlib.blake2b(event_id.encode("utf-8", "replace"), digest_size=4).digest()
    return int.from_bytes(digest) < share * SAMPLES


def never_holding(rules: Sequence[Rule]) -> Iterator[tuple[int, str]]:
    """Rules that hold for no hit, as far as can be told without one: their positions, and why."""
    dropping: list[Rule] = []  # as long as no rule behind them sets what others look at
    for index, rule in enumerate(rules):
        earlier = next((it for it in dropping if it.match.covers(rule.match)), None)
        if why := rule.contradiction or (f"{earlier.name!r} drops its events first" if earlier else ""):
            yield index, why
        elif rule.then.drop and not rule.when:
            dropping.append(rule)
        elif rule.then.changes_what_matches:
            dropping.clear()
