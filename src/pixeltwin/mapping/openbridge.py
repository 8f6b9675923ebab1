"""An OpenBridge post as the pixel hit it stands for (PROTOCOL 3.10).

With `fbq('set', 'openbridge', id, url)` the pixel posts each event as JSON beside its own hit and under the same event
id. The post is put into the words of a hit, so that policy, journal and mapping know one kind only, and the twin is the
same whichever of the two copies comes first. `event_meta_info` and what else the body says is left out.

Nothing is invented. Where the page's value is no number or its currency is none, the browser puts 0 or USD into
`conversion_value`; such a stand-in is not sent, so that a Purchase without a value is told as one
(`Refusal.PURCHASE_WITHOUT_VALUE`) rather than counted as one of nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pixeltwin.capi.event import HASHED, EventJson
from pixeltwin.mapping.custom_data import PARAMETERS
from pixeltwin.mapping.json_body import (
    BLANK,
    JSON_TYPES,
    HashValues,
    hashes,
    read_object,
    too_heavy,
    written,
)
from pixeltwin.pixel.hit import Limits, PixelHit, body_type, checked
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip

type Path = tuple[str, ...]

# the hit's parameters, and where a post says the same
SAME: Final[Mapping[str, Path]] = {
    "id": ("fb.pixel_id",),
    "ev": ("event_name",),
    "dl": ("website_context", "location"),
    "rl": ("website_context", "referrer"),
    "if": ("website_context", "isInIFrame"),
    "fbc": ("fb.clickID",),
    "fbp": ("fb.fbp",),
    "eid": ("event_id",),
}
# custom data that may stand elsewhere; the page's own custom_data comes first
ELSEWHERE: Final[Mapping[str, Path]] = {
    "value": ("conversion_value", "value"),
    "currency": ("conversion_value", "currency"),
    "content_type": ("fb.dynamic_product_ads", "content_type"),
    "content_name": ("fb.dynamic_product_ads", "content_name"),
    "content_ids": ("fb.dynamic_product_ads", "content_ids"),
    "contents": ("fb.dynamic_product_ads", "contents"),
    "num_items": ("fb.num_items",),
    "predicted_ltv": ("fb.predicted_ltv",),
    "status": ("fb.registration_status",),
    "search_string": ("fb.search_string",),
    "order_id": ("fb.order_id",),
}
STAND_INS: Final[Mapping[str, Any]] = {"value": 0, "currency": "USD"}
RENAMED: Final = {"InputData": "SubscribedButtonClick"}  # an automatic event


@dataclass(frozen=True, slots=True)
class OpenBridgePost:
    """A post as a hit, whose `ud[…]` holds hashes only, and all hashes of each key: where we hash there may be two."""

    hit: PixelHit
    hashes: Mapping[str, tuple[str, ...]]


def parse_openbridge(
    request: HitRequest, limits: Limits, hash_values: Callable[[str], HashValues]
) -> OpenBridgePost | Skip:
    """The post that the request carries, or why it carries none. Never raises for what a body holds.

    `hash_values` is asked by pixel id, because phone numbers need the pixel's default country.
    """
    if skip := too_heavy(request, limits):
        return skip
    if body_type(request) not in JSON_TYPES:
        return Skip(Reason.UNKNOWN_BODY_TYPE)
    if isinstance(body := read_object(request.body), Skip):
        return body
    known = hashes(body.get("fb.advanced_matching"), HASHED, hash_values(_said(body, SAME["id"]) or ""))
    parameters = tuple(_parameters(body, known))
    if len(parameters) > limits.params:
        return Skip(Reason.TOO_MANY_PARAMETERS)
    hit = checked(PixelHit.of(parameters))
    return hit if isinstance(hit, Skip) else OpenBridgePost(hit, known)


def with_every_hash(event: EventJson, post: OpenBridgePost) -> EventJson:
    """The event of a post's hit with every hash of the post: a hit has room for one a key."""
    return {**event, "user_data": {**event["user_data"], **{key: [*values] for key, values in post.hashes.items()}}}


def _parameters(body: Mapping[str, Any], known: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    for parameter, path in SAME.items():
        if (text := _said(body, path)) is not None:
            yield parameter, text
    if (name := _said(body, SAME["ev"])) in RENAMED:
        yield from (("ev", RENAMED[name]), ("es", "automatic"))  # of two names the last counts
    for key, text in _custom_data(body):
        yield f"cd[{key}]", text
    for key, values in known.items():
        yield f"ud[{key}]", values[0]
    if (options := body.get("fb.data_processing_options")) is not None:
        yield "dpo", _limits_of(options)


def _custom_data(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The page's properties. Where one is missing or unusable, what the post says of it elsewhere."""
    given = body.get("custom_data")
    given = given if isinstance(given, dict) else {}
    for key in {**given, **ELSEWHERE}:
        texts = [text for value in (given.get(key), _elsewhere(body, key)) if (text := written(value)) is not None]
        if texts:
            yield key, next((text for text in texts if _is_usable(key, text)), texts[0])


def _elsewhere(body: Mapping[str, Any], key: str) -> Any:
    value = _at(body, ELSEWHERE.get(key, ()))
    return None if key in STAND_INS and value == STAND_INS[key] else value


def _is_usable(key: str, text: str) -> bool:
    return PARAMETERS.get(key, str)(text.strip()) not in BLANK


def _limits_of(options: Any) -> str:
    """`dpo` as a hit has it. What cannot be read counts as limited: never less than the browser's copy (T16)."""
    given = options if isinstance(options, list) else [options]
    return ",".join(option if isinstance(option, str) and option else "LDU" for option in given)


def _said(body: Any, path: Path) -> str | None:
    """The one value that stands there, as the pixel writes it."""
    value = _at(body, path)
    return None if isinstance(value, dict | list) else written(value)


def _at(body: Any, path: Path) -> Any:
    """What the body says there; None when it says nothing."""
    if not path:
        return None
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body
