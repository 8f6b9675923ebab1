"""Customers put into the embedded store by the shop's own systems, and removed.

`guard.py` lets nobody come here who has not shown the token. What Meta matches people by is stored as hashes alone.
"""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixeltwin.admin.bodies import json_body
from pixeltwin.admin.records import Json
from pixeltwin.sources.embedded.customer import Customer
from pixeltwin.telemetry import log

MOST: Final = 1000  # customers in one request
OWN_FIELDS: Final = ("key", "custom_data", "profile")  # the others are Meta's keys


class CustomerStore(Protocol):
    """A store of customers; a source of kind `embedded` fits."""

    async def put_all(self, customers: Sequence[Customer]) -> Sequence[str]:
        """Store them in place of what was known, all or none; answers the names of values that cannot be used.

        Raises `ValueError`, whose text names the field at fault and repeats no value, and `OSError`.
        """

    async def forget(self, keys: Collection[str]) -> int:
        """Remove customers; how many were known. Raises `OSError`."""


class CustomersView(Protocol):
    """What of a gateway takes customers; the gateway itself fits."""

    @property
    def admin_token(self) -> str:
        """What a request has to bear; empty: no request may change anything."""

    @property
    def customer_stores(self) -> Mapping[str, CustomerStore]:
        """The sources of kind `embedded`, by name."""


class Customers:
    """`PUT /api/customers` and `DELETE /api/customers/{key}`, with `?source=` where there are several."""

    def __init__(self, view: CustomersView) -> None:
        self._view = view

    def routes(self) -> list[Route]:
        return [
            Route("/api/customers", self.put, methods=["PUT"]),
            Route("/api/customers/{key:path}", self.forget, methods=["DELETE"]),
        ]

    async def put(self, request: Request) -> Response:
        """204; 200 with the names of what was left out, where a value cannot be used."""
        store = self._store(request)
        body = await json_body(request)
        try:
            customers = read_customers(body)
            _check_number(customers)
            left_out = await _written(store.put_all(customers))
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        return Json({"left_out": left_out}) if left_out else Response(status_code=204)

    async def forget(self, request: Request) -> Response:
        """204, or 404 for a customer who was not known."""
        if not await _written(self._store(request).forget([request.path_params["key"]])):
            raise HTTPException(404, "no such customer")
        return Response(status_code=204)

    def _store(self, request: Request) -> CustomerStore:
        """The store that is meant."""
        stores = self._view.customer_stores
        names = ", ".join(stores) or "none"
        name = request.query_params.get("source", next(iter(stores)) if len(stores) == 1 else "")
        if name in stores:
            return stores[name]
        if not name and stores:
            raise HTTPException(400, f"source: say with ?source= which one is meant: {names}")
        raise HTTPException(404, f"source: no source of kind embedded has that name; there are: {names}")


def read_customers(body: bytes) -> list[Customer]:
    """The customers of a JSON text: one object, or a list. Raises `ValueError`, which repeats no value."""
    try:
        given = orjson.loads(body)
    except ValueError:
        raise ValueError("the body is no JSON") from None
    if not isinstance(given, list):
        return [_customer(given, "")]
    return [_customer(item, f"[{index}].") for index, item in enumerate(given)]


def _customer(given: Any, place: str) -> Customer:
    if not isinstance(given, dict):
        raise ValueError(f"{place or 'the body: '}an object is wanted, with key, Meta's keys, custom_data, profile")
    user_data = {name: value for name, value in given.items() if name not in OWN_FIELDS}
    custom_data, facts = (_object(given, name, place) for name in ("custom_data", "profile"))
    return Customer(_key(given, place), user_data, custom_data, facts, place)


def _key(given: Mapping[str, Any], place: str) -> str:
    key = given.get("key")
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise ValueError(f"{place}key: the customer's key is wanted, as text")
    return str(key)


def _object(given: Mapping[str, Any], name: str, place: str) -> Mapping[str, Any]:
    value = given.get(name)
    if not isinstance(value, dict | None):
        raise ValueError(f"{place}{name}: an object is wanted")
    return value or {}


def _check_number(customers: Sequence[Customer]) -> None:
    if len(customers) > MOST:
        raise HTTPException(413, f"at most {MOST} customers can be put at once")


async def _written[T](change: Awaitable[T]) -> T:
    try:
        return await change
    except OSError as error:
        log.error("customers could not be stored", error=str(error))
        raise HTTPException(503, "the store cannot be written now") from None
