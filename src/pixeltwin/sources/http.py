"""Kind `http`: customers as JSON from a service of yours, one call a key or one call a look-up.

The host is fixed by the config, keys are percent-encoded, no redirect is followed, answers are bounded (THREATS T20).
"""

import asyncio
import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import quote, urlsplit

import httpx
import orjson
from pydantic import AfterValidator, Field, SecretStr, model_validator

from pixeltwin.enrich.guarded import Guarded
from pixeltwin.enrich.source import Row, SourceSettings
from pixeltwin.units import Size, wrong

PLACE: Final = "{key}"
# A service's words for "no such customer". One that refuses an odd key must not fail the others of the look-up.
UNKNOWN: Final = {
    HTTPStatus.NO_CONTENT,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.GONE,
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
STEPS: Final = {".", ".."}  # keys that a server would take for a step up the path, encoded or not
LOOPBACK: Final = re.compile(r"localhost|127\.[0-9.]+|::1")


def check_url(text: str) -> str:
    """An absolute URL on a host of its own. Plain http is for loopback: elsewhere customers could be read along."""
    parts = urlsplit(text)
    host = parts.hostname or ""
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and LOOPBACK.fullmatch(host))
    if not is_safe or not host or "@" in parts.netloc or "{" in parts.netloc:
        raise wrong("write https://host/path (or http:// for loopback); the host is fixed, passwords go into headers")
    return text


Url = Annotated[str, AfterValidator(check_url)]


class Settings(SourceSettings):
    """Either `url` with `{key}` in its path or query, or `batch_url`, to which {"keys": […]} is posted.

    The first answers with a customer's object, the second with {key: object}. `headers` come from `${…}`. `concurrency`
    is how many calls of one look-up run at a time, `max_answer` how long an answer may be.
    """

    kind: Literal["http"]
    url: Url | None = None
    batch_url: Url | None = None
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)
    concurrency: Annotated[int, Field(gt=0, le=100)] = 10
    max_answer: Size = 1 << 20

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (self.batch_url is None):
            raise wrong("write either url or batch_url", at=("batch_url",) if self.url else ())
        if self.url and PLACE not in self.url:
            remedy = f"write {PLACE} where the customer's key goes: https://shop.example/customers/{PLACE}"
            raise wrong(remedy, at=("url",))
        return self


class HttpQuery:
    """One client; connections are kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.concurrency)
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._client = httpx.AsyncClient(
            headers={**headers, "accept": "application/json", "accept-encoding": "identity"},
            timeout=settings.timeout,
            trust_env=False,  # a proxy variable would send customers' keys somewhere else
            follow_redirects=False,
        )

    async def fetch(self, keys: Collection[str]) -> Mapping[str, Row]:
        try:
            rows = await (self._batch(keys) if self._settings.batch_url else self._singly(keys))
        except httpx.HTTPError as error:
            raise OSError(type(error).__name__) from None
        return {key: row for key, row in rows.items() if isinstance(row, dict)}

    async def close(self) -> None:
        await self._client.aclose()

    async def _singly(self, keys: Collection[str]) -> Mapping[str, Any]:
        asked = [key for key in keys if key not in STEPS]
        calls = [asyncio.ensure_future(self._one(key)) for key in asked]
        try:
            return dict(zip(asked, await asyncio.gather(*calls), strict=True))
        finally:
            for call in calls:  # one failed: the look-up has, and the rest need not run
                call.cancel()

    async def _one(self, key: str) -> Any:
        url = str(self._settings.url).replace(PLACE, quote(key, safe=""))
        async with self._slots:
            return await self._json("GET", url)

    async def _batch(self, keys: Collection[str]) -> Mapping[str, Any]:
        body = orjson.dumps({"keys": list(keys)})
        answer = await self._json("POST", str(self._settings.batch_url), body)
        if not isinstance(answer, dict):
            raise OSError("the answer is no object of customers by key")
        return answer

    async def _json(self, method: str, url: str, body: bytes | None = None) -> Any:
        """What the answer says; None where it says that there is nothing."""
        headers = {"content-type": "application/json"} if body else {}
        async with self._client.stream(method, url, content=body, headers=headers) as response:
            if response.status_code in UNKNOWN:
                return None
            if response.status_code != HTTPStatus.OK:
                raise OSError(f"status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise OSError("the answer is compressed, though that was not asked for")
            return orjson.loads(await self._bounded(response))

    async def _bounded(self, response: httpx.Response) -> bytes:
        content = bytearray()
        async for part in response.aiter_raw():
            content += part
            if len(content) > self._settings.max_answer:
                raise OSError("the answer is too long")
        return bytes(content)


def open_source(settings: Settings, base: Path) -> Guarded:
    """The service of these settings. Connects when asked."""
    return Guarded(HttpQuery(settings), settings)
