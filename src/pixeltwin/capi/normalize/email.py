"""E-mail addresses. Nothing is taken from `+tag` or dots: other mailboxes are other people."""

import re
from typing import Final

import idna

from pixeltwin.capi.normalize.rule import Rule, Step, Values

LOCAL: Final = r"[a-z0-9_!#$%&'*+/=?^`{|}~-]++(?:\.[a-z0-9_!#$%&'*+/=?^`{|}~-]++)*+"
LABEL: Final = r"[a-z0-9]++(?:-++[a-z0-9]++)*+"
ADDRESS: Final = re.compile(rf"{LOCAL}@{LABEL}(?:\.{LABEL})++")
LONGEST_DOMAIN: Final = 253  # characters, as DNS has it


def one_address(text: str) -> str:
    return text if ADDRESS.fullmatch(text) else ""


def addresses(text: str, canonical: str, country: str | None) -> Values:
    """The pixel refuses domains with other letters than ASCII's. We send both of their spellings."""
    if canonical and "xn--" not in canonical:
        return (canonical,)
    local, _, domain = text.lower().rpartition("@")
    letters, ascii_domain = _spellings(domain)
    if not ADDRESS.fullmatch(f"{local}@{ascii_domain}"):
        return (canonical,)
    return canonical, f"{local}@{letters}", f"{local}@{ascii_domain}"


def _spellings(domain: str) -> tuple[str, str]:
    """A domain in its own letters and in ASCII; empty where it is none."""
    if "." not in domain or len(domain) > LONGEST_DOMAIN:
        return "", ""
    try:
        ascii_domain = idna.encode(domain, uts46=True).decode()
        return idna.decode(ascii_domain), ascii_domain
    except (UnicodeError, OverflowError):  # the latter from what only looks like punycode
        return "", ""


EMAIL: Final = Rule(
    (Step("lower-case", str.lower), Step("has to be one address", one_address)),
    addresses,
    further="another spelling of its domain",
)
