"""`pixeltwin run --lane`: connections go the way that was asked for."""

import socket

import pytest
from tests.factories import hit_query
from tests.processes import BIN, free_port, started, write_config


@pytest.mark.parametrize(("lane", "tells"), [("fast", True), ("native", False)])
def test_hits_go_through_the_lane_that_was_asked_for(tmp_path, lane, tells):
    """The lanes are told apart by their last answer: mitmproxy's own layer closes without a word about it."""
    port = free_port()
    config = write_config(tmp_path, "http://127.0.0.1:9", port=port)
    command = (BIN / "pixeltwin", "run", "-c", config, "--lane", lane)
    with started(*command, log=tmp_path / "log", port=port), socket.create_connection(("127.0.0.1", port)) as browser:
        head = (f"GET /tr/?{hit_query()} HTTP/1.1", "Host: px.shop.example", "Connection: close", "", "")
        browser.sendall("\r\n".join(head).encode())
        answer = browser.makefile("rb").read().lower()
    assert answer.startswith(b"http/1.1 200 ")
    assert (b"\r\nconnection: close\r\n" in answer) is tells
