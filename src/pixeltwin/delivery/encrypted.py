"""An outbox whose engine, files and database see no payload in plain text."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pixeltwin.delivery.encryption import Cipher, UnreadableError
from pixeltwin.delivery.outbox import Appended, Item, Lease, Letter, NewItem, Outbox, Refused, Waiting
from pixeltwin.telemetry import log

PAGE: Final = 100  # letters or items


class EncryptedOutbox:
    """Any engine's outbox, with its payloads sealed for their destination and pixel.

    What cannot be opened, as its key is missing or its bytes are not what they were, is never leased: it becomes a
    letter that says so, and can be requeued once the key is there. Letters and waiting items that cannot be opened
    are shown as they are stored.
    """

    def __init__(self, engine: Outbox, cipher: Cipher) -> None:
        self._engine = engine
        self._cipher = cipher
        # what has nothing to do with payloads
        self.settle, self.expire = engine.settle, engine.expire
        self.release, self.purge, self.withdraw = engine.release, engine.purge, engine.withdraw
        self.requeue, self.discard = engine.requeue, engine.discard
        self.park, self.parks = engine.park, engine.parks
        self.stats, self.tally, self.unaccounted = engine.stats, engine.tally, engine.unaccounted
        self.trouble = engine.trouble
        self.wait, self.close = engine.wait, engine.close

    def append(self, items: Sequence[NewItem]) -> Awaitable[list[Appended]]:
        return self._engine.append([self._sealed(item) for item in items] if self._cipher.seals else items)

    async def lease(self, destination: str, *, limit: int, seconds: float) -> Lease:
        while True:
            lease = await self._engine.lease(destination, limit=limit, seconds=seconds)
            items, unreadable = self._opened_all(lease)
            if not unreadable:
                return replace(lease, items=tuple(items))
            reasons = sorted({refused.reason for refused in unreadable.values()})
            log.error("items of the outbox cannot be read", number=len(unreadable), reasons=reasons)
            await self._engine.settle(lease, unreadable)  # the others are let go, and leased once more

    async def letters(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = PAGE
    ) -> list[Letter]:
        found = await self._engine.letters(destination=destination, pixel_id=pixel_id, after=after, limit=limit)
        return [self._shown(letter) for letter in found]

    async def waiting(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = PAGE
    ) -> list[Waiting]:
        found = await self._engine.waiting(destination=destination, pixel_id=pixel_id, after=after, limit=limit)
        return [self._shown(item) for item in found]

    def _sealed(self, item: NewItem) -> NewItem:
        about = _about(item.destination, item.pixel_id)
        return item._replace(payload=self._cipher.seal(item.payload, about))

    def _opened_all(self, lease: Lease) -> tuple[list[Item], Mapping[int, Refused]]:
        """The items that can be read, and by `seq` why the others cannot."""
        items, unreadable = [], {}
        for item in lease.items:
            try:
                payload = self._cipher.open(item.payload, _about(lease.destination, item.pixel_id))
            except UnreadableError as error:
                unreadable[item.seq] = Refused(str(error))
            else:
                items.append(replace(item, payload=payload))
        return items, unreadable

    def _shown[T: (Letter, Waiting)](self, one: T) -> T:
        try:
            return replace(one, payload=self._cipher.open(one.payload, _about(one.destination, one.pixel_id)))
        except UnreadableError:
            return one


def _about(destination: str, pixel_id: str) -> bytes:
    """What a payload is bound to: all that is known both when it comes and whenever it is looked at."""
    return f"{destination}\0{pixel_id}".encode()
