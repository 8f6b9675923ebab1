"""Kind `redis`: a hash or a JSON text a customer, in Redis or Valkey; a look-up is one round trip."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from pydantic import SecretStr

from pixeltwin.enrich.guarded import Guarded
from pixeltwin.enrich.source import Row, SourceSettings

if TYPE_CHECKING:
    from redis.asyncio import Redis

EXTRA: Final = "sources of kind redis need another package: pip install 'pixeltwin[redis]'"
LONGEST: Final = 1 << 20  # bytes of one customer


class Settings(SourceSettings):
    """`url` such as `redis://:password@host:6379/0` or `rediss://…`. A customer is at `prefix` + key.

    `format: hash` for fields (HGETALL), `format: json` for a text with one object (MGET).
    """

    kind: Literal["redis"]
    url: SecretStr
    prefix: str = ""
    format: Literal["hash", "json"] = "hash"


class RedisQuery:
    """One client; connections are kept."""

    def __init__(self, settings: Settings, client: "Redis") -> None:
        self._prefix = settings.prefix
        self._read = FORMATS[settings.format]
        self._client = client

    async def fetch(self, keys: Collection[str]) -> Mapping[str, Row]:
        from redis.exceptions import RedisError

        try:
            rows = await self._read(self._client, [f"{self._prefix}{key}" for key in keys])
        except RedisError as error:
            raise OSError(type(error).__name__) from None  # its text may repeat a value
        return {key: row for key, row in zip(keys, rows, strict=True) if row}

    async def close(self) -> None:
        await self._client.aclose()


async def _hashes(client: "Redis", keys: list[str]) -> list[Row]:
    async with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hgetall(key)
        found: list[Mapping[bytes, bytes]] = await pipeline.execute()
    for row in found:
        _check_length(sum(map(len, row.values())))
    return [{name.decode(): value.decode() for name, value in row.items()} for row in found]


async def _json(client: "Redis", keys: list[str]) -> list[Row]:
    found: list[bytes | str | None] = await client.mget(keys)
    return [_object(text) if text else {} for text in found]


def _object(text: bytes | str) -> Row:
    _check_length(len(text))
    row: Any = orjson.loads(text)
    if not isinstance(row, dict):
        raise OSError("a customer is no JSON object")
    return row


def _check_length(length: int) -> None:
    if length > LONGEST:
        raise OSError("a customer has more than 1 MiB")


FORMATS: Final = {"hash": _hashes, "json": _json}


def open_source(settings: Settings, base: Path) -> Guarded:
    """A client for the server of these settings. Connects when asked."""
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise OSError(EXTRA) from error
    client: Redis = Redis.from_url(
        settings.url.get_secret_value(),
        socket_timeout=settings.timeout,
        socket_connect_timeout=settings.timeout,
        retry=Retry(NoBackoff(), 1),  # a connection that the server closed meanwhile; the rest is the breaker's
    )
    return Guarded(RedisQuery(settings, client), settings)
