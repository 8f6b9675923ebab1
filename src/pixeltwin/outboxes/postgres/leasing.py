# ruff: noqa: S608 - statements are put together from constants of ours, what is given to them are parameters
"""What is leased next: the items of a destination lie in lanes, one for each pixel and priority.

A survey looks how much is free in each lane, and what it finds is shared out as `delivery/shares.py` says. Then the
items are taken, passing over whatever another node takes at the same moment. An item whose lease has ended with no
word of it may have been sent: from then on its deadline is what it may be repeated by. Each pixel has one owner among
the workers that are alive, so that its rate and its breaker are one worker's; a worker leaves alone what is not its
own.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pixeltwin.delivery.outbox import REPEATABLE, Item
from pixeltwin.delivery.shares import ends, in_turn, shares
from pixeltwin.outboxes.postgres.marks import CLOCK

ALIVE: Final = 6.0  # seconds since a worker was last seen

IN_LANE: Final = """
FROM outbox WHERE destination = $2 AND pixel_id = lane.pixel_id AND priority = lane.priority AND due >= lane.low"""

LANES: Final = f"""
WITH {CLOCK}, lane AS MATERIALIZED (
    SELECT pixel_id, priority, low FROM mark AS lane WHERE destination = $2 AND EXISTS (SELECT {IN_LANE})
)"""

IN_TIME: Final = "AND least(deadline, repeat_by) > now AND ends_at <= now"
FREE: Final = f"{IN_LANE} AND due <= now {IN_TIME}"

# Counts up to `most`: `$4`, or else what the pixels' shares of the limit come to, and two more. A pixel's last owner
# may still be at work on it.
SURVEY: Final = f"""
{LANES}, bound AS (SELECT coalesce($4, $5 / greatest(count(DISTINCT pixel_id), 1) + 2) AS most FROM lane)
SELECT pixel_id, priority, most, (SELECT count(*) FROM (SELECT 1 {FREE} LIMIT most) AS free) AS free
FROM lane, clock, bound
WHERE NOT EXISTS (SELECT FROM park WHERE destination = $2 AND park.pixel_id = lane.pixel_id AND until > now)
    AND NOT EXISTS (
        SELECT FROM lease
        WHERE destination = $2 AND ends_at > now AND holder <> $3 AND lane.pixel_id = ANY(pixels)
    )
"""

TAKE: Final = f"""
WITH {CLOCK}, lane AS MATERIALIZED (
    SELECT part.*, low
    FROM unnest($3::text[], $4::int[], $5::int[], $6::int[]) AS part (pixel_id, priority, newest, oldest)
    JOIN mark USING (pixel_id, priority) WHERE destination = $2
), chosen AS MATERIALIZED (
    SELECT found.seq FROM lane, clock, LATERAL (
        SELECT seq {FREE} ORDER BY due, seq LIMIT lane.oldest FOR UPDATE SKIP LOCKED
    ) AS found
    UNION ALL
    SELECT found.seq FROM lane, clock, LATERAL (
        SELECT seq {FREE} ORDER BY due DESC, seq DESC LIMIT lane.newest FOR UPDATE SKIP LOCKED
    ) AS found
), taken AS (
    UPDATE outbox
    SET token = $7, ends_at = now + $8, deadline = least(deadline, repeat_by), repeat_by = now + {REPEATABLE}
    FROM clock WHERE seq IN (SELECT seq FROM chosen)
    RETURNING seq, pixel_id, payload, attempts, appended_at, held, priority, deadline, due, ends_at
), noted AS (
    INSERT INTO lease (token, destination, holder, ends_at, pixels, seqs, held)
    SELECT $7, $2, $9, max(ends_at), array_agg(DISTINCT pixel_id), array_agg(seq), count(*) FILTER (WHERE held)
    FROM taken HAVING count(*) > 0
)
SELECT * FROM taken
"""

# The same now, or how long until the first item of each lane is free; what is under lease is when the lease ends.
PAUSES: Final = f"""
{LANES}
SELECT pixel_id, greatest(
    (SELECT due {IN_LANE} {IN_TIME} ORDER BY due LIMIT 1),
    (SELECT until FROM park WHERE destination = $2 AND park.pixel_id = lane.pixel_id),
    (
        SELECT max(ends_at) FROM lease
        WHERE destination = $2 AND ends_at > now AND holder <> $3 AND lane.pixel_id = ANY(pixels)
    )
) - now AS pause
FROM lane, clock
WHERE EXISTS (SELECT {IN_LANE} {IN_TIME})
UNION ALL
SELECT unnest(pixels), ends_at - now FROM lease, clock WHERE destination = $2 AND ends_at > now
"""

SEEN_ALIVE: Final = f"""
WITH {CLOCK}, me AS (
    INSERT INTO worker (destination, name, seen_at) SELECT $2, $3, now FROM clock
    ON CONFLICT (destination, name) DO UPDATE SET seen_at = excluded.seen_at
), gone AS (
    DELETE FROM worker USING clock WHERE destination = $2 AND name <> $3 AND seen_at <= now - 3600
)
SELECT name FROM worker, clock WHERE destination = $2 AND seen_at > now - $4
"""


@dataclass(frozen=True, slots=True)
class Part:
    """How many of a lane's items to take, from each end of its backlog."""

    pixel_id: str
    priority: int
    newest: int
    oldest: int


def owner_of(pixel_id: str, workers: Collection[str]) -> str:
    """The worker a pixel belongs to: nobody has to be asked, and one that comes or goes moves only its own share."""
    return max(workers, key=lambda name: hashlib.blake2b(f"{name} {pixel_id}".encode(), digest_size=8).digest())


def is_enough(limit: int, most: int, free: Mapping[str, Mapping[int, int]]) -> bool:
    """Whether a survey that counted up to `most` has seen all that a lease is shared out by.

    So it is when shares below `most` use the limit up, or nothing had more.
    """
    totals = [min(sum(lanes.values()), most - 1) for lanes in free.values()]
    return sum(totals) >= limit or all(number < most for lanes in free.values() for number in lanes.values())


def share_out(limit: int, free: Mapping[str, Mapping[int, int]], first_last_time: str) -> list[Part]:
    """What to take of what is free, by pixel and priority; the first part's pixel is whose turn it was."""

    def count(pixel_id: str, most: int) -> int:
        return min(sum(free[pixel_id].values()), most)

    given = shares(limit, in_turn(free, first_last_time), count)
    return [part for pixel_id, number in given.items() for part in _parts(pixel_id, free[pixel_id], number)]


def _parts(pixel_id: str, free: Mapping[int, int], room: int) -> Iterable[Part]:
    for priority in sorted(free, reverse=True):
        newest, oldest = ends(room) if free[priority] > room else (0, free[priority])
        yield Part(pixel_id, priority, newest, oldest)
        room -= newest + oldest


def items(rows: Iterable[Mapping[str, Any]]) -> Sequence[Item]:
    """The items of a lease in their order: highest priority first, then oldest first."""
    ordered = sorted(rows, key=lambda row: (-row["priority"], row["due"], row["seq"]))
    return [
        Item(
            seq=row["seq"],
            pixel_id=row["pixel_id"],
            payload=row["payload"],
            attempts=row["attempts"],
            appended_at=row["appended_at"],
            held=row["held"],
            priority=row["priority"],
            deadline=row["deadline"],
        )
        for row in ordered
    ]
