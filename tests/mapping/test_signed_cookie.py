"""The signed cookie: only what the shop signed names a customer (THREATS T5)."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.factories import NOW, hit_query, parsed, request

from pixeltwin.mapping.elements.signed_cookie import Settings

KEY = "a key of the shop"
ELEMENT = Settings(kind="signed_cookie", signed_cookie="uid", key=KEY)
LATER = int(NOW) + 3600


def signed(subject: str, expires: int = LATER, key: str = KEY, name: str = "uid") -> str:
    """What a shop sets, by the recipe in the README."""
    claim = f"{subject}.{expires}"
    return f"{claim}.{hmac.new(key.encode(), f'{name}={claim}'.encode(), hashlib.sha256).hexdigest()}"


def read(value: str) -> str | None:
    return read_by(ELEMENT, value)


def read_by(element: Settings, value: str) -> str | None:
    asked = request(hit_query(), headers={"cookie": f"a=b; uid={value}"})
    return element.read(asked, parsed(asked))


def test_a_signed_subject_is_read():
    assert read(signed("cust-1001")) == "cust-1001"


@pytest.mark.parametrize(
    "value",
    [
        "cust-1001",
        signed("cust-1001", key="another key"),
        signed("cust-1001", name="other_cookie"),
        signed("cust-1001").replace("1001", "1002", 1),
        signed("cust-1001", expires=int(NOW) - 1),
        signed("cust-1001")[:-1],
        "",
    ],
    ids=["unsigned", "another key", "another cookie's", "another subject", "expired", "cut", "blank"],
)
def test_anything_else_names_nobody(value):
    assert read(value) is None


def test_while_a_key_is_replaced_both_are_taken():
    element = Settings(kind="signed_cookie", signed_cookie="uid", keys=["new", "old"])
    assert [read_by(element, signed("a", key=key)) for key in ("new", "old", "older")] == ["a", "a", None]
    both = Settings(kind="signed_cookie", signed_cookie="uid", key="new", keys=["old"])
    assert [read_by(both, signed("a", key=key)) for key in ("new", "old")] == ["a", "a"]


@pytest.mark.parametrize("keys", [{}, {"keys": []}, {"key": ""}, {"keys": [""]}])
def test_a_cookie_without_a_key_is_refused_since_anyone_could_sign_it(keys):
    with pytest.raises(ValidationError):
        Settings(kind="signed_cookie", signed_cookie="uid", **keys)


@given(st.text(max_size=80))
def test_no_cookie_text_breaks_it(value):
    assert read(value) is None
