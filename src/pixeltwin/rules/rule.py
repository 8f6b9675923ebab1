"""A rule: where it holds (`match`, cheap, and `when`, an expression) and what it does (`then`).

Most rules are decided when a hit arrives. One that asks about the customer (`profile`) can only be decided when the
twin is sealed; it runs after all others then, and cannot decide about the browser's copy any more.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import Field, model_validator

from pixeltwin.capi.event import HASHED, HASHED_PARTS
from pixeltwin.expressions import AT_SEALING, PROFILE, Expression, Path, expression_type, nothing
from pixeltwin.rules.action import Action
from pixeltwin.rules.matcher import Match, match_type
from pixeltwin.rules.sections import Section
from pixeltwin.rules.values import VARIABLES, Value
from pixeltwin.units import wrong

if TYPE_CHECKING:
    MatchSettings = Match
else:
    MatchSettings = match_type()

EVERYWHERE: Final = MatchSettings()


class Rule(Section):
    """One rule. Its `name` stands in logs, metrics and explanations.

    `match` and `when`, an expression in CEL, have to hold for what is said under `then` to be done.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    match: MatchSettings = EVERYWHERE
    when: Annotated[Expression, *expression_type(VARIABLES, condition=True)] | None = None
    then: Action

    @model_validator(mode="after")
    def _can_be_decided(self) -> Self:
        if not self.is_late:
            return self
        if early := self.then.early:
            remedy = "a rule that asks for `profile` can drop the twin or set its fields, nothing else: it is late"
            raise wrong(remedy, at=("then", early))
        if gone := sorted(self.variables - AT_SEALING):
            at = ("when",) if self.when and gone[0] in self.when.variables else ("then",)
            remedy = f"`{gone[0]}` is gone when `profile` is known; read it into a data element and ask for el.…"
            raise wrong(remedy, at=at)
        for name in (*HASHED, *HASHED_PARTS):
            if getattr(self.then.user_data, name, None):
                remedy = "set hashed customer information in a rule that does not ask for `profile`, or in the source"
                raise wrong(remedy, at=("then", "user_data", name))
        return self

    @cached_property
    def is_late(self) -> bool:
        """Whether it can only be decided when the twin is sealed."""
        return PROFILE in self.variables

    @cached_property
    def variables(self) -> frozenset[str]:
        """The variables that its expressions ask for."""
        return frozenset(name for name, *_ in self.paths)

    @cached_property
    def paths(self) -> frozenset[Path]:
        """What of them its expressions ask for."""
        return frozenset().union(*(asked.paths for asked in self._asking()))

    @cached_property
    def elements(self) -> frozenset[str]:
        """The data elements that it asks for, but those that its `match` compares."""
        return frozenset().union(*(asked.elements for asked in self._asking()))

    @cached_property
    def facts(self) -> frozenset[str]:
        """What it asks of the customer's profile."""
        return frozenset().union(*(asked.facts for asked in self._asking()))

    @property
    def contradiction(self) -> str:
        """Why no hit can be what it asks for; empty where one can."""
        negated = getattr(self.match, "not", None)
        if negated and negated.want.covers(self.match):
            return "its `not` excludes all that it matches"
        if self.when and not self.when.variables and not self.when.holds(nothing()):
            return "its `when` is false for every hit"
        return ""

    def _asking(self) -> Iterator[Value | Expression]:
        yield from self.then.values()
        if self.when:
            yield self.when
        if self.then.test_event and self.then.test_event.when:
            yield self.then.test_event.when
