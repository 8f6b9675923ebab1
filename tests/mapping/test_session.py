"""The session: what is kept of it opens for its own source alone, and only for whoever has the key."""

import hashlib
import re
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tests.factories import hit_query, parsed, request

from pixeltwin.mapping.element import element_type
from pixeltwin.mapping.elements.session import SEALED, Settings, is_sealed
from pixeltwin.mapping.sessions import sessions_of, sessions_within

KEY, OLD = "k" * 32, "an older key of the shop's, still good"
WRITTEN = {"session": "sid", "source": "sessions", "fact": "customer_id", "key": KEY}
SID = "Q9dKbZ3mLx0"
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


def load(written: Any) -> Any:
    return TypeAdapter(element_type()).validate_python(written)


def element(**options: Any) -> Settings:
    settings = load({**WRITTEN, **options})
    assert isinstance(settings, Settings)
    return settings


def read(settings: Any, cookies: str) -> str | None:
    asked = request(hit_query(), headers={"cookie": cookies})
    value: str | None = settings.read(asked, parsed(asked))
    return value


def opened(settings: Settings, cookies: str) -> str | None:
    value = read(settings, cookies)
    return None if value is None else settings.opened(value)


def test_what_is_read_is_sealed_and_opens():
    value = read(element(), f"sid={SID}")
    assert value is not None
    assert is_sealed(value)
    assert SID not in value
    assert element().opened(value) == SID


def test_the_seal_is_aes_siv_as_rfc_5297_has_it():
    """S2V over what it is for and the id, then CTR; the key is BLAKE2b of the shop's."""
    key = hashlib.blake2b(KEY.encode(), digest_size=64, person=b"session element").digest()
    synthetic = s2v(key[:32], [b"sessions", b"customer_id"], SID.encode().ljust(16, b"\0"), len(SID))
    counter = bytearray(synthetic)
    counter[8] &= 0x7F
    counter[12] &= 0x7F
    encryptor = Cipher(algorithms.AES(key[32:]), modes.CTR(bytes(counter))).encryptor()
    sealed = synthetic + encryptor.update(SID.encode())
    assert read(element(), f"sid={SID}") == SEALED + urlsafe_b64encode(sealed).decode()


def s2v(key: bytes, associated: list[bytes], padded: bytes, length: int) -> bytes:
    """RFC 5297 2.4, for a text of less than a block."""
    vector = mac(key, bytes(16))
    for text in associated:
        vector = xor(doubled(vector), mac(key, text))
    return mac(key, xor(doubled(vector), padded[:length] + b"\x80" + padded[length + 1 :]))


def mac(key: bytes, text: bytes) -> bytes:
    cmac = CMAC(algorithms.AES(key))
    cmac.update(text)
    return cmac.finalize()


def doubled(block: bytes) -> bytes:
    """In GF(2^128)."""
    number = int.from_bytes(block) << 1
    return ((number ^ 0x87 if number >> 128 else number) & (1 << 128) - 1).to_bytes(16)


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def test_one_session_is_sealed_alike_every_time():
    assert read(element(), f"sid={SID}") == read(element(), f"a=b; sid={SID}")


@pytest.mark.parametrize(
    ("cookie", "how", "sid"),
    [
        ("s%3AQ9dKbZ3mLx0.c2lnbmF0dXJl", {"pattern": "s%3A([^.]+).*"}, SID),  # Express
        ("s%3AQ9dKbZ3mLx0.c2lnbmF0dXJl", {"transforms": ["url_decode", {"split": ".", "index": 0}]}, f"s:{SID}"),
        (SID, {"transforms": [{"prefix": "django.contrib.sessions.cache"}]}, f"django.contrib.sessions.cache{SID}"),
        ("abc", {"transforms": ["sha256", {"prefix": "2::"}]}, f"2::{SHA256_OF_ABC}"),  # Rack
        ("../../etc/passwd", {"pattern": "[A-Za-z0-9,-]{22,64}"}, None),  # PHP
    ],
)
def test_the_cookie_is_made_the_id_that_the_shop_stores_before_it_is_sealed(cookie, how, sid):
    assert opened(element(**how), f"sid={cookie}") == sid


def test_without_the_key_it_does_not_open():
    value = read(element(), f"sid={SID}") or ""
    assert element(key=OLD).opened(value) is None


@pytest.mark.parametrize("other", [{"source": "others"}, {"fact": "account_id"}])
def test_a_session_of_one_source_names_nobody_in_another(other):
    assert element(**other).opened(read(element(), f"sid={SID}") or "") is None


def test_while_a_key_is_replaced_both_open_and_the_new_one_seals():
    waiting = read(element(key=OLD), f"sid={SID}") or ""
    for both in (element(keys=[OLD]), element(key=None, keys=[KEY, OLD])):
        assert both.opened(waiting) == SID
        assert read(both, f"sid={SID}") == read(element(), f"sid={SID}")


@pytest.mark.parametrize("keys", [{"key": None}, {"key": ""}, {"key": "k" * 31}, {"keys": ["k" * 31]}])
def test_a_key_that_could_be_guessed_is_refused(keys):
    with pytest.raises(ValidationError):
        element(**keys)


def test_an_id_that_no_source_is_asked_for_is_none():
    assert read(element(), f"sid={'x' * 513}") is None
    assert opened(element(), f"sid={'x' * 512}") == "x" * 512


@given(st.text(max_size=60))
def test_no_text_that_a_client_makes_up_opens(text):
    assert element().opened(text) is None
    assert element().opened(SEALED + text) is None


@given(st.text(min_size=1, max_size=512).filter(lambda text: text.isprintable() and text.strip()))
def test_every_id_opens_as_it_was(sid):
    value = element().sealed(sid)
    assert value is not None
    assert re.fullmatch(r"session:[\w=-]+", value, re.ASCII)
    assert element().opened(value) == sid


def test_sessions_are_found_within_first_of_too():
    one, other = element(), element(session="other")
    nested = load({"first_of": [WRITTEN, {"first_of": [{"cookie": "a"}, {**WRITTEN, "session": "other"}]}]})
    assert list(sessions_within(nested)) == [(("first_of", 0), one), (("first_of", 1, "first_of", 1), other)]
    assert sessions_of({"a": one, "b": nested}) == (one, one, other)
