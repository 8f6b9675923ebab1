"""The pixel on the page: the loader snippet, the calls, and reading the calls back from a page.

Every `track` and `trackCustom` call stands on a line of its own, and its arguments are JSON, so that a
visitor without a JavaScript engine can still tell what a browser would have sent.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final, Literal
from urllib.parse import urlencode

META: Final = "https://www.facebook.com/tr/"  # where an unmodified pixel sends its hits

type Method = Literal["track", "trackCustom"]

LOADER: Final = """\
<script>
(function (page, script) {
  if (page.fbq) return;
  var fbq = function () {
    if (fbq.callMethod) fbq.callMethod.apply(fbq, arguments); else fbq.queue.push(arguments);
  };
  fbq.queue = [];
  fbq.loaded = true;
  fbq.version = "2.0";
  fbq.push = page.fbq = page._fbq = fbq;
  var tag = document.createElement("script");
  tag.async = true;
  tag.src = script;
  document.head.appendChild(tag);
})(window, %(script)s);
%(calls)s
</script>"""

CALL: Final = re.compile(r"^fbq\('(track|trackCustom)', (.+)\);$", re.MULTILINE)
UNSAFE: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}  # could end or open markup


@dataclass(frozen=True, slots=True)
class PixelCall:
    """One `fbq('track' | 'trackCustom', event_name, custom_data, {eventID})`."""

    method: Method
    event_name: str
    custom_data: dict[str, Any] = field(default_factory=dict)
    event_id: str | None = None


def pixel_calls(html: str) -> list[PixelCall]:
    """The calls a page of this shop makes, in order."""
    return [_read(found[1], found[2]) for found in CALL.finditer(html)]


def snippet(pixel_id: str, script: str, endpoint: str | None, calls: Sequence[PixelCall]) -> str:
    """The head's pixel snippet. Where hits go is said before `init`, or the first hit would go to Meta."""
    moved = [f"fbq('set', 'endpoint', {js(endpoint)});"] if endpoint else []
    lines = [*moved, f"fbq('init', {js(pixel_id)});", *map(_written, calls)]
    return LOADER % {"script": js(script), "calls": "\n".join(lines)}


def noscript(pixel_id: str, endpoint: str | None, calls: Sequence[PixelCall]) -> str:
    """The same hits for a browser without JavaScript, as images."""
    images = (f"{endpoint or META}?{urlencode(_query(pixel_id, call))}" for call in calls)
    tags = (f'<img height="1" width="1" hidden alt="" src="{escape(url)}">' for url in images)
    return f"<noscript>{''.join(tags)}</noscript>"


def js(value: Any) -> str:
    """A value as JSON that is also safe inside `<script>`: no `</script>`, no `<!--`."""
    return json.dumps(value).translate(UNSAFE)


def _written(call: PixelCall) -> str:
    options = {"eventID": call.event_id} if call.event_id else {}
    return f"fbq('{call.method}', {js(call.event_name)}, {js(call.custom_data)}, {js(options)});"


def _read(method: str, arguments: str) -> PixelCall:
    event_name, custom_data, options = json.loads(f"[{arguments}]")
    return PixelCall(
        "trackCustom" if method == "trackCustom" else "track", event_name, custom_data, options.get("eventID")
    )


def _query(pixel_id: str, call: PixelCall) -> dict[str, str]:
    custom_data = {f"cd[{key}]": _text(value) for key, value in call.custom_data.items()}
    event_id = {"eid": call.event_id} if call.event_id else {}
    return {"id": pixel_id, "ev": call.event_name, **event_id, **custom_data, "noscript": "1"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
