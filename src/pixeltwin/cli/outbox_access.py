"""The way to an outbox: opened here where it can be, else by way of the gateway that holds it.

Both ways speak the admin listener's API, so that a command does not care which one it goes.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from itertools import batched
from typing import Any, Final

import httpx
import typer
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from pixeltwin.admin.errors import refusal
from pixeltwin.admin.outbox import MOST, OutboxPages
from pixeltwin.config import Config
from pixeltwin.delivery.outbox import Outbox
from pixeltwin.errors import UnreachableError
from pixeltwin.outboxes import memory, open_outbox, sqlite

NO_TOKEN: Final = (
    "the gateway that runs changes letters for nobody but who has its token: "  # noqa: S105  a sentence
    "set admin.token in the config file and start it again, or stop it first"
)
TIMEOUT: Final = 30.0  # seconds; sums look at many items

type Entry = dict[str, Any]


class Access:
    """The API's answers. Raises `OSError` for what is refused, `UnreachableError` where nobody answers any more."""

    def __init__(self, client: httpx.AsyncClient, *, may_change: bool) -> None:
        self._client = client
        self.may_change = may_change

    async def pixels(self, pixel_id: str | None) -> tuple[list[Entry], bool]:
        """The sums by pixel, and whether they are complete."""
        told = await self._ask("GET", "/api/outbox/pixels", params=_given(pixel_id=pixel_id))
        return told["pixels"], told["complete"]

    async def books(self) -> Entry:
        """The `tally` and what is `unaccounted`, each by destination."""
        told: Entry = await self._ask("GET", "/api/outbox")
        return told

    async def entries(self, what: str, *, full: bool = False, **wanted: str | None) -> AsyncIterator[Entry]:
        """All `letters`, or all that is `waiting`, that are as wanted, by their numbers."""
        query = _given(**wanted, full="1" if full else None)
        after: int | None = 0
        while after is not None:
            page = await self._ask("GET", f"/api/outbox/{what}", params=query | {"after": after, "limit": MOST})
            for entry in page[what]:
                yield entry
            after = page["next"]

    async def find(self, what: str, seq: int) -> Entry | None:
        """The one of that number."""
        page = await self._ask("GET", f"/api/outbox/{what}", params={"after": seq - 1, "limit": 1, "full": "1"})
        return next((entry for entry in page[what] if entry["seq"] == seq), None)

    async def requeue(self, seqs: Collection[int]) -> int:
        return await self._change("requeue", "requeued", seqs)

    async def discard(self, seqs: Collection[int]) -> int:
        return await self._change("discard", "discarded", seqs)

    async def forget(self, keys: Collection[str], source: str | None) -> Entry:
        """How many of each went; a gateway alone can be asked."""
        told: Entry = await self._ask("POST", "/api/customers/forget", json={"keys": [*keys], "source": source})
        return told

    def check_may_change(self) -> None:
        """Raises `ValueError` where the token is missing."""
        if not self.may_change:
            raise ValueError(NO_TOKEN)

    async def _change(self, path: str, done: str, seqs: Collection[int]) -> int:
        self.check_may_change()
        bodies = ({"seqs": some} for some in batched(seqs, MOST))
        return sum([(await self._ask("POST", f"/api/outbox/{path}", json=body))[done] for body in bodies])

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            response = await self._client.request(method, path, **more)
            told = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise UnreachableError(f"the gateway at {self._client.base_url} does not answer: {error!r}") from error
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # a database that is away, for one
            raise UnreachableError(told["error"])
        if response.is_error:
            raise OSError(f"refused: {told.get('error')}")
        return told


@asynccontextmanager
async def access_to(config: Config) -> AsyncIterator[Access]:
    """The config's outbox. Raises `UnreachableError`, which says what was tried."""
    outbox, why = None, _nothing_here(config)
    try:
        outbox = await opened(config)
    except OSError as error:
        why = str(error)
    if outbox is None:
        async with by_gateway(config, why) as access:
            yield access
        return
    app = Starlette(routes=OutboxPages(outbox).routes(), exception_handlers={HTTPException: refusal})
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            yield Access(client, may_change=True)
    finally:
        await outbox.close()


async def opened(config: Config) -> Outbox | None:
    """The outbox; None where there is nothing on this machine's disk. Raises `OSError` where it cannot be had."""
    return None if _nothing_here(config) else await open_outbox(config.outbox, base=config.base)


def _nothing_here(config: Config) -> str:
    """Why there is nothing to open; who looks does not make a file."""
    settings = config.outbox
    if isinstance(settings, memory.Settings):
        return "the outbox is in the memory of the gateway that runs"
    if isinstance(settings, sqlite.Settings) and not (config.base / settings.path).exists():
        return f"there is no file {config.base / settings.path}"
    return ""


@asynccontextmanager
async def by_gateway(config: Config, why: str) -> AsyncIterator[Access]:
    """The outbox by way of the gateway that runs. Raises `UnreachableError`, which begins with `why` it has to be."""
    if config.admin is None:
        raise UnreachableError(f"{why}; and a gateway of this config has no admin listener to ask")
    token = config.admin.token.get_secret_value() if config.admin.token else ""
    headers = {b"Authorization": f"Bearer {token}".encode()} if token else {}
    url = f"http://{config.admin.listen}"
    # no proxy of the environment: the listener is on this machine
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT, trust_env=False) as client:
        await _check_gateway(client, config, why)
        yield Access(client, may_change=bool(token))


async def _check_gateway(client: httpx.AsyncClient, config: Config, why: str) -> None:
    try:
        running = (await client.get("/readyz")).json()["config"]
    except httpx.HTTPError:
        raise UnreachableError(f"{why}; and no gateway answers at {client.base_url}") from None
    except (ValueError, KeyError, TypeError):
        raise UnreachableError(f"{why}; and what answers at {client.base_url} is no pixeltwin") from None
    if running != config.digest:
        typer.echo(f"warning: the gateway at {client.base_url} runs another config than this file", err=True)


def _given(**query: str | None) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def pixel_id_of(config: Config, pixel: str | None) -> str | None:
    """The id of a pixel that is given by name or by id. Raises `ValueError`."""
    names = {known.name: known.id for known in config.pixels}
    if pixel is None or pixel in names:
        return pixel and names[pixel]
    if pixel.isascii() and pixel.isdecimal():  # one that was configured once may have letters still
        return pixel
    raise ValueError(f"--pixel {pixel}: the pixels of this config are: {', '.join(names)}")
