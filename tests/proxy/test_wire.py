"""HTTP/1.1 read from a connection's bytes: the same requests however they arrive, and nothing that two readers could
understand differently."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.pixel.answer import EMPTY, Answer
from pixeltwin.proxy.wire import ForeignError, RequestReader, TooLargeError, answer_bytes, joined_headers

GET = b"GET /tr/?id=1&ev=PageView HTTP/1.1\r\nHost: px.shop.example\r\n\r\n"
POST = b"POST /tr HTTP/1.1\r\nHost: px.shop.example\r\nContent-Length: 9\r\nCookie: a=b\r\n\r\nid=1&ev=a"
CHUNKED = (
    b"POST /tr HTTP/1.1\r\nHost: px.shop.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nid=1\r\n5;x=y\r\n&ev=a\r\n0\r\nTrailer: x\r\n\r\n"
)
HOST = {"host": "px.shop.example"}
READ = {
    GET: ("GET", "/tr/", b"id=1&ev=PageView", HOST, b""),
    POST: ("POST", "/tr", b"", HOST | {"content-length": "9", "cookie": "a=b"}, b"id=1&ev=a"),
    CHUNKED: ("POST", "/tr", b"", HOST | {"transfer-encoding": "chunked"}, b"id=1&ev=a"),
}


def reader(max_head: int = 1000, max_body: int = 1000) -> RequestReader:
    return RequestReader(max_head=max_head, max_body=max_body)


def requests(pieces: list[bytes]) -> list[tuple[str, str, bytes, dict[str, str], bytes]]:
    """What is read when a connection's bytes arrive in these pieces."""
    reading, found = reader(), []
    for piece in pieces:
        reading.receive(piece)
        while (head := reading.head()) and (body := reading.body()) is not None:
            found.append((head.method, head.path, head.query, head.headers, body))
            reading.finish()
    assert len(reading) == 0
    return found


@given(st.lists(st.sampled_from(list(READ)), max_size=4), st.lists(st.integers(0, 500), max_size=20))
def test_pipelined_requests_are_read_alike_however_they_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(sent)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in pairwise(edges)]
    assert requests(pieces) == [READ[one] for one in sent]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /tr HTTP/1.1\r\nHost: a\r\nA: b\r\n folded\r\n\r\n",
        b"GET /tr HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n",
        b"GET /tr HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /tr HTTP/1.1\r\nHost: a\nA: b\r\n\r\n",
        b"GET /tr HTTP/1.1\r\nHost: a\rA: b\r\n\r\n",
        b"POST /tr HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /tr HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"POST /tr HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
        b"POST /tr HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /tr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST /tr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET /tr HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"CONNECT a:22 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /tr HTTP/1.0\r\n\r\n",
        b"GET /tr\r\n\r\n",
        b"\r\n\r\n",
        b"\x00" * 20 + b"\r\n\r\n",
    ],
)
def test_what_two_readers_could_understand_differently_is_not_taken(head: bytes) -> None:
    reading = reader()
    reading.receive(head)
    with pytest.raises(ForeignError):
        reading.head()
    assert reading.unread() == head


@pytest.mark.parametrize("sent", [GET, POST, CHUNKED])
def test_empty_lines_are_not_the_request_before_once_more(sent: bytes) -> None:
    with pytest.raises(ForeignError):
        requests([sent, b"\r\n\r\n"])


def test_a_broken_chunk_is_not_taken() -> None:
    reading = reader()
    reading.receive(CHUNKED.replace(b"5;x=y", b"zz"))
    assert reading.head()
    with pytest.raises(ForeignError):
        reading.body()


def test_a_head_has_a_limit_before_it_ends() -> None:
    reading = reader(max_head=100)
    reading.receive(b"GET /tr HTTP/1.1\r\nX: " + b"x" * 100)
    with pytest.raises(TooLargeError) as raised:
        reading.head()
    assert raised.value.status == 431


@pytest.mark.parametrize("framing", [b"Content-Length: 101", b"Transfer-Encoding: chunked"])
def test_a_body_has_a_limit_before_it_ends(framing: bytes) -> None:
    reading = reader(max_body=100)
    reading.receive(b"POST /tr HTTP/1.1\r\n%s\r\n\r\n" % framing + b"65\r\n" + b"x" * 101)
    assert reading.head()
    with pytest.raises(TooLargeError) as raised:
        reading.body()
    assert raised.value.status == 413


def test_the_host_is_known_when_there_is_exactly_one() -> None:
    for hosts, expected in (["PX.Shop.example:8080"], "px.shop.example"), (["a", "b"], ""), ([], ""):
        reading = reader()
        reading.receive(b"GET / HTTP/1.1\r\n%s\r\n" % b"".join(b"Host: %s\r\n" % host.encode() for host in hosts))
        head = reading.head()
        assert head
        assert head.host == expected


@given(st.lists(st.tuples(st.sampled_from([b"Cookie", b"cookie", b"X-A", b"x-a", b"Accept"]), st.binary()), max_size=5))
def test_repeated_headers_are_joined_in_their_order(fields: list[tuple[bytes, bytes]]) -> None:
    joined = joined_headers(fields)
    assert set(joined) == {name.decode().lower() for name, _ in fields}
    for name, value in joined.items():
        sent = [one.decode("utf-8", "replace") for raw_name, one in fields if raw_name.decode().lower() == name]
        assert value == ("; " if name == "cookie" else ", ").join(sent)


def test_a_tls_handshake_is_no_head_that_is_still_to_end() -> None:
    reading = reader()
    reading.receive(b"\x16\x03\x01\x02\x00")
    with pytest.raises(ForeignError):
        reading.head()


def test_an_answer_to_head_has_the_length_and_not_the_body() -> None:
    answer = Answer(200, "image/gif", b"GIF89a")
    assert answer_bytes(answer, close=False, bodiless=True).endswith(b"Content-Length: 6\r\n\r\n")


def test_nearly_every_answer_is_printed_as_any_other_like_it_is() -> None:
    assert answer_bytes(EMPTY, close=False) == answer_bytes(replace(EMPTY), close=False)
    assert b"\r\nConnection: close\r\n" in answer_bytes(EMPTY, close=True)


def test_an_answer_without_content_has_no_length() -> None:
    assert b"Content-Length" not in answer_bytes(Answer(204, "text/plain"), close=False)
    assert b"\r\nContent-Length: 0\r\n" in answer_bytes(EMPTY, close=False)
