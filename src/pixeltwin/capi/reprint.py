"""An event that was printed before, with what has been added to it since: only that is printed.

Most of what a source knows are hashes, and the rest of the event stays as it is.
"""

from typing import Any, Final

import orjson

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
    old = vars(given.user_data)
    for name, value in _differences(event.user_data, given.user_data).items():
        if value is None:
            return event.as_bytes()
        if old[name] is None:
            comma = b"" if after.startswith(b"}") else b","
            after = _field(name, value) + comma + after
        elif (was := _field(name, old[name])) in after:
            after = after.replace(was, _field(name, value), 1)
        else:
            return event.as_bytes()
    return before + USER_DATA + after


def _differences(model: Any, other: Any) -> dict[str, Any]:
    """What of a model's fields is not the very same."""
    old = vars(other)
    return {name: value for name, value in vars(model).items() if value is not old[name]}


def _field(name: str, value: Any) -> bytes:
    return b'"%s":%s' % (name.encode(), orjson.dumps(value))
