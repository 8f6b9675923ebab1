"""What a request without sense is answered."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pixeltwin.admin.records import Json


async def refusal(_: Request, error: Exception) -> Response:
    """The handler of `HTTPException`: its sentence as `{"error": …}`."""
    assert isinstance(error, HTTPException)  # noqa: S101  what it is registered for
    return Json({"error": error.detail}, error.status_code, headers=error.headers)


def number(text: str, name: str, most: int) -> int:
    """The number of a query's parameter. Raises `HTTPException`, which names the parameter."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and int(text) <= most):
        raise HTTPException(400, f"{name}: a number from 0 to {most} is wanted, not {text[:100]!r}")
    return int(text)
