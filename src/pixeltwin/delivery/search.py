"""Which events of a rejected batch are at fault, found with few posts.

The batch is halved until a bad event stands alone. When the half that is posted first is taken, the other one must
hold an event at fault, so it is halved again without being posted whole. Events that the other side blames are posted
alone first: if it blames the wrong ones, they are delivered and nothing is lost but a post.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pixeltwin.delivery.batches import Batch

MAX_POSTS: Final = 64  # for one batch (DELIVERY 2f); with many bad events the rest goes later


@dataclass(frozen=True, slots=True)
class Part:
    """Some events of the batch.

    `is_guilty`: one of them is at fault. `leads`: when these are taken, the part after them is guilty.
    """

    batch: Batch
    is_guilty: bool = False
    leads: bool = False


class Search:
    """One batch on its way. Ask for the `next_part` to post, tell how it ended, until there is none."""

    def __init__(self, batch: Batch) -> None:
        self._todo = [Part(batch)]  # the last comes first
        self._part = self._todo[0]
        self.posts = 0

    def next_part(self) -> Batch:
        """What to post now; empty when all is judged."""
        while self._todo and (part := self._todo[-1]).is_guilty and len(part.batch) > 1:
            self._todo.pop()
            self._push_halves(part.batch)
        if not self._todo:
            return ()
        self._part = self._todo.pop()
        self.posts += 1
        return self._part.batch

    def narrow(self, batch: Batch) -> None:
        """Only these of the part are posted; the others ended otherwise, and could have been those at fault."""
        self._part = Part(batch)

    def taken(self) -> None:
        """The part was taken."""
        if self._part.leads and self._todo:
            self._todo[-1] = replace(self._todo[-1], is_guilty=True)

    def rejected(self, blamed: Sequence[int] = ()) -> None:
        """The part was rejected, perhaps with the positions of those at fault. One that stood alone is judged."""
        batch = self._part.batch
        named = {position for position in blamed if position < len(batch)}
        if len(batch) == 1:
            return
        if named and len(named) < len(batch):
            self._push_blamed(batch, named)
        else:
            self._push_halves(batch)

    def halve(self) -> None:
        """The part was too big: neither half is suspected."""
        left, right = _halves(self._part.batch)
        self._todo += [Part(right), Part(left)]

    def rest(self) -> Batch:
        """What is not judged and was not asked for yet."""
        return tuple(one for part in self._todo for one in part.batch)

    def _push_halves(self, batch: Batch) -> None:
        left, right = _halves(batch)
        self._todo += [Part(right), Part(left, leads=True)]

    def _push_blamed(self, batch: Batch, named: set[int]) -> None:
        others = tuple(one for position, one in enumerate(batch) if position not in named)
        alone = [Part((batch[position],), leads=len(named) == 1) for position in sorted(named)]
        self._todo += [Part(others), *alone]


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]
