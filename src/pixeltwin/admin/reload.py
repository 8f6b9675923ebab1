"""`POST /api/reload`: the config file is read again, as after SIGHUP. `guard.py` asks for the token."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixeltwin.admin.records import Json
from pixeltwin.errors import Problem


class ReloadView(Protocol):
    """Who reads the file; a `Reloader` fits."""

    @property
    def config_digest(self) -> str: ...

    async def reload(self) -> Sequence[Problem]:
        """Read the file again; answers what is wrong with it, and then nothing has changed."""


class Reloading:
    """The endpoint."""

    def __init__(self, view: ReloadView) -> None:
        self._view = view

    def routes(self) -> list[Route]:
        return [Route("/api/reload", self.reload, methods=["POST"])]

    async def reload(self, _: Request) -> Response:
        """200 with the digest of the config that counts now; 422 with every problem, and nothing has changed."""
        problems = await self._view.reload()
        if not problems:
            return Json({"config": self._view.config_digest})
        told = [_told(problem) for problem in problems]
        return Json({"error": "nothing has changed", "problems": told, "config": self._view.config_digest}, 422)


def _told(problem: Problem) -> dict[str, Any]:
    return {**asdict(problem), "text": str(problem)}
