"""Sending the shared hits through a gateway, and judging what became of them."""

import httpx

from pixeltwin.capi.validate import Refusal
from pixeltwin.pixel.skip import Reason
from tests.factories import UA
from tests.processes import Meta, until
from tests.shared_hits import Line

VISITOR = "198.51.100.23"
NAMED = {*Reason, *map(str, Refusal)}
HEADERS = {
    "user-agent": UA,
    "referer": "https://www.shop.example/from",
    "x-forwarded-for": VISITOR,
    "cookie": "session=s3cret; _fbp=fb.1.1795000000000.77",
}


def send(lines: list[Line], url: str) -> list[int]:
    """Every line as the browser would send it to `url`; answers the status codes."""
    with httpx.Client(trust_env=False, headers=HEADERS, timeout=20) as client:
        return [_send(client, line, url).status_code for line in lines]


def _send(client: httpx.Client, line: Line, url: str) -> httpx.Response:
    target = httpx.URL(url, raw_path=(line.path + (f"?{line.query}" if line.query else "")).encode())
    if not line.body:
        return client.get(target)
    return client.post(target, content=line.body, headers={"content-type": line.content_type})


def unpaired(expected: set[tuple[str, str, str]], meta: Meta) -> set[tuple[str, str, str]]:
    """Of the (pixel id, event name, event id) of relayed hits those whose twin Meta has not paired with them."""

    def missing() -> set[tuple[str, str, str]]:
        return expected - {(pair["pixel_id"], pair["event_name"], pair["event_id"]) for pair in meta.pairs()}

    until(lambda: not missing())
    return missing()
