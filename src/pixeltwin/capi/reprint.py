"""An event that was printed before, with what has been added to it since: only that is printed.

Most of what a source knows are hashes, and the rest of the event stays as it is.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from pydantic import BaseModel

from pixeltwin.capi.event import ServerEvent

# Quotes in texts are escaped, and no field before this one is an object: the first of these is the event's own.
USER_DATA: Final = b'"user_data":{'


def reprinted(event: ServerEvent, given: ServerEvent, printed: bytes) -> bytes:
    """The event as `as_bytes` has it, but for the order of its keys. `printed` is what `given` was printed as."""
    if event is given and printed:
        return printed
    if not printed or _differences(event, given).keys() != {"user_data"}:
        return event.as_bytes()
    before, _, after = printed.partition(USER_DATA)
    old, added = vars(given.user_data), {}
    for name, value in _differences(event.user_data, given.user_data).items():
        if old[name] is None:
            added[name] = value
        elif value is not None and (was := _inside({name: old[name]})) in after:
            after = after.replace(was, _inside({name: value}), 1)
        else:
            return event.as_bytes()
    comma = b"" if after.startswith(b"}") or not added else b","
    return b"".join((before, USER_DATA, _inside(added), comma, after))


def _differences(model: BaseModel, other: BaseModel) -> dict[str, Any]:
    """What of a model's fields is not the very same."""
    old = vars(other)
    return {name: value for name, value in vars(model).items() if value is not old[name]}


def _inside(fields: Mapping[str, Any]) -> bytes:
    """A JSON object without its braces."""
    return orjson.dumps(fields)[1:-1]
