"""Where a `${…}` may stand in the config file, as its JSON Schema says it.

What is filled in is text, and the models read numbers and truths from text too: a `${…}` can stand in place of every
value, but for a kind's name and other words of which there is but one. A secret is never anything else.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

# As `interpolation.py` reads it.
FILLED: Final = {
    "description": "Text with ${NAME}, ${NAME:-default} or ${file:/path} in it, which is filled in.",
    "type": "string",
    "pattern": r"(^|[^$])\$\{([A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?|file:[^}]*)\}",
}
SECRET: Final = {
    "description": "A secret, which never stands in the file itself: ${NAME} or ${file:/path}.",
    "type": "string",
    "pattern": rf"^$|^\s*\{{\{{.*\}}\}}\s*$|{FILLED['pattern']}",  # or an element that holds it, see references.py
}
DEFINITIONS: Final = {"filled": FILLED, "secret": SECRET}

FILLABLE: Final = {"$ref": "#/$defs/filled"}
TYPES: Final = frozenset({"integer", "number", "boolean"})  # which a `${…}` is not, as long as it stands in the file
NARROW: Final = frozenset({"enum", "pattern", "minLength", "maxLength"})  # and which it may break
ABOUT: Final = ("title", "description", "default")


def fillable(schema: Any) -> Any:
    """The schema with `${…}` wherever that can stand in place of a value, and nothing else in place of a secret."""
    if not isinstance(schema, dict):
        return schema
    made = {key: WITHIN.get(key, _kept)(part) for key, part in schema.items() if (key, part) != ("format", "path")}
    if "const" in made:
        return made
    about = {key: made.pop(key) for key in ABOUT if key in made}
    if made.get("format") == "password":
        return {**about, "$ref": "#/$defs/secret"}
    if made.get("type") in TYPES or not NARROW.isdisjoint(made):
        return {**about, "anyOf": [made, FILLABLE]}
    return {**about, **made}


def _each(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fillable(schema) for name, schema in part.items()}


def _alternatives(part: list[Any]) -> list[Any]:
    """Alternatives without alternatives of their own; `${…}` is the last of them, if none takes any text."""
    made = [fillable(schema) for schema in part]
    flat = [inner for schema in made for inner in (schema["anyOf"] if schema.keys() == {"anyOf"} else [schema])]
    others = [schema for schema in flat if schema != FILLABLE]
    return others if len(others) == len(flat) or {"type": "string"} in others else [*others, FILLABLE]


def _kept(part: Any) -> Any:
    return part


WITHIN: Final[Mapping[str, Callable[[Any], Any]]] = {
    "$defs": _each,
    "properties": _each,
    "patternProperties": _each,
    "additionalProperties": fillable,
    "items": fillable,
    "anyOf": _alternatives,
}
