"""A service of yours: where calls may go, and with what."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pixeltwin.serving import serving
from pixeltwin.sources import http
from pixeltwin.sources.http import Settings


def chosen(**options) -> Settings:
    return Settings(**{"kind": "http", "key": "customer_id", "cache": None, **options})


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/{key}",
        "https://{key}/x",
        "https://x.{key}.example/",
        "https://user:canary@shop.example/{key}",
        "//shop.example/{key}",
        "ftp://shop.example/{key}",
        "file:///etc/{key}",
        "/customers/{key}",
        "{key}",
        "http://127.0.0.1.evil.example/{key}",
    ],
)
def test_only_a_fixed_host_over_tls_is_taken(url):
    with pytest.raises(ValueError, match="https://host/path") as caught:
        chosen(url=url)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/{key}", "http://localhost/c?id={key}", "http://[::1]/{key}"])
def test_plain_http_is_taken_on_loopback(url):
    assert chosen(url=url).url == url


@pytest.mark.parametrize("urls", [{}, {"url": "https://a.example/{key}", "batch_url": "https://a.example/"}])
def test_it_is_one_way_or_the_other(urls):
    with pytest.raises(ValueError, match="either url or batch_url"):
        chosen(**urls)


def test_a_url_without_the_key_is_refused():
    with pytest.raises(ValueError, match=r"\{key\}"):
        chosen(url="https://shop.example/customers")


async def called(keys: list[str], answer: Response, **options) -> list[Request]:
    """The requests that a look-up of those keys makes."""
    seen: list[Request] = []

    async def handle(request: Request) -> Response:
        seen.append(request)
        return answer

    async with serving(Starlette(routes=[Route("/{path:path}", handle)]), "127.0.0.1", 0) as base:
        source = http.open_source(chosen(url=f"{base}/v1/customers/{{key}}/data", **options), Path())
        await source.look_up(keys)
        await source.close()
    return seen


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a b", b"a%20b"),
        ("a/b", b"a%2Fb"),
        ("../../admin", b"..%2F..%2Fadmin"),
        ("a?x=1#y", b"a%3Fx%3D1%23y"),
        ("%2e%2e", b"%252e%252e"),
        ("@evil.example", b"%40evil.example"),
        ("{key}", b"%7Bkey%7D"),
        ("ü", b"%C3%BC"),
    ],
)
async def test_a_key_is_one_encoded_step_of_the_path(key, path):
    (request,) = await called([key], JSONResponse({}))
    assert request.scope["raw_path"] == b"/v1/customers/" + path + b"/data"
    assert request.url.query == ""


async def test_a_key_that_is_a_step_up_is_not_asked_for():
    assert await called([".", ".."], JSONResponse({})) == []


async def test_headers_are_sent_and_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    (request,) = await called(["k"], JSONResponse({}), headers={"authorization": "Bearer canary"})
    assert request.headers["authorization"] == "Bearer canary"
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [204, 400, 404, 410, 414, 422])
async def test_a_key_that_the_service_does_not_take_is_unknown(status):
    assert await called(["k"], Response(status_code=status))


@pytest.mark.parametrize("status", [301, 302, 401, 403, 429, 500, 503])
async def test_any_other_answer_is_none(status):
    with pytest.raises(OSError, match=str(status)):
        await called(["k"], Response(status_code=status, headers={"location": "https://evil.example/"}))


def test_settings_hide_the_headers():
    settings = chosen(url="https://a.example/{key}", headers={"authorization": "Bearer canary"})
    assert "canary" not in repr(settings)
    assert "canary" not in settings.model_dump_json()
