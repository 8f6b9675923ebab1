"""The body of `POST /{version}/{pixel_id}/events` (PROTOCOL 1.2, 1.3).

The token is not part of it: it travels in a header, never in a URL.
"""

from collections.abc import Sequence
from typing import Final

import orjson

MAX_EVENTS: Final = 1000  # PROTOCOL 1.9


def request_body(events: Sequence[bytes], test_event_code: str = "") -> bytes:
    """The JSON body for events that are JSON already, spliced rather than parsed and printed again."""
    code = b',"test_event_code":' + orjson.dumps(test_event_code) if test_event_code else b""
    return b'{"data":[' + b",".join(events) + b"]" + code + b"}"
