"""The JSON Schema of the config file, by which an editor knows the options while somebody types.

It describes what people write, and follows from the models: where a model takes several forms, its type says which
(`json_schema_input_type`). What many of them have in common is here: kinds in their named form, a rule's wishes, and
descriptions out of docstrings. `fillable.py` adds that `${NAME}` may stand in place of a value.

A file that loads passes the schema, unless it writes something in an odd way: a number in quotes, `yes` for `true`.
What takes more than a look at one option, such as a name that points nowhere, passes the schema and does not load.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from inspect import get_annotations, getdoc
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import CoreRef, GenerateJsonSchema, JsonSchemaValue, NoDefault
from pydantic_core import core_schema

from pixeltwin import kinds
from pixeltwin.capi.normalize import NORMALIZERS
from pixeltwin.config import values
from pixeltwin.config.fillable import ABOUT, DEFINITIONS, fillable
from pixeltwin.config.model import Config
from pixeltwin.consent import signal
from pixeltwin.enrich import source
from pixeltwin.mapping import element
from pixeltwin.mapping.transform import TransformSettings
from pixeltwin.privacy.filter import FilterSettings
from pixeltwin.rules.matcher import Matcher

TITLE: Final = "The config file of pixeltwin"

# What validators ask for, as far as a schema can say it.
AT_LEAST_ONE: Final = {"minItems": 1}
CHECKS: Final[Mapping[Any, JsonSchemaValue]] = {
    values.not_empty: AT_LEAST_ONE,
    element.at_least_one: AT_LEAST_ONE,
    signal.at_least_one: AT_LEAST_ONE,
    source.check_map: {"propertyNames": {"enum": [*NORMALIZERS, *source.IDS]}},
}
DAY: Final = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}"}
SENTENCE: Final = re.compile(r"(?<=[.:])\s*\n\s*\n\s*|(?<=\.)\s+(?=[A-Z`])")


def schema_text() -> str:
    """The schema as `pixeltwin schema` prints it."""
    return json.dumps(config_schema(), indent=2)


def config_schema() -> JsonSchemaValue:
    """The schema, of draft 2020-12."""
    written = fillable(Config.model_json_schema(schema_generator=Generator))
    definitions = written.pop("$defs")
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": TITLE,
        **written,
        "$defs": {**definitions, **DEFINITIONS},
    }


class Generator(GenerateJsonSchema):
    """Pydantic's generator, taught what the models do before they look at a value."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """A model by its title and what its docstring says, in the form in which people write it."""
        model = schema["cls"]
        written = super().model_schema(schema)
        for name, option in model.model_fields.items():
            if said := _said_of(model, name):
                written["properties"][option.alias or name]["description"] = said
        about = {"title": _name(model)} if _is_kind(model) else {}
        written = {**about, "description": _about(model), **_without(written, "title", "description")}
        return next((form for base, form in FORMS.items() if issubclass(model, base)), _as_it_is)(model, written)

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Any of a folder's kinds, described once; `discriminator` is a word of OpenAPI."""
        name, reference = self.get_cache_defs_ref_schema(_folder_of(schema))
        self.definitions[name] = {"anyOf": super().tagged_union_schema(schema)["oneOf"]}
        return reference

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        """What is validated, and what the validator asks for."""
        return {**super().function_after_schema(schema), **CHECKS.get(schema["function"]["function"], {})}

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        """A list, in which something may stand twice."""
        return _without(super().frozenset_schema(schema), "uniqueItems")

    def date_schema(self, schema: core_schema.DateSchema) -> JsonSchemaValue:
        """A day, as ISO 8601 writes it."""
        return DAY

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        """A day, which a time may follow; editors would ask for an offset too."""
        return DAY

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Values by name; other names than those of the pattern are refused."""
        written = super().dict_schema(schema)
        return {**written, "additionalProperties": False} if "patternProperties" in written else written

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        """The default as people would write it. A section has none: its options show theirs."""
        default = super().get_default_value(schema)
        if default is None or default is NoDefault:
            return NoDefault
        if serializer := _serializer(schema):
            default = serializer(default)
        if isinstance(default, BaseModel):
            return NoDefault
        return sorted(default) if isinstance(default, frozenset) else default

    def field_title_should_be_set(self, schema: Any) -> bool:
        """An option's name is title enough."""
        return False

    def normalize_name(self, name: str) -> str:
        """`mapping.elements.cookie` for the settings of a kind, `Pixel` for any other model."""
        return name.removeprefix("pixeltwin.").removesuffix(".Settings")

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        """Options in the order of their declaration."""
        return value


def _without(schema: JsonSchemaValue, *keys: str) -> JsonSchemaValue:
    return {key: value for key, value in schema.items() if key not in keys}


def _as_it_is(model: type[BaseModel], written: JsonSchemaValue) -> JsonSchemaValue:
    return written


def _named_form(model: type[BaseModel], written: JsonSchemaValue) -> JsonSchemaValue:
    """As `kinds.named_form` reads it: `{ map: … }` for one with options, else `lower`."""
    name = _name(model)
    others = [option for option in written.get("required", ()) if option != "kind"]
    if name in others:
        return {**written, "required": others}
    if others:
        return written
    about: JsonSchemaValue = {key: written.pop(key) for key in ABOUT if key in written}
    return {**about, "anyOf": [{"const": name}, written]}


def _by_kind(model: type[BaseModel], written: JsonSchemaValue) -> JsonSchemaValue:
    """With `kind`, unless there is no choice, as of what a kind has inside of it: a spool's."""
    if not _is_kind(model) or len(kinds.names(_folder(model))) == 1:
        return written
    return {**written, "required": list(dict.fromkeys(("kind", *written.get("required", ()))))}


def _wish(model: type[BaseModel], written: JsonSchemaValue) -> JsonSchemaValue:
    """What stands behind a matcher's key; for a list also one item of it."""
    want = written["properties"]["want"]
    said = f"{written['description']} {_sentences(getdoc(model))[0]}"
    alternatives = {"anyOf": [want["items"], want]} if want.get("type") == "array" else want
    return {"title": written["title"], "description": said, **alternatives}


FORMS: Final[Mapping[type[BaseModel], Callable[[type[BaseModel], JsonSchemaValue], JsonSchemaValue]]] = {
    element.ElementSettings: _named_form,
    TransformSettings: _named_form,
    signal.SignalSettings: _named_form,
    FilterSettings: _named_form,
    Matcher: _wish,
    kinds.KindSettings: _by_kind,
}


def _serializer(schema: Any) -> Any:
    """What writes the option's value as text, from whichever layer of its validation has it."""
    written = None
    while schema and not written:
        found = schema.get("serialization", {})
        written = found.get("function") if found.get("type") == "function-plain" and not found.get("info_arg") else None
        schema = schema.get("schema")
    return written


def _is_kind(model: type) -> bool:
    """Whether it is one of those that can be chosen; others only have a kind's options."""
    return issubclass(model, kinds.KindSettings | Matcher) and model.__name__ == "Settings"


def _folder_of(union: core_schema.TaggedUnionSchema) -> CoreRef:
    """The folder of the kinds that the union is made of, by which it can be named."""
    kind: Any = next(iter(union["choices"].values()))
    return CoreRef((kind.get("schema_ref") or kind["ref"]).rsplit(".", 2)[0])


def _folder(kind: type) -> str:
    return kind.__module__.rpartition(".")[0]


def _name(kind: type) -> str:
    return kind.__module__.rpartition(".")[2].rstrip("_")


def _about(model: type) -> str:
    """What the model is: of a kind its file says it."""
    return _sentences(sys.modules[model.__module__].__doc__ if _is_kind(model) else getdoc(model))[0]


def _said_of(model: type[BaseModel], option: str) -> str:
    """The sentences that name the option, in the docstring of the model that declares it."""
    written = re.escape(model.model_fields[option].alias or option)
    named = re.compile(rf"`{written}[`:]")
    declaring = (base for base in model.__mro__ if option in get_annotations(base) and option != "kind")
    said = ([text for text in _sentences(base.__doc__) if named.search(text)] for base in declaring)
    return next((" ".join(texts) for texts in said if texts), "")


def _sentences(text: str | None) -> list[str]:
    return [" ".join(sentence.split()) for sentence in SENTENCE.split(text or "")]
