"""The four sections of a rule's action: server event parameters, customer information, custom data, test event.

Each section says what it would set (`changes`), as Meta takes it; `action.py` sets it. What a hit gives that cannot be
used is left alone and named as a fault.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, get_args

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from pixeltwin.capi.event import HASHED, HASHED_PARTS, ActionSource, MessagingChannel, UserData
from pixeltwin.capi.validate import LIMITED, MAX_AGE, MAX_AGE_IN_STORE
from pixeltwin.consent.limited_data_use import country_code, state_code, together
from pixeltwin.expressions import Expression, FaultError, expression_type
from pixeltwin.kinds import FROZEN
from pixeltwin.mapping.custom_data import MAX_DEPTH, is_shallow
from pixeltwin.mapping.json_body import BLANK, HashValues, custom_data
from pixeltwin.mapping.limited_data_use import limited_data_use
from pixeltwin.rules.fields import (
    ORIGINAL_EVENT,
    PLAIN_USER_DATA,
    REMEDIES,
    SEGMENTS,
    SERVER_EVENT,
    Reader,
    text,
)
from pixeltwin.rules.moment import Moment
from pixeltwin.rules.rows import RowError, from_rows
from pixeltwin.rules.values import VARIABLES, Literal, ScalarValue, SeveralValues, Tree, Value, one_of, tree
from pixeltwin.units import wrong

TOGETHER: Final = frozenset({"partner_name", "partner_id"})  # Adobe's extension: one needs the other


@dataclass(slots=True)
class Changes:
    """What a section would set, and which of its fields gave nothing that can be used."""

    found: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def read(self, name: str, value: Value, moment: Moment, reader: Reader) -> None:
        """Read a field. One without a value is left alone without a word: an optional element is no fault."""
        try:
            given = value.read(moment)
        except FaultError:
            self.faults.append(name)
            return
        self.take(name, given, reader)

    def take(self, name: str, given: Any, reader: Reader) -> None:
        """The same for what the field's value is known to be."""
        if given in BLANK:
            return
        if (made := reader(given)) is None:
            self.faults.append(name)
        else:
            self.found[name] = made

    def refuse(self, name: str) -> None:
        """Leave a field alone after all."""
        del self.found[name]
        self.faults.append(name)


class Section(BaseModel):
    """A part of an action."""

    model_config = ConfigDict(**FROZEN, hide_input_in_errors=True)

    def values(self) -> Iterator[Value]:
        """Everything in it that is read from an event."""
        for _, given in self:
            yield from _values(given)


def _values(given: Any) -> Iterator[Value]:
    if isinstance(given, Section):
        yield from given.values()
    elif isinstance(given, tuple):
        for item in given:
            yield from _values(item)
    elif hasattr(given, "read") and hasattr(given, "paths"):
        yield given


def _check_literals(section: BaseModel, readers: Mapping[str, Reader]) -> None:
    for name, reader in readers.items():
        given = getattr(section, name)
        if isinstance(given, Literal) and reader(given.value) is None:
            raise wrong(REMEDIES.get(reader, "write a text"), at=(name,))


class OriginalEvent(Section):
    """The event that this one follows up: a renewal, a lead that became a customer (PROTOCOL 1.4)."""

    event_name: ScalarValue | None = None
    event_time: ScalarValue | None = None
    order_id: ScalarValue | None = None
    event_id: ScalarValue | None = None

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _check_literals(self, ORIGINAL_EVENT)
        return self


class LimitedDataUse(Section):
    """Limited data use `on` or off, `country` and `state`: `US` or 1, `CA` or 1000; 0 and 0 let Meta geolocate."""

    on: bool = True
    country: ScalarValue = Literal(0)
    state: ScalarValue = Literal(0)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _check_literals(self, PLACES)
        return self


PLACES: Final[Mapping[str, Reader]] = {"country": country_code, "state": state_code}


def _on_or_off(written: Any) -> Any:
    return {"on": written} if isinstance(written, bool) else written


class ServerEventSection(Section):
    """Server event parameters. `limited_data_use: true` lets Meta geolocate, `false` says that there is no limit."""

    event_name: ScalarValue | None = None
    event_time: ScalarValue | None = None
    event_id: ScalarValue | None = None
    event_source_url: ScalarValue | None = None
    referrer_url: ScalarValue | None = None
    action_source: Annotated[Value, *one_of(*get_args(ActionSource))] | None = None
    opt_out: ScalarValue | None = None
    messaging_channel: Annotated[Value, *one_of(*get_args(MessagingChannel))] | None = None
    customer_segmentation: Annotated[Value, *one_of(*SEGMENTS)] | None = None
    original_event_data: OriginalEvent | None = None
    limited_data_use: Annotated[LimitedDataUse | None, BeforeValidator(_on_or_off, bool | LimitedDataUse | None)] = None

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _check_literals(self, SERVER_EVENT)
        return self

    def changes(self, moment: Moment, now: float) -> Changes:
        """Fields of the event. A time that Meta would refuse at unix second `now` leaves that of the hit."""
        changes = _read(self, moment, SERVER_EVENT)
        source = {**moment.event, **changes.found}["action_source"]
        if not 0 <= now - changes.found.get("event_time", now) <= oldest(source):
            changes.refuse("event_time")
        if self.original_event_data:
            original = _read(self.original_event_data, moment, ORIGINAL_EVENT)
            changes.faults += [f"original_event_data.{name}" for name in original.faults]
            changes.found |= {"original_event_data": original.found} if original.found else {}
        changes.found |= self._limits(moment, changes.faults)
        return changes

    def _limits(self, moment: Moment, faults: list[str]) -> dict[str, Any]:
        if self.limited_data_use is None:
            return {}
        if not self.limited_data_use.on:
            return limited_data_use((), 0, 0)
        place = _read(self.limited_data_use, moment, PLACES)
        faults += [f"limited_data_use.{name}" for name in place.faults]
        return limited_data_use((LIMITED,), *together(place.found.get("country", 0), place.found.get("state", 0)))


def oldest(action_source: str) -> int:
    """How many seconds old an event may be (PROTOCOL 1.4)."""
    return MAX_AGE_IN_STORE if action_source == "physical_store" else MAX_AGE


def _read(section: Section, moment: Moment, readers: Mapping[str, Reader]) -> Changes:
    changes = Changes()
    for name, reader in readers.items():
        if (value := getattr(section, name)) is not None:
            changes.read(name, value, moment, reader)
    return changes


class UserDataSection(Section):
    """Customer information: any of Meta's keys, plain or hashed already. Several values where Meta takes a list."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _check_literals(self, PLAIN_USER_DATA)
        given = [name for name in TOGETHER if getattr(self, name) is not None]
        if len(given) == 1:
            raise wrong("write partner_name and partner_id, or neither", at=(given[0],))
        return self

    def changes(self, moment: Moment, hash_values: HashValues) -> Changes:
        """Hashes by key, several of each; the plain keys as they are."""
        changes = Changes()
        for name, value in self:
            if name in HASHED and value is not None:
                changes.read(name, Tree(value), moment, partial(_hashed, name, hash_values=hash_values))
            elif value is not None:
                changes.read(name, value, moment, self._reader(name, hash_values))
        for name in changes.found.keys() & TOGETHER:
            if not changes.found.keys() >= TOGETHER:
                changes.refuse(name)
        return changes

    @staticmethod
    def _reader(name: str, hash_values: HashValues) -> Reader:
        if name in HASHED_PARTS:
            return lambda given: next(iter(_hashed(name, [given], hash_values=hash_values) or ()), None)
        return PLAIN_USER_DATA.get(name, text)


def _hashed(key: str, given: list[Any], *, hash_values: HashValues) -> tuple[str, ...] | None:
    texts = [made for value in given if (made := text(value))]
    return tuple(dict.fromkeys(value for made in texts for value in hash_values(key, made))) or None


_KEYS: Final[dict[str, Any]] = {
    name: (SeveralValues | None if name in HASHED else ScalarValue | None, None) for name in UserData.model_fields
}
if TYPE_CHECKING:
    UserDataFields = UserDataSection
else:
    UserDataFields = create_model("UserDataFields", __base__=UserDataSection, **_KEYS)


class Row(Section):
    """One property: `key` is a path such as `contents[0].id`, and `value` what stands there."""

    key: str
    value: ScalarValue


def _parsed(given: Any) -> Any:
    """`json` as people write it: a text with JSON in it, one data element that holds it, or YAML."""
    if not isinstance(given, str):
        return given
    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError as error:
        if given.strip().startswith("{{") and given.strip().endswith("}}"):
            return given.strip()
        raise wrong(f"write a JSON object in quotes; at character {error.pos + 1}: {error.msg}") from None


def _object(given: Any) -> Value:
    value = given if isinstance(given, Tree) else tree(_parsed(given))
    if isinstance(value, Literal) or (isinstance(value, Tree) and not isinstance(value.node, Mapping)):
        raise wrong('write a JSON object, such as {"order_id": "{{ order_id }}"}')
    return value


class CustomDataSection(Section):
    """Custom data, as `json` or as `rows`; properties the event has already are replaced. `remove` takes some out."""

    json_: Annotated[Any, BeforeValidator(_object, str | dict[str, Any])] = Field(default=None, alias="json")
    rows: tuple[Row, ...] = ()
    remove: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.json_ is not None and self.rows:
            raise wrong("write json or rows: one is the other in another notation", at=("rows",))
        try:
            self._tree  # noqa: B018 rows are read here, so that what is wrong with them is told now
        except RowError as error:
            raise wrong(str(error), at=("rows", error.row, "key")) from None
        return self

    @cached_property
    def _tree(self) -> Value:
        return self.json_ or tree(from_rows((row.key, row.value) for row in self.rows))

    def changes(self, moment: Moment) -> Changes:
        """Properties as Meta has them, typed like those of a hit."""
        if self.is_same:
            return self.same
        changes = Changes({**self.same.found}, [*self.same.faults])
        if self._node is None:
            changes.read("json", self._tree, moment, _json_object)
            for key, given in changes.found.pop("json", {}).items():
                changes.take(key, given, partial(_property, key))
        for key, value in self._asking.items():
            changes.read(key, value, moment, partial(_property, key))
        return changes

    @cached_property
    def same(self) -> Changes:
        """The properties that are the same for every event: they are read once."""
        changes = Changes()
        for key, value in (self._node or {}).items():
            if isinstance(value, Literal):
                changes.take(key, value.value, partial(_property, key))
        return changes

    @cached_property
    def is_same(self) -> bool:
        """Whether it has no others."""
        return self._node is not None and not self._asking

    @cached_property
    def _asking(self) -> Mapping[str, Value]:
        """The properties that an event has a say in."""
        return {key: value for key, value in (self._node or {}).items() if not isinstance(value, Literal)}

    @property
    def _node(self) -> Mapping[str, Value] | None:
        """What stands under each name; None where one element or expression holds them all."""
        return self._tree.node if isinstance(self._tree, Tree) and isinstance(self._tree.node, Mapping) else None


def _property(key: str, given: Any) -> Any:
    """The property as Meta has it, typed like that of a hit; None for what cannot be one."""
    typed = custom_data({key: _json(given)})
    return typed.model_dump(mode="json", exclude_none=True).get(key) if typed else None


def _json(given: Any) -> Any:
    """The value as JSON has it; None for what JSON has not, and for what is nested too deep."""
    try:
        value = orjson.loads(orjson.dumps(given))
    except (TypeError, ValueError):
        return None
    return value if is_shallow(value, MAX_DEPTH) else None


def _json_object(given: Any) -> dict[str, Any] | None:
    try:
        value = orjson.loads(given) if isinstance(given, str) else given
    except ValueError:
        return None
    return value if isinstance(value, dict) and all(isinstance(key, str) for key in value) else None


def _until(written: Any) -> Any:
    """A day as one, since it counts to its end; what pydantic makes of it is a midnight."""
    if not isinstance(written, str):
        return written
    with suppress(ValueError):
        return (date if len(written) == len("2026-12-31") else datetime).fromisoformat(written)
    raise wrong("write the last day, such as 2026-12-31, or a time, such as 2026-12-31T18:00:00Z")


class TestEventSection(Section):
    """A test event code: shown under Test Events, counted like any. Without `when` and `until` it warns."""

    code: ScalarValue
    when: Annotated[Expression, *expression_type(VARIABLES, condition=True)] | None = None
    until: Annotated[datetime | date, BeforeValidator(_until)] | None = None

    @model_validator(mode="after")
    def _has_a_code(self) -> Self:
        if isinstance(self.code, Literal) and text(self.code.value) is None:
            raise wrong("write what Events Manager shows under Test Events, or remove the section", at=("code",))
        return self

    def is_over(self, now: float) -> bool:
        """Whether the code is no longer to be used at unix second `now`. A day counts to its end, in UTC."""
        if self.until is None:
            return False
        until = self.until if isinstance(self.until, datetime) else datetime.combine(self.until, time.max)
        return now > (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp()

    def code_for(self, event: Moment, now: float) -> str:
        """The code, empty where it is not to be used."""
        if self.is_over(now):
            return ""
        if self.when is not None and not self.when.holds(event.scope):
            return ""
        return text(self.code.read(event)) or ""
