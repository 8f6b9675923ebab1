"""What browsers gave once, for their later hits, and what a visit had, for the later events of its order.

Entries are of three kinds, found by a browser's `fbp`, a person's `external_id` or an order's id. The first two hold
hashes alone. The last is a match bundle: the visit's device and page as well, so that a renewal or a refund which the
shop's back end posts becomes as rich as the visit.

Engines are the files of `memories/`; `tests/conformance/` holds every one of them to the promises of `Memory`. All of
this is for events whose visitor consents to it; the caller asks for no others.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from pixeltwin.capi.event import HASHED, HASHED_PARTS, EventJson, UserData
from pixeltwin.capi.hashes import digits
from pixeltwin.capi.validate import LIMITED
from pixeltwin.pixel.browser_id import bare

MOST_VALUES: Final = 4  # hashes of one key that are kept; spellings of one value are two or three
LONGEST: Final = 2048  # characters of one text in a bundle; what is longer is left out
LONGEST_ORDER_ID: Final = 256  # characters
HASHES: Final = (*HASHED, *HASHED_PARTS)
DEVICE: Final = ("client_ip_address", "client_user_agent", "fbc", "fbp")
# Two people differ in these. A phone number tells only where nothing else does: many are hashed as they were typed.
TELLING: Final = frozenset({"external_id", "em", "fbp"})
LESS_TELLING: Final = frozenset({"ph"})
NOBODY: Final = UserData()

type Given = dict[str, Any]  # user_data's values by Meta's key

MaxEntries = Annotated[int, Field(gt=0, le=100_000_000)]


class Remembered(BaseModel):
    """An entry. Plaintext is in none, as `UserData` takes hashes only, whoever wrote the bytes.

    A bundle also has what tells the device in its `user_data`, the page, and country and state of limited data use if
    the visit was under it. `browser` is the `browser_key` of the browser that told it last, as hexadecimal text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    user_data: UserData
    is_bundle: bool = False
    event_source_url: str | None = None
    limits: tuple[int, int] | None = None
    browser: str = ""

    def as_bytes(self) -> bytes:
        return self.model_dump_json(exclude_defaults=True).encode()


class Memory(Protocol):
    """What an engine promises. Entries of a lease come and go at once; every failure is an `OSError`."""

    async def recall(self, keys: Collection[bytes]) -> Mapping[bytes, Remembered]:
        """The entries of those keys that there are, and whose time has not ended."""

    async def remember(self, entries: Mapping[bytes, Remembered], seconds: float) -> None:
        """Keep the entries for so long, together with what was known before (`merged`).

        A bundle stays as it is, with its time. When there are too many entries, the oldest go.
        """

    async def forget(self, hashes: Collection[str]) -> int:
        """Remove every entry that holds one of these SHA-256 values, in any key; answers how many there were.

        Nothing of them is left in a file's bytes.
        """

    async def withdraw(self, browser: bytes) -> int:
        """Remove every entry that the browser of this `browser_key` told last; answers how many there were."""

    async def close(self) -> None:
        """Let go of the store."""


def browser_key(pixel_id: str, fbp: str) -> bytes:
    return _key(b"browser", pixel_id, bare(fbp))


def person_key(pixel_id: str, external_id: str) -> bytes:
    """The key of a person by the hash that the advertiser's id became."""
    return _key(b"person", pixel_id, _bare_hash(external_id))


def order_key(pixel_id: str, order_id: str) -> bytes:
    return _key(b"order", pixel_id, order_id)


def keys_of(pixel_id: str, event: EventJson, *, posted: bool, by_person: bool = True) -> tuple[bytes, ...]:
    """Where there may be more about an event, the most telling entry first: `enriched` takes them in this order.

    `posted`: it came from a server that has shown the pixel's key. Only then is its order looked up: a browser
    may name anybody's, and would get that visit's data sent along with its own (THREATS T5). A browser may make up an
    `external_id` just as well; without `by_person` it counts in servers' events alone.
    """
    order_id = order_of(event) if posted else ""
    people = event["user_data"].get("external_id", ()) if posted or by_person else ()
    fbp = event["user_data"].get("fbp")
    return (
        *([order_key(pixel_id, order_id)] if order_id else []),
        *(person_key(pixel_id, external_id) for external_id in people[:MOST_VALUES]),
        *([browser_key(pixel_id, fbp)] if fbp else []),
    )


def to_remember(pixel_id: str, given: EventJson, filled: EventJson) -> dict[bytes, Remembered]:
    """The entries that a browser's event makes.

    `given` is the event as the browser sent it, `filled` the same with what was recalled, neither with what sources
    know. A bundle takes the latter, so that it has what the visit's twin had; the rest takes the former, or what was
    recalled would be remembered for ever.
    """
    hashes, fbp = _kept_hashes(given), given["user_data"].get("fbp")
    browser = browser_key(pixel_id, fbp) if fbp else b""
    entry = Remembered(user_data=NOBODY.model_copy(update=hashes), browser=browser.hex())
    entries = {}
    if hashes and browser:
        entries[browser] = entry
    if hashes.keys() - {"external_id"}:
        entries |= {person_key(pixel_id, external_id): entry for external_id in hashes.get("external_id", ())}
    if order_id := order_of(given):
        entries[order_key(pixel_id, order_id)] = _bundle(filled, browser)
    return entries


def together(found: Iterable[Mapping[bytes, Remembered]]) -> dict[bytes, Remembered]:
    """The entries of several events, in the events' order, as `remember` takes them."""
    known: dict[bytes, Remembered] = {}
    for entries in found:
        for key, entry in entries.items():
            known[key] = merged(known[key], entry) if key in known else entry
    return known


def merged(old: Remembered, new: Remembered) -> Remembered:
    """What is known now: for each key of user_data the newest values; of another person nothing stays.

    A bundle stays what its first writer made it, since anybody can name an order.
    """
    if old.is_bundle:
        return old
    before, now = _given(old.user_data), _given(new.user_data)
    if _is_another(before, now):
        return new
    return Remembered(user_data=NOBODY.model_copy(update=before | now), browser=new.browser or old.browser)


def updated(stored: bytes | None, new: Remembered) -> bytes | None:
    """What the stored entry of a key becomes; None where it stays as it is, and for as long."""
    if stored is not None and new.is_bundle:
        return None
    said = new.as_bytes()
    old = unpacked(stored) if stored not in (None, said) else None
    return merged(old, new).as_bytes() if old else said


def unpacked(stored: bytes) -> Remembered | None:
    """The entry that `as_bytes` made; None for anything else, such as what a newer version wrote."""
    try:
        return Remembered.model_validate_json(stored)
    except ValueError:
        return None


def needles(hashes: Collection[str]) -> list[bytes]:
    """What to look for in stored entries that have to be forgotten. What is no hash is in none."""
    return [found.encode() for text in hashes if (found := digits(text))]


def enriched(event: EventJson, recalled: Iterable[Remembered]) -> tuple[EventJson, tuple[str, ...]]:
    """The event with what it lacks, and the names of what was added (`user_data.em`).

    What it has stays. Of another person's entry nothing is taken. It becomes limited where a bundle's visit was: a
    server's event is never less restricted than the visit that it is enriched by (THREATS T16).
    """
    names: list[str] = []
    for known in recalled:
        user_data, fields = _additions(event, known)
        if user_data or fields:
            event = {**event, **fields, "user_data": {**event["user_data"], **user_data}}
            names += [*(f"user_data.{key}" for key in user_data), *fields]
    return event, tuple(names)


def order_of(event: EventJson) -> str:
    """The id of the order that an event is about; empty for none."""
    given = (event.get(place, {}).get("order_id") for place in ("custom_data", "original_event_data"))
    return next(filter(None, map(_order_id, given)), "")


def _order_id(value: Any) -> str:
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if len(text) <= LONGEST_ORDER_ID else ""


def _additions(event: EventJson, known: Remembered) -> tuple[Given, dict[str, Any]]:
    """What an entry adds to the event's user_data, and what to the event itself."""
    given, told, limits = event["user_data"], _given(known.user_data), _limits(event, known)
    if _is_another(given, told):
        return {}, limits
    lacks_page = known.event_source_url and not event.get("event_source_url")
    page = {"event_source_url": known.event_source_url} if lacks_page else {}
    more = {key: value for key, value in told.items() if not given.get(key)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in more.items()}, page | limits


def _limits(event: EventJson, known: Remembered) -> dict[str, Any]:
    options = event.get("data_processing_options", ())
    if known.limits is None or LIMITED in options:
        return {}
    country, state = known.limits
    return {
        "data_processing_options": [*options, LIMITED],
        "data_processing_options_country": country,
        "data_processing_options_state": state,
    }


def _bundle(event: EventJson, browser: bytes) -> Remembered:
    texts = {key: text for key in DEVICE if (text := _short(event["user_data"].get(key)))}
    country, state = (event.get(f"data_processing_options_{place}", 0) for place in ("country", "state"))
    return Remembered(
        user_data=NOBODY.model_copy(update=_kept_hashes(event) | texts),
        is_bundle=True,
        event_source_url=_short(event.get("event_source_url")),
        limits=(country, state) if event.get("data_processing_options") else None,
        browser=browser.hex(),
    )


def _kept_hashes(event: EventJson) -> Given:
    given = event["user_data"]
    return {key: _first(values) for key in HASHES if (values := given.get(key))}


def _first(values: str | list[str]) -> str | tuple[str, ...]:
    return values if isinstance(values, str) else tuple(values[:MOST_VALUES])


def _short(text: str | None) -> str | None:
    return text if text and len(text) <= LONGEST else None


def _given(user_data: UserData) -> Given:
    return {key: value for key, value in vars(user_data).items() if value}


def _is_another(one: Given, other: Given) -> bool:
    """Whether they are about two people, as far as what both have tells."""
    both = {key for key in one.keys() & other.keys() if one[key] and other[key]}
    return any(_bare(one[key]).isdisjoint(_bare(other[key])) for key in both & TELLING or both & LESS_TELLING)


def _bare(value: str | Sequence[str]) -> set[str]:
    """An fbp or hashes without Meta's appendices."""
    return {bare(value)} if isinstance(value, str) else set(map(_bare_hash, value))


def _bare_hash(value: str) -> str:
    return value.partition(".")[0]


def _key(kind: bytes, pixel_id: str, name: str) -> bytes:
    """A digest, told apart by kind and by pixel: those of one advertiser never meet those of another."""
    named = f"{pixel_id}\0{name}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(named, digest_size=16, person=kind).digest()
