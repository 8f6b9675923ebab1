"""Which model, and which secret, belongs to which place of the data."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from pixeltwin.config.document import Loc
from pixeltwin.rules.matcher import Matcher


def places(annotation: Any, data: Any, loc: Loc = ()) -> Iterator[tuple[Loc, type]]:
    """Every place in `data` where the annotation has a model or a `SecretStr`, outermost first."""
    annotation = getattr(annotation, "__value__", annotation)  # what `type X = …` stands for
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _model(annotation, data, loc)
    elif annotation is SecretStr:
        yield loc, SecretStr
    elif get_origin(annotation) in {dict, Mapping} and len(arguments) == 2:
        yield from _items(arguments[1], data.items() if isinstance(data, dict) else (), loc)
    elif get_origin(annotation) in {tuple, list}:
        yield from _items(arguments[0], enumerate(data) if isinstance(data, list) else (), loc)
    else:
        for argument in arguments:
            yield from places(argument, data, loc)


def _model(model: type[BaseModel], data: Any, loc: Loc) -> Iterator[tuple[Loc, type]]:
    if issubclass(model, Matcher):  # what it wants stands in its place
        yield from places(model.model_fields["want"].annotation, data, loc)
        return
    if not isinstance(data, dict) or not _fits(model, data):
        return
    yield loc, model
    for name, option in model.model_fields.items():
        if (key := option.alias or name) in data:
            yield from places(option.annotation, data[key], (*loc, key))


def _items(annotation: Any, items: Any, loc: Loc) -> Iterator[tuple[Loc, type]]:
    for key, item in items:
        yield from places(annotation, item, (*loc, key))


def _fits(model: type[BaseModel], data: Mapping[str, Any]) -> bool:
    """Whether the data is of the model's kind; an element names its kind by a key."""
    kind = model.model_fields.get("kind")
    if kind is None:
        return True
    named = {data["kind"]} if isinstance(data.get("kind"), str) else set(data)
    return not named.isdisjoint(get_args(kind.annotation))
