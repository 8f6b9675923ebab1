"""`POST /api/reload`: with the token alone, and every problem is answered with its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import pytest

from pixeltwin.admin.app import create_app
from pixeltwin.errors import Problem
from tests.admin.factories import View

TOKEN = "correct-horse-battery-staple"
PROBLEM = Problem("shop.yaml", 3, 9, "outbox.path", "changed", "restart to change outbox.path", "outbox: { path: b }")


@dataclass
class File:
    """A config file with these problems."""

    problems: Sequence[Problem] = ()
    config_digest: str = "d1"
    reads: int = 0
    admin_token: str = TOKEN
    customer_stores: Mapping[str, object] = field(default_factory=dict)

    async def reload(self) -> Sequence[Problem]:
        self.reads += 1
        return self.problems


async def post(file: File, token: str = TOKEN, *, offered: bool = True) -> httpx.Response:
    app = create_app(View(), customers=file, reloading=file if offered else None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as admin:
        return await admin.post("/api/reload", headers={"authorization": f"Bearer {token}"})


async def test_a_good_file_is_answered_with_its_digest():
    answer = await post(File())
    assert (answer.status_code, answer.json()) == (200, {"config": "d1"})


async def test_problems_are_answered_with_their_places():
    answer = await post(File([PROBLEM]))
    assert answer.status_code == 422
    (told,) = answer.json()["problems"]
    assert (told["file"], told["line"], told["column"], told["key"]) == ("shop.yaml", 3, 9, "outbox.path")
    assert told["text"] == str(PROBLEM)
    assert answer.json()["config"] == "d1"


@pytest.mark.parametrize(("file", "token", "status"), [(File(), "wrong", 401), (File(admin_token=""), TOKEN, 403)])
async def test_without_the_token_nothing_is_read(file, token, status):
    assert (await post(file, token)).status_code == status
    assert file.reads == 0


async def test_where_nothing_can_be_reloaded_there_is_no_such_page():
    assert (await post(File(), offered=False)).status_code == 404
