"""What no single option can know: names that point somewhere, things that must differ, unsafe combinations.

The checks look at the data, not at the finished config, so that they have their say about a file with other
mistakes too. Whatever has the wrong type is passed over here: the models complain about it.
"""

from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import PydanticCustomError

from pixeltwin.config.document import Document, Fault, Loc
from pixeltwin.config.problems import did_you_mean
from pixeltwin.config.values import Listen
from pixeltwin.mapping.element import client_made

SAFE_KEYS: Final = (
    "read it from a signed_cookie or a jwt, or from a session, or write `trust: unsafe` if you can live with that"
)

type Finding = tuple[Loc, str, str]  # where, what was found, what would work


def check(document: Document) -> Iterator[Fault]:
    """Every fault that concerns several options."""
    for loc, found, remedy in _findings(document.data):
        yield Fault(loc, document.value_spot(loc), found, remedy)


def doubts(document: Document) -> Iterator[Fault]:
    """What can be used but is dangerous, and was said to be meant."""
    for loc, found, remedy in _marked_unsafe(document.data):
        yield Fault(loc, document.value_spot(loc), found, remedy)


def _findings(data: Any) -> Iterator[Finding]:
    yield from _twice(data, "id", "give each pixel once")
    yield from _twice(data, "name", "choose another name")
    yield from _enrich(data)
    yield from _source_keys(data)
    yield from _trust(data)
    yield from _hosts(data)
    yield from _listens(data)
    yield from _senders(data)


def _twice(data: Any, option: str, remedy: str) -> Iterator[Finding]:
    seen: dict[str, tuple[Any, dict[str, Any]]] = {}
    for index, pixel in _entries(data, "pixels"):
        value = str(pixel.get(option, pixel.get("id")))  # a pixel without a name is called by its id
        first, other = seen.setdefault(value, (index, pixel))
        if other is not pixel and (option in pixel or str(other.get("id")) != str(pixel.get("id"))):
            yield ("pixels", index, option), f"pixels[{first}] has the same {option}", remedy


def _enrich(data: Any) -> Iterator[Finding]:
    sources = [name for name, _ in _entries(data, "sources")]
    for index, pixel in _entries(data, "pixels"):
        for position, name in enumerate(_texts(pixel, "enrich")):
            if name not in sources:
                remedy = did_you_mean(name, sources, "there is no source: add it under `sources`")
                yield ("pixels", index, "enrich", position), f"no source is named {name!r}", remedy


def _source_keys(data: Any) -> Iterator[Finding]:
    elements = [name for name, _ in _entries(data, "elements")]
    for name, source in _entries(data, "sources"):
        key = source.get("key")
        if isinstance(key, str) and key not in elements:
            remedy = did_you_mean(key, elements, "there is no element: add it under `elements`")
            yield ("sources", name, "key"), f"no element is named {key!r}", remedy


def _trust(data: Any) -> Iterator[Finding]:
    """A customer may only be named by what clients cannot make up (THREATS T5)."""
    for source, element, loc, kind, is_marked in _client_made_keys(data):
        if not is_marked:
            yield loc, _danger(source, element, kind), SAFE_KEYS


def _marked_unsafe(data: Any) -> Iterator[Finding]:
    for source, element, loc, kind, is_marked in _client_made_keys(data):
        if is_marked:
            yield (*loc, "trust"), _danger(source, element, kind), "use signed_cookie, jwt or session"


def _danger(source: str, element: str, kind: str) -> str:
    return (
        f"source {source!r} takes {element!r} as the customer, and any client can make up a {kind}: "
        "anyone could attach other people's data to their own device"
    )


def _client_made_keys(data: Any) -> Iterator[tuple[str, str, Loc, str, bool]]:
    """The elements that name customers though a client can make them up: source, element, place, kind, if marked."""
    elements = dict(_entries(data, "elements"))
    enriching = {name for _, pixel in _entries(data, "pixels") for name in _texts(pixel, "enrich")}
    for source, settings in _entries(data, "sources"):
        if settings.get("map") == {} and source not in enriching:  # it verifies orders, or knows whose session it is
            continue  # of one that enriches, custom_data and profile are the customer's too
        name = settings.get("key")
        written = elements.get(name) if isinstance(name, str) else None
        for loc, kind, is_marked in client_made(written):
            yield str(source), str(name), ("elements", str(name), *loc), kind, is_marked


def _hosts(data: Any) -> Iterator[Finding]:
    server = _mapping(data, "server")
    public = [host.lower() for host in _texts(server, "public_hosts")]
    hosts = [
        (("pixels", index, "hosts", position), host.lower())
        for index, pixel in _entries(data, "pixels")
        for position, host in enumerate(_texts(pixel, "hosts"))
    ]
    if not public and not hosts and not _is_loopback(server.get("listen", "127.0.0.1:8080")):
        remedy = "list the names under `public_hosts`, or listen on 127.0.0.1"
        yield ("server", "listen"), "open to other machines while every Host is answered", remedy
    for loc, host in hosts:
        if public and host not in public:
            yield loc, f"{host!r} is not answered: server.public_hosts lacks it", "add it there, or remove it here"


def _listens(data: Any) -> Iterator[Finding]:
    server = _mapping(data, "server").get("listen", "127.0.0.1:8080")
    admin = _mapping(data, "admin").get("listen", "127.0.0.1:8090")
    is_off = isinstance(data, dict) and "admin" in data and data["admin"] is None
    if server == admin and not is_off:
        yield ("admin", "listen"), "server.listen has the same address", "choose another port"


def _senders(data: Any) -> Iterator[Finding]:
    kind = _mapping(data, "outbox").get("kind", "sqlite")
    if _mapping(data, "delivery").get("senders") is False and kind in ("memory", "sqlite"):
        found = f"false, while nobody but the gateway itself can use an outbox of kind {kind}"
        yield ("delivery", "senders"), found, "use an outbox of kind postgres, or write true"


def _mapping(data: Any, name: str) -> dict[str, Any]:
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _texts(data: Any, name: str) -> list[str]:
    value = data.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _entries(data: Any, name: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    value = data.get(name) if isinstance(data, dict) else None
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return ((key, item) for key, item in items if isinstance(item, dict))


def _is_loopback(listen: Any) -> bool:
    """Whether it is safe, or no address at all: then the model says so."""
    try:
        return not isinstance(listen, str) or Listen.parse(listen).is_loopback
    except PydanticCustomError:
        return True
