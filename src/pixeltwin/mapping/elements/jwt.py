"""A JSON Web Token that the shop signed: a cookie, or a header such as `authorization`.

Only what `algorithms` lists is taken, so that neither `alg: none` nor a public key used as a shared one gets through
(RFC 8725 2.1). A token needs an expiry; one that names an audience needs `audience` (RFC 7519 4.1.3).
"""

from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal

import jwt
import orjson
from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from pixeltwin.mapping.element import ElementSettings, Example, at_least_one
from pixeltwin.mapping.elements.header import header_name
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

MAX_TOKEN: Final = 8 << 10  # characters; browsers keep 4 KiB in a cookie
VERIFIER: Final = jwt.PyJWS()

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
UNFIT_KEY: Final = "give the key of these algorithms: the shared one for HS…, else the public one (PEM), one kind alone"
WEAK_KEY: Final = "give a longer key: HS256 needs 32 bytes, HS384 48, HS512 64, RSA 2048 bits (RFC 7518)"


def prepared(algorithm: str, key: str) -> Any:
    """The key as the algorithm takes it. Raises `ValueError` for one that does not fit, or is too weak."""
    if "PRIVATE KEY" in key:
        raise ValueError("give the public key: the private one stays where tokens are signed")
    try:
        method = VERIFIER.get_algorithm_by_name(algorithm)
        ready = method.prepare_key(key)
    except (jwt.PyJWTError, ValueError, TypeError):
        raise ValueError(UNFIT_KEY) from None
    if method.check_key_length(ready):
        raise ValueError(WEAK_KEY)
    return ready


class Settings(ElementSettings):
    """`jwt` names the cookie or header, `claim` what of the token is the value; `issuer` must be the token's own."""

    TRUSTED: ClassVar[bool] = True

    kind: Literal["jwt"]
    jwt: Annotated[str, AfterValidator(header_name)]
    algorithms: Annotated[tuple[Algorithm, ...], AfterValidator(at_least_one)] = ("HS256",)
    key: SecretStr
    claim: Annotated[str, Field(min_length=1)] = "sub"
    issuer: str | None = None
    audience: str | None = None

    @field_validator("key")
    @classmethod
    def _fits(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        for algorithm in info.data.get("algorithms", ()):
            prepared(algorithm, key.get_secret_value())
        return key

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        tokens = (request.cookies.get(self.jwt, ""), request.header(self.jwt.lower()).removeprefix("Bearer "))
        claims = (self._claims(token, request.received_at) for token in tokens if 0 < len(token) <= MAX_TOKEN)
        return next((_text(found.get(self.claim)) for found in claims if found is not None), None)

    def _claims(self, token: str, now: float) -> dict[str, Any] | None:
        """What a token says that can be believed at this time."""
        try:
            signed = VERIFIER.decode_complete(token, self._key, self.algorithms)
            claims = orjson.loads(signed["payload"])
        except (jwt.PyJWTError, ValueError):
            return None
        return claims if isinstance(claims, dict) and self._accepts(claims, now) else None

    def _accepts(self, claims: dict[str, Any], now: float) -> bool:
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        return (
            now < _time(claims.get("exp"), now)
            and _time(claims.get("nbf", now), now + 1) <= now
            and self.issuer in (None, claims.get("iss"))
            and self.audience in audiences
        )

    @cached_property
    def _key(self) -> Any:
        """Read once: a PEM takes longer to read than a token to verify."""
        return prepared(self.algorithms[0], self.key.get_secret_value())


def _time(claim: Any, otherwise: float) -> float:
    return claim if isinstance(claim, int | float) and not isinstance(claim, bool) else otherwise


def _text(claim: Any) -> str | None:
    return str(claim) if isinstance(claim, str | int) and not isinstance(claim, bool) else None


EXAMPLES: Final = (
    Example(
        written={"jwt": "session", "key": "an example's key, to be read by all", "claim": "sub"},
        headers={
            "cookie": "session=eyJhbGciOiJIUzI1NiJ9"
            ".eyJzdWIiOiJjdXN0LTEwMDEiLCJleHAiOjQxMDI0NDQ4MDB9"
            "._uv6GehJK2p6AduTTgxDQnyEO7xn7eZZ8KTlRLjqqMs"
        },
        gives="cust-1001",
    ),
)
