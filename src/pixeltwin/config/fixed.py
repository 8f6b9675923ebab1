"""What a gateway cannot change while it runs: the addresses it listens on, the outbox it holds, who sends."""

from collections.abc import Iterator

from pixeltwin.config.document import Document, Fault, Loc
from pixeltwin.config.model import Config
from pixeltwin.config.problems import key_text


def fixed(config: Config, running: Config, document: Document) -> Iterator[Fault]:
    """The options that differ from the running config's and would need a restart."""
    for loc in _differing(config, running):
        name = key_text(loc)
        yield Fault(loc, document.value_spot(loc), "changed while it is in use", f"restart to change {name}")


def _differing(config: Config, running: Config) -> Iterator[Loc]:
    if config.server.listen != running.server.listen:
        yield "server", "listen"
    yield from _outbox(config, running)
    if config.delivery.senders != running.delivery.senders:
        yield "delivery", "senders"
    if (config.admin is None) != (running.admin is None):
        yield ("admin",)
    elif config.admin and running.admin and config.admin.listen != running.admin.listen:
        yield "admin", "listen"


def _outbox(config: Config, running: Config) -> Iterator[Loc]:
    new, old = config.outbox, running.outbox
    if type(new) is not type(old):
        yield "outbox", "kind"
        return
    for name, option in type(new).model_fields.items():
        if getattr(new, name) != getattr(old, name):
            yield "outbox", option.alias or name
