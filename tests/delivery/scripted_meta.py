"""Graph on a loopback port, whose answers a test writes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixeltwin.sandbox.server import serving


@dataclass(frozen=True)
class Post:
    """What arrived: whose events, with which token and test event code."""

    pixel_id: str
    events: list[dict[str, Any]]
    token: str
    test_event_code: str

    @property
    def names(self) -> list[str]:
        return [event["event_id"] for event in self.events]


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def took(post: Post, **headers: str) -> Answer:
    return Answer(200, orjson.dumps({"events_received": len(post.events), "fbtrace_id": "A1"}), headers)


def error(
    status: int, code: int, subcode: int = 0, *, headers: Mapping[str, str] | None = None, **more: object
) -> Answer:
    body = {"error": {"message": "m", "code": code, "error_subcode": subcode, **more}}
    return Answer(status, orjson.dumps(body), headers or {})


def refusing(*bad: str, code: int = 100, subcode: int = 2804050, blame: bool = False) -> Callable[[Post], Answer]:
    """Refuses a batch for any of these events, as Meta does, and may say which."""

    def answer(post: Post) -> Answer:
        at = [position for position, name in enumerate(post.names) if name in bad]
        data = {"error_data": {"blame_field_specs": [["data", str(at[0])]]}} if blame and at else {}
        return error(400, code, subcode, error_user_title="Not Enough", **data) if at else took(post)

    return answer


class ScriptedMeta:
    """`answer` is asked about every post; `posts` are those that came, `most_at_once` how many were under way."""

    def __init__(self, answer: Answer | Callable[[Post], Answer] = took) -> None:
        self.answer = answer
        self.posts: list[Post] = []
        self.at_once = self.most_at_once = 0
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ScriptedMeta"]:
        app = Starlette(routes=[Route("/v26.0/{pixel_id}/events", self._events, methods=["POST"])])
        async with serving(app, port=0) as self.url:
            yield self

    async def _events(self, request: Request) -> Response:
        body = orjson.loads(await request.body())
        token = request.headers["authorization"].removeprefix("Bearer ")
        post = Post(request.path_params["pixel_id"], body["data"], token, body.get("test_event_code", ""))
        self.posts.append(post)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self.answer(post) if callable(self.answer) else self.answer
            await asyncio.sleep(answer.seconds)
        finally:
            self.at_once -= 1
        return Response(answer.body, answer.status, answer.headers, "application/json")
