"""`PUT /api/customers` and `DELETE /api/customers/{key}`, over a real store."""

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.admin.app import create_app
from pixeltwin.admin.bodies import LONGEST
from pixeltwin.admin.customers import read_customers
from pixeltwin.capi.normalize import hashes
from pixeltwin.enrich.source import Columns, Profile
from pixeltwin.gateway.forgetting import Forgotten
from pixeltwin.sources import embedded
from pixeltwin.sources.embedded import WritableSource
from pixeltwin.sources.embedded.customer import profile_of_customer
from tests.admin.factories import View

TOKEN = "correct-horse-battery-staple-ü"
BEARER = {"Authorization": f"Bearer {TOKEN}".encode()}
EMAIL = "canary@example.com"
CUSTOMER = {
    "key": "cust-1001",
    "em": EMAIL,
    "custom_data": {"predicted_ltv": 300},
    "profile": {"orders": 3},
}


@dataclass
class Gateway:
    """What of a gateway the listener writes to."""

    customer_stores: Mapping[str, WritableSource] = field(default_factory=dict)
    admin_token: str = TOKEN

    async def forget(self, keys: Collection[str], source: str | None = None) -> Forgotten:
        if source is not None and source not in self.customer_stores:
            raise ValueError(f"source {source}: there is none")
        stores = [it for name, it in self.customer_stores.items() if source in (None, name)]
        return Forgotten(customers=sum([await store.forget(keys) for store in stores]))


def opened(folder: Path, name: str) -> WritableSource:
    settings = embedded.Settings(
        kind="embedded", key="id", path=f"{name}.db", custom_data={"predicted_ltv": "ltv"}, profile=["orders"]
    )
    return embedded.open_source(settings, folder)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[WritableSource]:
    store = opened(tmp_path, "customers")
    yield store
    await store.close()


@pytest.fixture
async def admin(view: View, store: WritableSource) -> AsyncIterator[httpx.AsyncClient]:
    async with client(view, Gateway({"customers": store})) as admin:
        yield admin


def client(view: View, gateway: Gateway | None, headers: Mapping[str, Any] = BEARER) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(view, customers=gateway))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090", headers=headers)


def error(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


async def test_a_customer_is_stored(admin, store) -> None:
    response = await admin.put("/api/customers", json=CUSTOMER)
    assert (response.status_code, response.content) == (204, b"")
    assert await store.look_up(["cust-1001"]) == {
        "cust-1001": Profile({"em": hashes("em", EMAIL)}, {"predicted_ltv": 300.0}, {"orders": 3})
    }


async def test_a_list_is_stored_as_one(admin, store) -> None:
    customers = [{"key": number, "em": [f"a{number}@example.com", "b@example.com"]} for number in range(1000)]
    assert (await admin.put("/api/customers", json=customers)).status_code == 204
    assert len(await store.look_up([str(number) for number in range(1000)])) == 1000


async def test_one_customer_at_fault_refuses_the_list(admin, store) -> None:
    response = await admin.put("/api/customers", json=[CUSTOMER, {"key": "b", "email": EMAIL}])
    status, said = error(response)
    assert (status, said.partition(":")[0]) == (400, "[1].email")
    assert await store.look_up(["cust-1001", "b"]) == {}


async def test_what_cannot_be_used_is_named_and_the_rest_stored(admin, store) -> None:
    customers = [CUSTOMER, {**CUSTOMER, "key": "b", "ph": "none", "profile": {"orders": EMAIL}}]
    response = await admin.put("/api/customers", json=customers)
    assert (response.status_code, response.json()) == (200, {"left_out": ["[1].user_data.ph", "[1].profile.orders"]})
    assert (await store.look_up(["b"]))["b"].facts == {}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "the body"),
        (b"canary@example.com", "the body"),
        (b'"canary@example.com"', "the body"),
        (b"null", "the body"),
        (b"[" * 100_000, "the body"),
        (b"[[]]", "[0].an object"),
        ({"em": EMAIL}, "key"),
        ({"key": None, "em": EMAIL}, "key"),
        ({"key": True, "em": EMAIL}, "key"),
        ({"key": "", "em": EMAIL}, "key"),
        ({"key": "canary\x01", "em": EMAIL}, "key"),
        ({"key": "canary" * 100, "em": EMAIL}, "key"),
        ({"key": "k"}, "customer"),
        ({"key": "k", "em": "canary"}, "customer"),
        ({"key": "k", "email": EMAIL}, "email"),
        ({"key": "k", "em": EMAIL, EMAIL: 1}, "a name"),
        ({"key": "k", "em": EMAIL, "custom_data": [EMAIL]}, "custom_data"),
        ({"key": "k", "em": EMAIL, "custom_data": {"colour": "canary"}}, "custom_data.colour"),
        ({"key": "k", "em": EMAIL, "profile": EMAIL}, "profile"),
        ({"key": "k", "em": EMAIL, "profile": {"age": 7}}, "profile.age"),
    ],
)
async def test_what_is_wrong_is_named_and_never_repeated(admin, store, body, place) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    response = await admin.put("/api/customers", content=content, headers={"Content-Type": "application/json"})
    status, said = error(response)
    assert status == 400
    assert said.startswith(place)
    assert "canary" not in response.text
    assert await store.look_up(["k"]) == {}


async def test_a_customer_is_forgotten(admin, store) -> None:
    await admin.put("/api/customers", json={**CUSTOMER, "key": "a/b?c ü"})
    response = await admin.delete("/api/customers/a%2Fb%3Fc%20%C3%BC")
    assert (response.status_code, response.content) == (204, b"")
    assert await store.look_up(["a/b?c ü"]) == {}
    assert error(await admin.delete("/api/customers/a%2Fb%3Fc%20%C3%BC")) == (404, "no such customer")


async def test_several_people_are_forgotten_at_once_and_their_number_is_told(admin, store) -> None:
    await admin.put("/api/customers", json=[{**CUSTOMER, "key": key} for key in ("a", "b", "c")])
    response = await admin.post("/api/customers/forget", json={"keys": ["a", "b", "x"]})
    assert (response.status_code, response.json()["customers"]) == (200, 2)
    assert (await store.look_up(["a", "b", "c"])).keys() == {"c"}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "the body is no JSON"),
        ([], 400, "keys: a list"),
        ({"keys": "a"}, 400, "keys: a list"),
        ({"keys": [1]}, 400, "keys: a list"),
        ({"keys": [], "source": 1}, 400, "source: the name"),
        ({"keys": ["a"], "source": "nowhere"}, 404, "source nowhere"),
        ({"keys": ["a"] * 1001}, 413, "at most 1000"),
    ],
)
async def test_nobody_is_forgotten_by_a_body_that_cannot_be_read(admin, body, status, said) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    response = await admin.post("/api/customers/forget", content=content, headers={"Content-Type": "application/json"})
    assert error(response)[0] == status
    assert error(response)[1].startswith(said)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_source_is_named_where_there_are_several(view, tmp_path, method) -> None:
    stores = {name: opened(tmp_path, name) for name in ("customers", "orders")}
    path = "/api/customers" if method == "PUT" else "/api/customers/cust-1001"
    body = {"json": CUSTOMER} if method == "PUT" else {}
    await stores["orders"].query.put("cust-1001", {"em": EMAIL})
    async with client(view, Gateway(stores)) as admin:
        status, said = error(await admin.request(method, path, **body))
        assert (status, "customers, orders" in said) == (400, True)
        assert error(await admin.request(method, f"{path}?source=nowhere", **body))[0] == 404
        assert (await admin.request(method, f"{path}?source=orders", **body)).status_code == 204
    known = await stores["orders"].look_up(["cust-1001"])
    assert ("cust-1001" in known) == (method == "PUT")
    assert await stores["customers"].look_up(["cust-1001"]) == {}
    for store in stores.values():
        await store.close()


async def test_without_a_store_there_is_nothing_to_write_to(view) -> None:
    async with client(view, Gateway()) as admin:
        assert error(await admin.put("/api/customers", json=CUSTOMER))[0] == 404


WRITES = [("PUT", "/api/customers"), ("DELETE", "/api/customers/cust-1001")]


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN} x", f"Bearer {TOKEN}x"],
)
async def test_nobody_writes_without_the_token(view, store, method, path, authorization) -> None:
    await store.query.put("cust-1001", {"em": EMAIL})
    headers = {"Cookie": f"token={TOKEN}".encode()}
    if authorization is not None:
        headers["Authorization"] = authorization.encode()
    async with client(view, Gateway({"customers": store}), headers=headers) as admin:
        response = await admin.request(method, path, json={**CUSTOMER, "profile": {"orders": 4}})
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert (await store.look_up(["cust-1001"]))["cust-1001"].facts == {}


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("headers", [BEARER, {"Authorization": "Bearer "}, {}])
async def test_without_a_configured_token_nobody_writes_and_is_told_why(view, store, method, path, headers) -> None:
    async with client(view, Gateway({"customers": store}, admin_token=""), headers=headers) as admin:
        status, said = error(await admin.request(method, path, json=CUSTOMER))
    assert (status, "admin.token" in said) == (403, True)


async def test_the_scheme_s_name_may_be_written_in_any_case(view, store) -> None:
    headers = {"Authorization": f"BEARER  {TOKEN}".encode()}
    async with client(view, Gateway({"customers": store}), headers=headers) as admin:
        assert (await admin.put("/api/customers", json=CUSTOMER)).status_code == 204


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_only_json_is_taken(admin, content_type) -> None:
    content = orjson.dumps(CUSTOMER)
    response = await admin.put("/api/customers", content=content, headers={"Content-Type": content_type})
    assert error(response)[0] == 415


async def test_json_may_name_its_charset_and_may_not_be_compressed(admin) -> None:
    content = orjson.dumps(CUSTOMER)
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert (await admin.put("/api/customers", content=content, headers=headers)).status_code == 204
    headers["Content-Encoding"] = "gzip"
    assert (await admin.put("/api/customers", content=content, headers=headers)).status_code == 415


async def test_too_much_is_refused_before_it_is_read(admin, store) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * LONGEST:
            sent += 1 << 16
            yield b" " * (1 << 16)

    headers = {"Content-Type": "application/json"}
    assert error(await admin.put("/api/customers", content=endless(), headers=headers))[0] == 413
    customers = [{**CUSTOMER, "key": str(number)} for number in range(1001)]
    assert error(await admin.put("/api/customers", json=customers))[0] == 413
    assert await store.look_up(["0"]) == {}


async def test_a_store_that_cannot_be_written_says_so(admin, store) -> None:
    await store.close()
    status, said = error(await admin.put("/api/customers", json=CUSTOMER))
    assert (status, said) == (503, "the store cannot be written now")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/customers", "PUT"),
        ("POST", "/api/customers", "PUT"),
        ("OPTIONS", "/api/customers", "PUT"),
        ("DELETE", "/api/customers", "PUT"),
        ("GET", "/api/customers/k", "DELETE"),
        ("PUT", "/api/customers/k", "DELETE"),
        ("PUT", "/api/events", "GET, HEAD"),
        ("DELETE", "/api/events/a-1", "GET, HEAD"),
        ("PUT", "/api/customers/", "GET, HEAD"),
    ],
)
async def test_everything_else_stays_refused(admin, method, path, allow) -> None:
    response = await admin.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allow)


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_listener_without_customers_only_reads(view, method, path) -> None:
    async with client(view, None) as admin:
        response = await admin.request(method, path, json=CUSTOMER)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_foreign_name_is_misdirected_token_or_not(admin, method, path) -> None:
    response = await admin.request(method, path, json=CUSTOMER, headers={"Host": "evil.example"})
    assert response.status_code == 421


async def test_every_answer_is_locked_down(admin) -> None:
    headers = (await admin.put("/api/customers", json=CUSTOMER)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*CUSTOMER, "ph", "orders"]), inner),
)


@given(
    JSON | st.lists(st.fixed_dictionaries({"key": st.text() | st.integers()}, optional={"em": JSON, "profile": JSON}))
)
def test_any_json_is_customers_or_an_error_that_names_a_field(value: Any) -> None:
    columns = Columns(facts={"orders": "orders"})
    with suppress(ValueError):
        for customer in read_customers(json.dumps(value).encode()):
            assert not profile_of_customer(customer, columns, None).is_empty
