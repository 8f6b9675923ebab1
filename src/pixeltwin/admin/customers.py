"""Customers put into the embedded store by the shop's own systems, and removed.

`guard.py` lets nobody come here who has not shown the token. What Meta matches people by is stored as hashes alone.
"""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, Protocol

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixeltwin.admin.bodies import json_body
from pixeltwin.admin.records import Json
from pixeltwin.gateway.forgetting import Forgotten
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


class CustomersView(Protocol):
    """What of a gateway takes customers; the gateway itself fits."""

    @property
    def admin_token(self) -> str:
        """What a request has to bear; empty: no request may change anything."""

    @property
    def customer_stores(self) -> Mapping[str, CustomerStore]:
        """The sources of kind `embedded`, by name."""

    async def forget(self, keys: Collection[str], source: str | None = None) -> Forgotten:
        """Remove whatever is kept of people. Raises `ValueError` for a source that is none, and `OSError`."""


class Customers:
    """`PUT /api/customers` and `DELETE /api/customers/{key}`, with `?source=` where there are several stores.

    A customer is forgotten everywhere. `POST /api/customers/forget` does so with `{"keys": ["…"], "source": null}`, and
    tells how many of each went.
    """

    def __init__(self, view: CustomersView) -> None:
        self._view = view

    def routes(self) -> list[Route]:
        return [
            Route("/api/customers", self.put, methods=["PUT"]),
            Route("/api/customers/forget", self.forget_all, methods=["POST"]),
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
        """204, or 404 for a customer of whom nothing was known."""
        source = request.query_params.get("source")
        if source is None and len(self._view.customer_stores) > 1:
            raise self._ambiguous()
        told = await self._forgotten([request.path_params["key"]], source)
        if not told.total:
            raise HTTPException(404, "no such customer")
        return Response(status_code=204)

    async def forget_all(self, request: Request) -> Response:
        """How many of each went."""
        keys, source = read_people(await json_body(request))
        return Json(asdict(await self._forgotten(keys, source)))

    async def _forgotten(self, keys: Collection[str], source: str | None) -> Forgotten:
        try:
            return await _written(self._view.forget(keys, source))
        except ValueError as error:
            raise HTTPException(404, str(error)) from None

    def _ambiguous(self) -> HTTPException:
        names = ", ".join(self._view.customer_stores)
        return HTTPException(400, f"source: say with ?source= which one is meant: {names}")

    def _store(self, request: Request) -> CustomerStore:
        """The store that is meant."""
        stores = self._view.customer_stores
        names = ", ".join(stores) or "none"
        name = request.query_params.get("source", next(iter(stores)) if len(stores) == 1 else "")
        if name in stores:
            return stores[name]
        if not name and stores:
            raise self._ambiguous()
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


def read_people(body: bytes) -> tuple[list[str], str | None]:
    """The keys of a JSON text, and the source that they are of."""
    try:
        given = orjson.loads(body)
    except ValueError:
        raise HTTPException(400, "the body is no JSON") from None
    keys, source = (given.get("keys"), given.get("source")) if isinstance(given, dict) else (None, None)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise HTTPException(400, "keys: a list of keys, addresses, numbers or hashes is wanted, as text")
    if not isinstance(source, str | None):
        raise HTTPException(400, "source: the name of a source is wanted")
    _check_number(keys)
    return keys, source


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


def _check_number(customers: Sequence[Customer | str]) -> None:
    if len(customers) > MOST:
        raise HTTPException(413, f"at most {MOST} customers can be named at once")


async def _written[T](change: Awaitable[T]) -> T:
    try:
        return await change
    except OSError as error:
        log.error("customers could not be stored", error=str(error))
        raise HTTPException(503, "the store cannot be written now") from None
