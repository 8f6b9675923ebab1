"""How a Graph request is read: the three encodings of PROTOCOL 1.2, and where its token may stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request

from pixeltwin.sandbox.answers import Refusal

MAX_PART: Final = 64 * 1024 * 1024  # starlette stops at 1 MiB, which 1000 events exceed


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """The parameters of one request to the events edge. `data` is the events as decoded, whatever they are."""

    access_token: str
    data: list[object] | Refusal
    test_event_code: str | None = None
    partner_agent: object = None


async def read(request: Request) -> GraphRequest:
    """The request's parameters, whichever encoding they came in. Nothing about the events is checked."""
    body = await _body_parameters(request)
    parameters = {**request.query_params, **({} if isinstance(body, Refusal) else body)}
    code = parameters.get("test_event_code")
    return GraphRequest(
        access_token=_token(request, parameters),
        data=body if isinstance(body, Refusal) else decode_data(parameters.get("data")),
        test_event_code=str(code) if code else None,
        partner_agent=parameters.get("partner_agent"),
    )


def decode_data(value: object) -> list[object] | Refusal:
    """The events in `data`: a JSON array or its text, its items objects or their JSON texts."""
    if value is None:
        text = "(#100) The parameter data is required"
        return Refusal(detail=text, message=text, blame=("data",))
    try:
        events = _parsed(value)
        if not isinstance(events, list):
            return Refusal(detail="data must be an array of events.", blame=("data",))
        return _writable([_parsed(event) for event in events])
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return Refusal(detail="data is not JSON, or nested too deep.", blame=("data",))


def _parsed(value: object) -> object:
    return orjson.loads(value) if isinstance(value, str) else value


def _writable(events: list[object]) -> list[object]:
    """The events, if `/sandbox/events` can show them: orjson writes fewer levels than it reads."""
    orjson.dumps([[[[events]]]])
    return events


def _token(request: Request, parameters: Mapping[str, Any]) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return str(parameters.get("access_token") or "")


async def _body_parameters(request: Request) -> dict[str, Any] | Refusal:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    reader = READERS.get(content_type)
    return await reader(request) if reader else {}


async def _read_json(request: Request) -> dict[str, Any] | Refusal:
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return Refusal(detail="The body is not JSON.")
    return body if isinstance(body, dict) else Refusal(detail="The body must be a JSON object.")


async def _read_urlencoded(request: Request) -> dict[str, Any]:
    text = (await request.body()).decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True))


async def _read_multipart(request: Request) -> dict[str, Any]:
    async with request.form(max_part_size=MAX_PART) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


READERS: Final = {
    "application/json": _read_json,
    "application/x-www-form-urlencoded": _read_urlencoded,
    "multipart/form-data": _read_multipart,
}
