"""What is sealed opens with its key, for what it is about, unchanged; and in no other way."""

import secrets

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pixeltwin.delivery.encryption import Cipher, Encryption, UnreadableError, key_id

KEY, OLD = bytes(range(32)), bytes(range(32, 64))
BASE64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="  # printf of 00 … 1f, through `base64`


@given(text=st.binary(), about=st.binary())
def test_what_was_sealed_opens_for_what_it_is_about(text, about):
    assert Cipher([KEY]).open(Cipher([KEY]).seal(text, about), about) == text


@given(text=st.binary(), about=st.binary(), other=st.binary())
def test_nothing_opens_for_something_else(text, about, other):
    sealed = Cipher([KEY]).seal(text, about)
    if about == other:
        return
    with pytest.raises(UnreadableError, match="changed since, or belongs elsewhere"):
        Cipher([KEY]).open(sealed, other)


@given(text=st.binary(max_size=40), data=st.data())
def test_no_changed_byte_and_no_cut_stays_unnoticed(text, data):
    sealed = Cipher([KEY]).seal(text, b"")
    at = data.draw(st.integers(1, len(sealed) - 1))  # without the first byte it would be no sealed text
    flipped = sealed[:at] + bytes([sealed[at] ^ data.draw(st.integers(1, 255))]) + sealed[at + 1 :]
    for changed in (flipped, sealed[:at]):
        with pytest.raises(UnreadableError):
            Cipher([KEY]).open(changed, b"")


def test_the_bytes_are_laid_out_as_documented():
    sealed = Cipher([KEY, OLD]).seal(b"text", b"about")
    assert (sealed[0], sealed[1:5]) == (0xFF, key_id(KEY))
    assert AESGCM(KEY).decrypt(sealed[5:17], sealed[17:], b"about") == b"text"
    assert len(sealed) == 33 + len(b"text")


def test_no_two_texts_have_a_nonce_in_common():
    assert len({Cipher([KEY]).seal(b"", b"")[5:17] for _ in range(1000)}) == 1000


def test_the_first_key_seals_and_every_key_opens():
    old, both = Cipher([OLD]), Cipher([KEY, OLD])
    assert both.open(old.seal(b"text", b""), b"") == b"text"
    with pytest.raises(UnreadableError, match=f"its encryption key {key_id(KEY).hex()} is not among the outbox's keys"):
        old.open(both.seal(b"text", b""), b"")


def test_without_keys_nothing_is_sealed_and_what_was_plain_stays_readable():
    assert Cipher().seal(b"{}", b"") == b"{}"
    assert Cipher([KEY]).open(b"{}", b"") == b"{}"


@pytest.mark.parametrize("text", [BASE64, KEY.hex(), KEY.hex().upper()])
def test_a_key_is_written_in_base64_or_hex(text):
    settings = Encryption(keys=[text, ""])  # as `${OLD_KEY:-}` is where there is none
    assert Cipher.of(settings).open(Cipher([KEY]).seal(b"text", b""), b"") == b"text"


@pytest.mark.parametrize(
    "text",
    ["correct horse battery staple", KEY.hex()[:-2], BASE64[:-5], BASE64[:-1] + " ", KEY.hex()[:-1] + "g", "ü" * 64],
)
def test_a_key_that_was_not_drawn_by_lot_is_refused_with_the_command_that_makes_one(text):
    with pytest.raises(ValidationError, match="openssl rand -base64 32") as error:
        Encryption(keys=[text])
    assert text not in str(error.value)


@pytest.mark.parametrize("keys", [[], [""], ["", KEY.hex()]])
def test_the_key_that_encrypts_must_be_there(keys):
    with pytest.raises(ValidationError, match="give the first key, which encrypts"):
        Encryption(keys=keys)


def test_settings_do_not_show_their_keys():
    text = secrets.token_hex(32)
    assert text not in repr(Encryption(keys=[text]))
