"""A pixel's id and token from a data element: `access_token: "{{ shop_token }}"`.

Only from elements that no request decides (`env`, `constant`): a hit never chooses where its twin goes, nor with whose
token. They are filled in before the options are checked, as `${…}` is.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pixeltwin.config.document import Document, Fault, Loc
from pixeltwin.config.problems import did_you_mean

REFERENCE: Final = re.compile(r"\{\{\s*([A-Za-z0-9][A-Za-z0-9_-]{0,63})\s*\}\}")
FIXED: Final = "name an element of kind env or constant: a request must not decide where twins go"
FROM_ENV: Final = "name an element of kind env: tokens never stand in the file"


def fill_references(document: Document, env: Mapping[str, str]) -> Iterator[Fault]:
    """Put in the values of the elements that pixels are given by; yields what is wrong with the references."""
    for loc, holder, option in _places(document.data):
        found = REFERENCE.fullmatch(holder[option].strip())
        if not found:
            continue
        value = _value(document.data, found[1], env, is_secret=option == "access_token")
        if isinstance(value, Fault):
            yield Fault(loc, document.value_spot(loc), value.found, value.remedy)
        else:
            holder[option] = document.filled[loc] = value


def _places(data: Any) -> Iterator[tuple[Loc, dict[str, Any], str]]:
    """Where a pixel's id or token is a text."""
    pixels = data.get("pixels") if isinstance(data, dict) else None
    for index, pixel in enumerate(pixels if isinstance(pixels, list) else ()):
        yield from _texts(pixel, ("pixels", index), ("id", "access_token"))
    rules = data.get("rules") if isinstance(data, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        then = rule.get("then") if isinstance(rule, dict) else None
        other = then.get("pixel") if isinstance(then, dict) else None
        if isinstance(other, dict) and "access_token" in other:  # without one the pixel has to be one of ours
            yield from _texts(other, ("rules", index, "then", "pixel"), ("id", "access_token"))


def _texts(holder: Any, loc: Loc, options: tuple[str, ...]) -> Iterator[tuple[Loc, dict[str, Any], str]]:
    for option in options:
        if isinstance(holder, dict) and isinstance(holder.get(option), str):
            yield (*loc, option), holder, option


def _value(data: Any, name: str, env: Mapping[str, str], *, is_secret: bool) -> str | Fault:
    elements = data.get("elements")
    element = elements.get(name) if isinstance(elements, dict) else None
    if element is None:
        known = [str(known) for known in elements] if isinstance(elements, dict) else []
        remedy = did_you_mean(name, known, "there is no element: add it under `elements`")
        return Fault((), (0, 0), f"no element is named {name!r}", remedy)
    if isinstance(element, dict) and isinstance(variable := element.get("env"), str):
        value = env.get(variable) or element.get("default")
        return str(value) if value else Fault((), (0, 0), f"{variable} is not set", "export that variable")
    if isinstance(element, dict) and "constant" in element and not is_secret:
        return str(element["constant"])
    return Fault((), (0, 0), f"the element {name!r}", FROM_ENV if is_secret else FIXED)
