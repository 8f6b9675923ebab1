"""The JWT element: only what the shop signed, for us, and not long ago. Tokens are made by hand, after RFC 7515."""

import base64
import hashlib
import hmac
import json
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.factories import NOW, hit_query, parsed, request

from pixeltwin.mapping.elements.jwt import MAX_TOKEN, Settings

KEY = "a shared key of thirty-two bytes"
LATER = int(NOW) + 3600
CLAIMS = {"sub": "cust-1001", "exp": LATER}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hs(data: bytes, key: str = KEY, digest: str = "sha256") -> bytes:
    return hmac.new(key.encode(), data, digest).digest()


def token(claims: Any = CLAIMS, alg: Any = "HS256", sign: Any = hs, **header: Any) -> str:
    """header.payload.signature, as RFC 7515 3.1 writes it."""
    head, body = ({"alg": alg, "typ": "JWT", **header}, claims)
    signed = ".".join(b64(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (head, body))
    return f"{signed}.{b64(sign(signed.encode()))}"


def settings(**options: Any) -> Settings:
    return Settings(**{"kind": "jwt", "jwt": "Session", "key": KEY, **options})


def read(text: str, name: str = "cookie", element: Settings | None = None) -> str | None:
    value = f"a=b; Session={text}" if name == "cookie" else text
    asked = request(hit_query(), headers={name: value})
    return (element or settings()).read(asked, parsed(asked))


def pem(private: Any) -> str:
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return str(private.public_key().public_bytes(*form).decode())


def private_pem(private: Any) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return str(private.private_bytes(*form).decode())


RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def es256(data: bytes) -> bytes:
    r, s = decode_dss_signature(EC.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def rs256(data: bytes) -> bytes:
    return RSA.sign(data, padding.PKCS1v15(), hashes.SHA256())


def test_a_signed_claim_is_read_from_a_cookie():
    assert read(token()) == "cust-1001"


@pytest.mark.parametrize("scheme", ["", "Bearer "])
def test_it_is_read_from_a_header_as_well(scheme):
    assert read(scheme + token(), "session") == "cust-1001"
    assert read(scheme + token(), "authorization", settings(jwt="authorization")) == "cust-1001"


def test_the_vector_of_rfc_7515_holds():
    """Appendix A.1: its key is binary, so only that our maker of tokens writes what the RFC prints is compared."""
    key = base64.urlsafe_b64decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
    )
    signed = (
        b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
        b".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    made = b64(hmac.new(key, signed, hashlib.sha256).digest())
    assert made == "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.mark.parametrize(
    ("alg", "sign", "private"), [("RS256", rs256, RSA), ("ES256", es256, EC), ("EdDSA", ED.sign, ED)]
)
def test_a_public_key_verifies_what_the_private_one_signed(alg, sign, private):
    element = settings(algorithms=[alg], key=pem(private))
    assert read(token(alg=alg, sign=sign), element=element) == "cust-1001"
    assert read(token(alg=alg, sign=lambda data: sign(data + b"x")), element=element) is None


def test_another_claim_may_be_the_value():
    assert (
        read(token({**CLAIMS, "https://shop.example/id": 42}), element=settings(claim="https://shop.example/id"))
        == "42"
    )


def unsigned(data: bytes) -> bytes:
    return b""


FORGED = {
    "another key": token(sign=partial(hs, key="another key of thirty-two bytes.")),
    "expired": token({**CLAIMS, "exp": int(NOW)}),
    "no expiry": token({"sub": "cust-1001"}),
    "expiry as text": token({**CLAIMS, "exp": str(LATER)}),
    "expiry as truth": token({**CLAIMS, "exp": True}),
    "not yet": token({**CLAIMS, "nbf": int(NOW) + 1}),
    "not before a word": token({**CLAIMS, "nbf": "now"}),
    "alg none": token(alg="none", sign=unsigned),
    "alg None": token(alg="None", sign=unsigned),
    "alg none, signed": token(alg="none"),
    "no alg": token(alg=None),
    "alg a list": token(alg=["HS256"]),
    "another alg": token(alg="HS512", sign=partial(hs, digest="sha512")),
    "unsigned": token(sign=unsigned),
    "cut": token()[:-1],
    "other claims": token().replace(token().split(".")[1], b64(json.dumps({**CLAIMS, "sub": "cust-1002"}).encode())),
    "somebody else's audience": token({**CLAIMS, "aud": "another app"}),
    "critical extension": token(crit=["exp2"], exp2=1),
    "detached": token(b64=False, crit=["b64"]),
    "no object": token(["sub"]),
    "no JSON": token(b"sub"),
    "deep": token(b"[" * 4000),
    "deep header": f"{b64(b'[' * 4000)}.e30.e30",
    "no subject": token({"exp": LATER}),
    "a subject that is no text": token({**CLAIMS, "sub": {"a": 1}}),
    "a subject that is true": token({**CLAIMS, "sub": True}),
    "huge": token({**CLAIMS, "x": "x" * MAX_TOKEN}),
    "blank": "",
}


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("name", ["cookie", "session"])
def test_anything_else_names_nobody(text, name):
    assert read(text, name) is None


def test_a_public_key_is_no_shared_key():
    element = settings(algorithms=["RS256"], key=pem(RSA))
    assert read(token(sign=partial(hs, key=pem(RSA))), element=element) is None


@pytest.mark.parametrize(
    ("audience", "value"), [("twin", "cust-1001"), (["x", "twin"], "cust-1001"), ("x", None), (None, None)]
)
def test_the_audience_has_to_be_ours_once_it_is_set(audience, value):
    claims = {**CLAIMS, "aud": audience} if audience else CLAIMS
    assert read(token(claims), element=settings(audience="twin")) == value


@pytest.mark.parametrize(("issuer", "value"), [("shop", "cust-1001"), ("x", None), (["shop"], None), (None, None)])
def test_the_issuer_has_to_be_the_one_that_is_set(issuer, value):
    claims = {**CLAIMS, "iss": issuer} if issuer else CLAIMS
    assert read(token(claims), element=settings(issuer="shop")) == value


def test_a_cookie_that_is_forged_does_not_hide_a_header_that_is_not():
    asked = request(hit_query(), headers={"cookie": "Session=x", "session": token()})
    assert settings().read(asked, parsed(asked)) == "cust-1001"


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"key": ""}, "the key of these algorithms"),
        ({"key": "k" * 31}, "longer key"),
        ({"key": "k" * 32, "algorithms": ["HS512"]}, "longer key"),
        ({"key": pem(RSA)}, "the key of these algorithms"),
        ({"key": pem(RSA), "algorithms": ["RS256", "HS256"]}, "the key of these algorithms"),
        ({"key": pem(EC), "algorithms": ["RS256"]}, "the key of these algorithms"),
        ({"key": KEY, "algorithms": ["RS256"]}, "the key of these algorithms"),
        ({"key": private_pem(RSA), "algorithms": ["RS256"]}, "the public key"),
        ({"key": pem(rsa.generate_private_key(65537, 1024)), "algorithms": ["RS256"]}, "longer key"),  # noqa: S505 - meant
        ({"algorithms": ["none"]}, "HS256"),
        ({"algorithms": []}, "at least one"),
    ],
)
def test_a_key_that_could_not_keep_forgers_out_is_refused(options, remedy):
    with pytest.raises(ValidationError, match=remedy) as caught:
        settings(**options)
    assert KEY not in str(caught.value)


PARTS = st.binary(max_size=30).map(b64) | st.sampled_from(token().split(".")) | st.text(max_size=10)
ODD_HEADERS = st.dictionaries(
    st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "x5u", "enc"]),
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3)) | st.just("HS256"),
)


@given(
    st.lists(PARTS, max_size=5).map(".".join)
    | ODD_HEADERS.map(lambda head: token(**{"alg": "none", **head}, sign=unsigned))
)
def test_no_token_breaks_it(text):
    assert read(text, "session") in {None, "cust-1001"}
