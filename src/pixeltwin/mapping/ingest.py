"""Server events that the shop's back end posts to `/capi/{pixel_id}/events`, as to Meta's CAPI Gateway.

The body is `{"accessKey": …, "data": [event, …]}`, as the gateway endpoints of Meta's Java and PHP SDKs write it, or
one of the forms that Meta's other SDKs post to Graph (PROTOCOL 1.2). Customer data may be plain: it is hashed here,
and what is hashed already is kept. Nothing is invented: an event without a time, or one that does not say where it
happened, is refused by name. What Meta would refuse for other reasons is found when the event is sealed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pydantic import ValidationError

from pixeltwin.capi.event import HASHED, HASHED_PARTS, ServerEvent, UserData
from pixeltwin.mapping.custom_data import whole_number
from pixeltwin.mapping.json_body import (
    JSON_TYPES,
    HashValues,
    custom_data,
    hashes,
    read,
    read_object,
    scalars,
    too_heavy,
    written,
)
from pixeltwin.mapping.limited_data_use import limited_data_use
from pixeltwin.pixel.hit import BODY_READERS, FORM, MULTIPART, Limits, body_type
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip

MAX_EVENTS: Final = 1000  # Meta's own limit (PROTOCOL 1.3)
LATEST: Final = 10**10  # unix seconds; milliseconds are beyond
KEYS: Final = ("accessKey", "access_token")  # the gateway endpoints' name, and the one of SDKs made for Graph

REQUIRED: Final = ("event_name", "event_time", "action_source", "user_data")
OBJECTS: Final = ("original_event_data", "attribution_data", "app_data")
AS_GIVEN: Final = (
    "event_name",
    "action_source",
    "event_source_url",
    "referrer_url",
    "opt_out",
    "messaging_channel",
    "advanced_measurement_table",
)
PLAIN: Final = tuple(key for key in UserData.model_fields if key not in (*HASHED, *HASHED_PARTS))


class Unfit(StrEnum):
    """Why one of the posted events is none."""

    NO_OBJECT = "no_object"
    MISSING = "missing"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no event, for `reason`. `field` names what is wrong with it; no value is repeated."""

    reason: Unfit
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """What was posted for a pixel: the sender's key, empty when there is none, and the events as they came.

    `test_event_code` is the sender's wish that Meta show the events among its test events; empty: none.
    """

    pixel_id: str
    access_key: str = field(repr=False)
    test_event_code: str
    given: tuple[Any, ...] = field(repr=False)  # customer data, perhaps plain

    def events(self, hash_values: HashValues) -> list[ServerEvent | Refused]:
        """Each event, or why it is none, in the order given. Costs a hash a value: check the key before."""
        return [read_event(given, hash_values) for given in self.given]


def parse_ingest(pixel_id: str, request: HitRequest, limits: Limits) -> Ingest | Skip:
    """What the request posts for the pixel that its path names, or why nothing. Never raises for what a body holds."""
    if not (pixel_id.isascii() and pixel_id.isdigit()):
        return Skip(Reason.BAD_PIXEL_ID)
    if skip := too_heavy(request, limits):
        return skip
    reader = READERS.get(body_type(request))
    if reader is None:
        return Skip(Reason.UNKNOWN_BODY_TYPE)
    body = reader(request, limits)
    if not isinstance(body, dict):
        return body
    given = body.get("data")
    given = read(given) if isinstance(given, str) else given
    if not (given and isinstance(given, list)):
        return Skip(Reason.NO_EVENTS)
    if len(given) > MAX_EVENTS:
        return Skip(Reason.TOO_MANY_EVENTS)
    return Ingest(
        pixel_id=pixel_id,
        access_key=next((key for name in KEYS if (key := _text(body.get(name)))), ""),
        test_event_code=_text(body.get("test_event_code")),
        given=tuple(given),
    )


def read_event(given: Any, hash_values: HashValues) -> ServerEvent | Refused:
    """The event of a JSON object, or of a text that holds one."""
    given = read(given) if isinstance(given, str) else given
    if not isinstance(given, dict):
        return Refused(Unfit.NO_OBJECT)
    said = {key: value for key, value in given.items() if value not in (None, "")}
    if missing := next((key for key in REQUIRED if key not in said), ""):
        return Refused(Unfit.MISSING, missing)
    try:
        return ServerEvent.model_validate(_event(said, hash_values))
    except ValidationError as error:
        where = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
        return Refused(Unfit.UNUSABLE, ".".join(map(str, where[:2])))


def _event(said: Mapping[str, Any], hash_values: HashValues) -> dict[str, Any]:
    return {
        **{key: said[key] for key in AS_GIVEN if key in said},
        **{key: said[key] for key in OBJECTS if said.get(key)},  # PHP writes an empty object as []
        "event_time": _seconds(said["event_time"]),
        "event_id": _text(said.get("event_id")),
        "user_data": _user_data(said["user_data"], hash_values),
        "custom_data": _custom_data(said),
        **_data_processing(said),
    }


def _seconds(given: Any) -> int | None:
    moment = _whole(given)
    return moment if moment and 0 < moment < LATEST else None


def _user_data(given: Any, hash_values: HashValues) -> Any:
    """Hashes for what Meta takes hashed, the rest as it came; keys that Meta does not know are left out."""
    if not isinstance(given, dict):
        return given or {}
    parts = hashes(given, HASHED_PARTS, hash_values)
    plain = {key: next(scalars(given.get(key)), None) for key in PLAIN}
    return {**hashes(given, HASHED, hash_values), **{key: values[0] for key, values in parts.items()}, **plain}


def _custom_data(said: Mapping[str, Any]) -> Any:
    """`customer_segmentation` belongs here, though Meta's table lists it beside (PROTOCOL 1.4)."""
    given = said.get("custom_data") or {}
    if not isinstance(given, dict):
        return given
    return custom_data({"customer_segmentation": said.get("customer_segmentation"), **given})


def _data_processing(said: Mapping[str, Any]) -> dict[str, Any]:
    options = said.get("data_processing_options")
    if options is None:
        return {}
    given = options if isinstance(options, list) else [options] if options else []
    country, state = (_whole(said.get(f"data_processing_options_{of}")) for of in ("country", "state"))
    return limited_data_use(given, country, state)


def _whole(given: Any) -> int | None:
    return whole_number(written(given) or "")


def _text(given: Any) -> str:
    return str(next(scalars(given), ""))


def _json(request: HitRequest, limits: Limits) -> dict[str, Any] | Skip:
    return read_object(request.body)


def _form(request: HitRequest, limits: Limits) -> dict[str, Any] | Skip:
    parameters = BODY_READERS[body_type(request)](request, limits)
    return parameters if isinstance(parameters, Skip) else dict(parameters)


type Reader = Callable[[HitRequest, Limits], dict[str, Any] | Skip]
READERS: Final[Mapping[str, Reader]] = {**dict.fromkeys(JSON_TYPES, _json), FORM: _form, MULTIPART: _form}
