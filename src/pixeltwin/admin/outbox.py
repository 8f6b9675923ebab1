"""The outbox over the admin listener: what waits, what was not delivered, and what to do about that.

`GET /api/outbox` sums it up, `/api/outbox/pixels` by pixel; `/api/outbox/letters` and `/api/outbox/waiting` list it in
pages. `POST /api/outbox/requeue` and `/api/outbox/discard` change letters; `guard.py` lets nobody come there without
the token. `pixeltwin outbox` serves the same app to itself over an outbox that no gateway holds.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, Protocol

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixeltwin.admin.bodies import json_body
from pixeltwin.admin.errors import number
from pixeltwin.admin.outbox_entries import PixelLine, entry
from pixeltwin.admin.records import Json
from pixeltwin.delivery.outbox import Depth, Letter, Park, Tally, Waiting
from pixeltwin.telemetry import log

MOST: Final = 1000  # letters or items that are looked at for one page, or changed at once
MOST_COUNTED: Final = 20_000  # items, and letters, that the sums by pixel look at: half a second of an engine's time
LARGEST_SEQ: Final = 2**63 - 1


class OutboxView(Protocol):
    """What of an outbox is shown and changed here; an engine fits, and so does the gateway. All raise `OSError`."""

    async def letters(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = 100
    ) -> list[Letter]: ...
    async def waiting(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = 100
    ) -> list[Waiting]: ...
    async def requeue(self, seqs: Collection[int]) -> int: ...
    async def discard(self, seqs: Collection[int]) -> int: ...
    async def tally(self) -> Mapping[str, Tally]: ...
    async def unaccounted(self) -> Mapping[str, int]: ...
    async def parks(self) -> Mapping[tuple[str, str], Park]: ...
    async def stats(self) -> Mapping[str, Depth]: ...


class OutboxPages:
    """The endpoints."""

    def __init__(self, view: OutboxView) -> None:
        self._view = view

    def routes(self) -> list[Route]:
        return [
            Route("/api/outbox", self.sums),
            Route("/api/outbox/pixels", self.pixels),
            Route("/api/outbox/letters", self.letters),
            Route("/api/outbox/waiting", self.waiting),
            Route("/api/outbox/requeue", self.requeue, methods=["POST"]),
            Route("/api/outbox/discard", self.discard, methods=["POST"]),
        ]

    async def sums(self, _: Request) -> Response:
        """Depth by destination, `tally` by destination, what of it is `unaccounted`, and the `parks`."""
        depths, tallies = await _answered(self._view.stats()), await _answered(self._view.tally())
        unaccounted = await _answered(self._view.unaccounted())
        parks = await _answered(self._view.parks())
        return Json(
            {
                **_as_json(depths),
                "tally": _as_json(tallies),
                "unaccounted": dict(unaccounted),
                "parks": [
                    {"destination": destination, "pixel_id": pixel_id, **asdict(park)}
                    for (destination, pixel_id), park in parks.items()
                ],
            }
        )

    async def pixels(self, request: Request) -> Response:
        """A line a destination and pixel, of `?pixel_id=` alone if that is given.

        Not `complete` where there are more items or letters than are counted.
        """
        lines, complete = await _answered(_lines(self._view, request.query_params.get("pixel_id")))
        return Json({"pixels": [line.as_json() for line in lines], "complete": complete})

    async def letters(self, request: Request) -> Response:
        return await self._page(request, "letters")

    async def waiting(self, request: Request) -> Response:
        return await self._page(request, "waiting")

    async def _page(self, request: Request, what: str) -> Response:
        """Those after `after`, of up to `limit` looked at; `next` is where the next page begins, null at the end."""
        asked = request.query_params
        limit = number(asked.get("limit", "100"), "limit", MOST)
        find = self._view.letters if what == "letters" else self._view.waiting
        found: Sequence[Letter | Waiting] = await _answered(
            find(
                destination=asked.get("destination"),
                pixel_id=asked.get("pixel_id"),
                after=number(asked.get("after", "0"), "after", LARGEST_SEQ),
                limit=limit,
            )
        )
        entries = (entry(one, full="full" in asked) for one in found)
        last = found[-1].seq if limit and len(found) == limit else None
        return Json({what: [one for one in entries if _is_wanted(one, asked)], "next": last})

    async def requeue(self, request: Request) -> Response:
        """How many letters are items again; those past their deadline stay."""
        return Json({"requeued": await _answered(self._view.requeue(await _seqs(request)))})

    async def discard(self, request: Request) -> Response:
        return Json({"discarded": await _answered(self._view.discard(await _seqs(request)))})


async def _lines(view: OutboxView, pixel_id: str | None) -> tuple[list[PixelLine], bool]:
    lines: dict[tuple[str, str], PixelLine] = {}

    def line(destination: str, pixel: str) -> PixelLine:
        return lines.setdefault((destination, pixel), PixelLine(destination=destination, pixel_id=pixel))

    items = letters = 0
    async for item in _all(view.waiting, pixel_id):
        line(item.destination, item.pixel_id).add_waiting(item)
        items += 1
    async for letter in _all(view.letters, pixel_id):
        line(letter.destination, letter.pixel_id).add_letter(letter)
        letters += 1
    for (destination, pixel), park in (await view.parks()).items():
        if pixel_id in (None, pixel):
            line(destination, pixel).park(park)
    return [lines[name] for name in sorted(lines)], max(items, letters) < MOST_COUNTED


async def _all[T: (Letter, Waiting)](find: Callable[..., Awaitable[list[T]]], pixel_id: str | None) -> AsyncIterator[T]:
    """Page by page, as many as are counted."""
    after = 0
    for _ in range(MOST_COUNTED // MOST):
        page = await find(pixel_id=pixel_id, after=after, limit=MOST)
        for one in page:
            yield one
        if len(page) < MOST:
            return
        after = page[-1].seq


def _is_wanted(told: Mapping[str, Any], asked: Mapping[str, str]) -> bool:
    """Whether it is of the `code` and the `event_id` that were asked for; a code `100` means all its subcodes."""
    code, found = asked.get("code"), told.get("code", "")
    return (code is None or found == code or found.startswith(f"{code}/")) and (
        asked.get("event_id") in (None, told["event_id"])
    )


def _as_json(by_destination: Mapping[str, Depth] | Mapping[str, Tally]) -> dict[str, Any]:
    return {destination: asdict(one) for destination, one in by_destination.items()}


async def _seqs(request: Request) -> list[int]:
    """The letters that the body names: `{"seqs": [1, 2]}`."""
    try:
        given = orjson.loads(await json_body(request))
    except ValueError:
        raise HTTPException(400, "the body is no JSON") from None
    seqs = given.get("seqs") if isinstance(given, dict) else None
    if not isinstance(seqs, list) or not all(type(seq) is int and 0 < seq <= LARGEST_SEQ for seq in seqs):
        raise HTTPException(400, "seqs: a list of letters' numbers is wanted")
    if len(seqs) > MOST:
        raise HTTPException(413, f"at most {MOST} letters can be named at once")
    return seqs


async def _answered[T](work: Awaitable[T]) -> T:
    try:
        return await work
    except OSError as error:
        log.error("the outbox does not answer", error=str(error))
        raise HTTPException(503, f"the outbox cannot be used now: {error}") from None
