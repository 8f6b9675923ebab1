"""Other values for some parameters of a hit, in the bytes of its request (PROTOCOL 3.4, 4.4).

The counterpart of `parse_hit`: names are compared decoded, since `cd[value]` and `cd%5Bvalue%5D` are one, and every
byte of what is not changed stays as it was, in all three encodings.
"""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, quote

from pixeltwin.pixel import multipart
from pixeltwin.pixel.hit import FORM, MULTIPART, body_type
from pixeltwin.pixel.multipart import Change
from pixeltwin.pixel.request import HitRequest


def rewrite(request: HitRequest, changes: Mapping[str, str | None]) -> HitRequest:
    """The request with other values for the parameters of these names, wherever they occur; None removes them."""
    return rewrite_each(request, lambda name, value: changes.get(name, value))


def rewrite_each(request: HitRequest, change: Change) -> HitRequest:
    """The request with the values that `change` gives; the same object when it changes none.

    For requests that `parse_hit` can read. A body that is neither a form nor multipart stays as it is.
    """
    query, body = _form(request.query, change), _body(request, change)
    if (query, body) == (request.query, request.body):
        return request
    return replace(request, query=query, body=body)


def put(request: HitRequest, name: str, value: str) -> HitRequest:
    """The request with this value wherever the parameter occurs; where it does not, it is added."""
    found = False

    def change(other: str, given: str) -> str:
        nonlocal found
        found = found or other == name
        return value if other == name else given

    changed = rewrite_each(request, change)
    return changed if found else add(request, name, value)


def add(request: HitRequest, name: str, value: str) -> HitRequest:
    """The request with one more parameter, where the hit's others are; every other byte as it was."""
    kind = body_type(request)
    if kind == MULTIPART:
        boundary = multipart.boundary_of(request.header("content-type"))
        return replace(request, body=multipart.insert(request.body, boundary, name, value))
    pair = f"{quote(name, safe='')}={quote(value, safe='', errors='replace')}".encode()
    if kind == FORM:
        return replace(request, body=_with(request.body, pair))
    return replace(request, query=_with(request.query, pair))


def _with(raw: bytes, pair: bytes) -> bytes:
    return raw + (b"&" if raw and not raw.endswith(b"&") else b"") + pair


def _body(request: HitRequest, change: Change) -> bytes:
    kind = body_type(request)
    if kind == FORM:
        return _form(request.body, change)
    if kind == MULTIPART:
        boundary = multipart.boundary_of(request.header("content-type"))
        return multipart.change_values(request.body, boundary, change)
    return request.body


def _form(raw: bytes, change: Change) -> bytes:
    pairs = (_pair(pair, change) for pair in raw.split(b"&"))
    return b"&".join(pair for pair in pairs if pair is not None)


def _pair(raw: bytes, change: Change) -> bytes | None:
    for name, value in parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, errors="replace"):
        changed = change(name, value)
        if changed is None:
            return None
        if changed != value:
            return raw.partition(b"=")[0] + b"=" + quote(changed, safe="", errors="replace").encode()
    return raw  # also the nothing between two &
