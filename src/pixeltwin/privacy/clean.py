"""What is done about personal data, on both copies of an event, before either goes anywhere (THREATS T6, T14).

Meta's own parameters stay as they are, all but those in which pages leak what their visitors typed: the addresses of
pages, custom data, and matching data that is no hash. Nothing here raises for what an event holds. `removed` has the
names of what was touched, never a value.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any, Final

from pixeltwin.capi.event import CustomData, ServerEvent
from pixeltwin.pixel.browser_id import APPENDIX
from pixeltwin.pixel.hit import MATCHING, PixelHit, is_hashed
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.rewrite import rewrite_each
from pixeltwin.privacy.address import clean_url, is_quiet
from pixeltwin.privacy.settings import STANDARD, Privacy
from pixeltwin.privacy.values import clean_properties, clean_text, tells_json

ADDRESSES: Final = ("dl", "rl")
EVENT_ADDRESSES: Final = ("event_source_url", "referrer_url")
CUSTOM: Final = "cd["
LOOKED_AT: Final = (*ADDRESSES, CUSTOM, *MATCHING)
IP: Final = re.compile(rf"(.{{2,60}}?)(?:{APPENDIX})?", re.ASCII)
IP_BITS: Final = {4: 24, 6: 48}  # what is left of an address


@dataclass  # frozen by its types alone, like a hit
class Cleaned:
    """A hit without personal data, as the request to relay and as what the twin is made of, and what was touched."""

    request: Final[HitRequest]
    hit: Final[PixelHit]
    removed: Final[tuple[str, ...]]


def clean_hit(request: HitRequest, hit: PixelHit, privacy: Privacy) -> Cleaned:
    """The hit of a request without personal data. The same objects where nothing had to be done.

    A request whose body is JSON (OpenBridge) keeps it: the browser sends the other copy itself.
    """
    if _is_plainly_clean(request, hit, privacy):
        return Cleaned(request, hit, ())
    suspects = (pair for pair in hit.parameters if pair[0].startswith(LOOKED_AT))
    changes = {pair: cleaned for pair in suspects if (cleaned := _parameter(*pair, privacy)) != pair[1]}
    removed = tuple(dict.fromkeys(privacy.detector.masked(name) for name, _ in changes))
    if changes:
        request = rewrite_each(request, lambda name, value: changes.get((name, value), value))
        hit = PixelHit.of(tuple(_changed(hit, changes)))
    given = request.header("referer")
    if (referer := clean_url(given, privacy)) != given:
        request = replace(request, headers={**request.headers, "referer": referer})
        removed = (*removed, "referer")
    return Cleaned(request, hit, removed)


def clean_event(event: ServerEvent, privacy: Privacy) -> tuple[ServerEvent, tuple[str, ...]]:
    """A server event that somebody posted, without personal data, and what was touched."""
    changes: dict[str, Any] = {
        field: cleaned
        for field in EVENT_ADDRESSES
        if (given := getattr(event, field)) and (cleaned := clean_url(given, privacy)) != given
    }
    custom_data, touched = _custom_data(event.custom_data, privacy)
    removed = (*changes, *touched)
    if touched:
        changes["custom_data"] = custom_data
    return mask_client(event.model_copy(update=changes) if changes else event, privacy), removed


def mask_client(event: ServerEvent, privacy: Privacy) -> ServerEvent:
    """The event with the client's address and user agent as the config wants them."""
    given = event.user_data
    changes = _masked(vars(given), privacy)
    return event.model_copy(update={"user_data": given.model_copy(update=changes)}) if changes else event


def masked_client(user_data: dict[str, Any], privacy: Privacy) -> dict[str, Any]:
    """The same for user data that is JSON."""
    if not privacy.masks_client or not (changes := _masked(user_data, privacy)):
        return user_data
    return {key: value for key, value in {**user_data, **changes}.items() if value is not None}


def _masked(user_data: Mapping[str, Any], privacy: Privacy) -> dict[str, Any]:
    """What is to be another value, None for none."""
    changes: dict[str, Any] = {}
    if privacy.client_ip != "keep" and (address := user_data.get("client_ip_address")) is not None:
        changes["client_ip_address"] = CLIENT_IP[privacy.client_ip](address)
    if privacy.user_agent == "drop":
        changes["client_user_agent"] = None
    return {name: value for name, value in changes.items() if user_data.get(name) != value}


def masked_ip(text: str) -> str | None:
    """The network of an address: the last octet of IPv4, or the last 80 bits of IPv6, are 0. None for anything else.

    An appendix of Meta's parameter builder goes: it vouches for an address that is no longer there.
    """
    found = IP.fullmatch(text)
    try:
        address = ip_address(found[1].partition("%")[0] if found else "")
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    return str(ip_network((address, IP_BITS[address.version]), strict=False).network_address)


def _is_plainly_clean(request: HitRequest, hit: PixelHit, privacy: Privacy) -> bool:
    """Whether there is plainly nothing to do, as in most hits: all texts together are looked at once.

    They stand on lines of their own, so that whatever is suspect in one of them is in the whole.
    """
    if not (hit.is_tidy and hit.is_hashed) or (hit.repeating and _hides_any(hit)):
        return False
    properties = hit.group("cd")
    if not privacy.plain_names[(*properties,)]:
        return False
    given = hit.last
    text = "\n".join((request.header("referer"), given.get("dl", ""), given.get("rl", ""), *properties.values()))
    return is_quiet(text, privacy) and not tells_json(text, privacy)


def _hides_any(hit: PixelHit) -> bool:
    """Whether of what is looked at a name is there twice: only the last one is among its groups."""
    names = [name for name, _ in hit.repeating if name.startswith(LOOKED_AT)]
    return len(names) != len(set(names))


def _changed(hit: PixelHit, changes: dict[tuple[str, str], str | None]) -> Iterator[tuple[str, str]]:
    for name, value in hit.parameters:
        if (changed := changes.get((name, value), value)) is not None:
            yield name, changed


def _parameter(name: str, value: str, privacy: Privacy) -> str | None:
    """The value that the parameter is to have; None when it has to go."""
    if name.startswith(MATCHING):
        return value if is_hashed(value) else _matching(_key(name), value, privacy)
    if name.startswith(CUSTOM):
        return _property(_key(name), value, privacy)
    return clean_url(value, privacy) if name in ADDRESSES else value


def _key(name: str) -> str:
    return name.partition("[")[2].removesuffix("]")


def _property(key: str, value: str, privacy: Privacy) -> str | None:
    """A key that is personal data itself cannot be masked, for parameters keep their names: the property goes."""
    is_clean = key in STANDARD or privacy.detector.masked(key) == key
    return clean_text(value, key, privacy) if is_clean and privacy.custom_data.admits(key) else None


def _matching(key: str, value: str, privacy: Privacy) -> str | None:
    """Plain matching data goes: a mask in its place would be one person to Meta, and the same for all."""
    return value if privacy.detector.masked(value, key) == value else None


def _custom_data(given: CustomData | None, privacy: Privacy) -> tuple[CustomData | None, list[str]]:
    """The custom data, and the names of what was touched."""
    if given is None:
        return None, []
    before = given.model_dump(mode="json", exclude_none=True)
    admitted = {key: value for key, value in before.items() if privacy.custom_data.admits(key)}
    after = clean_properties(admitted, privacy)
    touched = [key for key, value in before.items() if key not in after or after[key] != value]
    if not touched:
        return given, []
    if "contents" in after:  # Meta refuses a product without an id, and the event with it
        after["contents"] = [item for item in after["contents"] if "id" in item]
    names = [f"custom_data.{privacy.detector.masked(key)}" for key in touched]
    return CustomData.model_validate(after), names


CLIENT_IP: Final[Mapping[str, Callable[[str], str | None]]] = {
    "mask": masked_ip,
    "drop": lambda address: None,
}
