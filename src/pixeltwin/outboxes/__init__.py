"""The engines of the outbox, and the one way to open any of them."""

import time
from collections.abc import Callable
from pathlib import Path

from pixeltwin import kinds
from pixeltwin.delivery.encrypted import EncryptedOutbox
from pixeltwin.delivery.encryption import Cipher
from pixeltwin.delivery.outbox import Outbox
from pixeltwin.kinds import KindSettings


async def open_outbox(settings: KindSettings, *, base: Path, clock: Callable[[], float] = time.time) -> Outbox:
    """The outbox of these settings, which says what cannot be decrypted also where `encryption` is off now.

    Raises OSError where it cannot be had.
    """
    engine = await kinds.module_of(settings).open_outbox(settings, base=base, clock=clock)
    return EncryptedOutbox(engine, Cipher.of(getattr(settings, "encryption", None)))
