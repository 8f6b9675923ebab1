"""The content view "Meta Pixel": a hit in readable groups, and its twin or the reason why there is none."""

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mitmproxy import contentviews, http
from ruamel.yaml import YAML

from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.pixel.skip import Skip
from pixeltwin.proxy import flows
from pixeltwin.proxy.notes import KEY

HIT_PATHS: Final = ("/tr", "/tr/")
ABOVE_BUILT_IN: Final = 2.0  # mitmproxy's own views answer at most 1

# group title: the parameters in it, or the bracketed prefix
EVENT: Final = ("id", "ev", "eid", "ts", "dl", "rl")
BROWSER: Final = ("fbp", "fbc", "sw", "sh", "if", "tz", "lspk", "iab")
LIMITED: Final = ("dpo", "dpoco", "dpost")
BRACKETED: Final = {"custom data": "cd", "matching data": "ud", "matching data from forms": "udff"}
DECIDED: Final = {"consent": "consent", "rules": "rules", "browser's copy": "relay"}  # title: name in the flow's notes


class MetaPixel(contentviews.Contentview):
    """Shown for requests on the pixel's paths, in mitmweb, mitmproxy and mitmdump alike."""

    name = "Meta Pixel"
    syntax_highlight = "yaml"

    def prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        flow = metadata.flow
        if not isinstance(flow, http.HTTPFlow):
            raise ValueError("no HTTP flow")
        hit = parse_hit(flows.hit_request(flow, host=""), Limits())
        if isinstance(hit, Skip):
            return _yaml({"no hit": str(hit.reason)})
        return _yaml({**_groups(hit), **_outcome(flow)})

    def render_priority(self, data: bytes, metadata: contentviews.Metadata) -> float:
        message = metadata.http_message
        if not isinstance(message, http.Request) or not isinstance(metadata.flow, http.HTTPFlow):
            return -1
        is_hit = KEY in metadata.flow.metadata or message.path.partition("?")[0] in HIT_PATHS
        return ABOVE_BUILT_IN if is_hit else -1


def _groups(hit: PixelHit) -> dict[str, Any]:
    """The hit's parameters by what they are about; blank groups are left out."""
    shown = PixelHit.of(hit.shown())
    groups = {
        "event": _named(shown, EVENT),
        **{title: shown.group(prefix) for title, prefix in BRACKETED.items()},
        "browser": _named(shown, BROWSER),
        "limited data use": _named(shown, LIMITED),
        "other parameters": _others(shown),
    }
    return {title: group for title, group in groups.items() if group}


def _named(hit: PixelHit, names: Iterable[str]) -> dict[str, str]:
    return {name: hit.get(name) for name in names if hit.has(name)}


def _others(hit: PixelHit) -> list[str]:
    grouped = (*EVENT, *BROWSER, *LIMITED)
    prefixes = tuple(f"{prefix}[" for prefix in BRACKETED.values())
    return [f"{n}={v}" for n, v in hit.parameters if n not in grouped and not n.startswith(prefixes)]


def _outcome(flow: http.HTTPFlow) -> Mapping[str, Any]:
    noted = flow.metadata.get(KEY)
    if not isinstance(noted, dict):
        return {"twin": "none: this flow was not mirrored here"}
    known = {title: noted[name] for title, name in DECIDED.items() if noted.get(name)}
    outcome = {"outcome": {"state": flow.comment, **known}}
    return {**outcome, "twin": json.loads(noted["twin"])} if noted.get("twin") else outcome


def _yaml(content: Mapping[str, Any]) -> str:
    """YAML text; control characters of a hostile hit come out escaped."""
    printer = YAML(typ="safe", pure=True)
    printer.default_flow_style = False
    printer.allow_unicode = True
    printer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # its author declares None
    printer.width = 120
    text = io.StringIO()
    printer.dump(dict(content), text)
    return text.getvalue()
