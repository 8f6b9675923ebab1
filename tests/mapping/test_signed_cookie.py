"""The signed cookie: only what the shop signed names a customer (THREATS T5)."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import NOW, request

from pixeltwin.mapping.elements.signed_cookie import Settings

KEY = "a key of the shop"
ELEMENT = Settings(kind="signed_cookie", signed_cookie="uid", key=KEY)
LATER = int(NOW) + 3600


def signed(subject: str, expires: int = LATER, key: str = KEY, name: str = "uid") -> str:
    """What a shop sets, by the recipe in the README."""
    claim = f"{subject}.{expires}"
    return f"{claim}.{hmac.new(key.encode(), f'{name}={claim}'.encode(), hashlib.sha256).hexdigest()}"


def read(value: str) -> str | None:
    return ELEMENT.read(request(headers={"cookie": f"a=b; uid={value}"}))


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


@given(st.text(max_size=80))
def test_no_cookie_text_breaks_it(value):
    assert read(value) is None
