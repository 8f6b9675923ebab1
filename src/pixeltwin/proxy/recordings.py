"""Requests from what was recorded: a mitmproxy flow file, or a HAR saved by a browser."""

from collections.abc import Iterator
from pathlib import Path

from mitmproxy import exceptions, http
from mitmproxy.io import FlowReader

from pixeltwin.pixel.request import HitRequest
from pixeltwin.proxy import flows


def recorded_requests(path: Path) -> Iterator[HitRequest]:
    """Every HTTP request of the file, in order. Raises ValueError for a file that is neither."""
    with path.open("rb") as file:
        try:
            for flow in FlowReader(file).stream():
                if isinstance(flow, http.HTTPFlow):
                    yield flows.hit_request(flow, host=flow.request.pretty_host.lower())
        except exceptions.FlowReadException as error:
            raise ValueError(f"{path} is neither a mitmproxy flow file nor a HAR: {error}") from error
