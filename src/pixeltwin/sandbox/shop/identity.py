"""Who is logged in: one known customer, remembered in a signed cookie that the gateway can check too.

The value is `<subject>.<expiry unix seconds>.<hex HMAC-SHA256(key, "<cookie name>=<subject>.<expiry>")>`. The
name is signed too, so that a value made for one cookie is worth nothing in another.
"""

import hmac
import re
from typing import Final

KNOWN_CUSTOMER: Final = {
    "customer_id": "cust-1001",
    "em": "alex.doe@example.com",
    "ph": "+1 202-555-0198",
    "fn": "Alex",
    "ln": "Doe",
    "external_id": "cust-1001",
}
SUBJECT: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


def sign(name: str, subject: str, expires: int, key: bytes) -> str:
    """The value of the cookie `name` that says, until `expires` (unix seconds), that this is `subject`."""
    if not SUBJECT.fullmatch(subject):
        raise ValueError(f"a subject is 1 to 128 of A-Z a-z 0-9 _ -, not {subject!r}")
    claim = f"{subject}.{expires}"
    return f"{claim}.{hmac.digest(key, f'{name}={claim}'.encode(), 'sha256').hex()}"


def subject_of(name: str, value: str, key: bytes, now: float) -> str | None:
    """Whom a cookie speaks for; None where it is forged, over or garbage."""
    subject, _, rest = value.partition(".")
    expires, _, _ = rest.partition(".")
    if not SUBJECT.fullmatch(subject) or not re.fullmatch(r"[0-9]{1,12}", expires) or int(expires) <= now:
        return None
    genuine = sign(name, subject, int(expires), key)
    return subject if hmac.compare_digest(genuine.encode(), value.encode()) else None
