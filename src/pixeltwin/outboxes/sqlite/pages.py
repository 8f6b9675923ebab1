"""Pages of what lies in a table, found without a scan: the rows of one pixel lie together in an index."""

import heapq
from typing import Final

import apsw

# From one pixel straight to the next, as in the lanes of the queue.
PIXELS: Final = """
WITH RECURSIVE
destinations (name) AS (
    SELECT min(destination) FROM {table}
    UNION ALL
    SELECT (SELECT min(destination) FROM {table} WHERE destination > name) FROM destinations WHERE name IS NOT NULL
),
pixels (destination, id) AS (
    SELECT name, (SELECT min(pixel_id) FROM {table} WHERE destination = name)
    FROM destinations WHERE name IS NOT NULL AND name = ifnull(?1, name)
    UNION ALL
    SELECT destination, (
        SELECT min(pixel_id) FROM {table} WHERE {table}.destination = pixels.destination AND pixel_id > id
    )
    FROM pixels WHERE id IS NOT NULL
)
SELECT destination, id FROM pixels WHERE id IS NOT NULL AND id = ifnull(?2, id)
"""
ALL: Final = "SELECT seq FROM {table} WHERE seq > ? ORDER BY seq LIMIT ?"
OF_PIXEL: Final = {
    "outbox": """
SELECT seq FROM (SELECT * FROM (
    SELECT seq FROM outbox WHERE destination = ?1 AND pixel_id = ?2 AND held = 0 AND seq > ?3 ORDER BY seq LIMIT ?4
) UNION ALL SELECT * FROM (
    SELECT seq FROM outbox WHERE destination = ?1 AND pixel_id = ?2 AND held = 1 AND seq > ?3 ORDER BY seq LIMIT ?4
))
""",
    "dead": "SELECT seq FROM dead WHERE destination = ?1 AND pixel_id = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4",
}


def page(
    db: apsw.Connection, table: str, destination: str | None, pixel_id: str | None, after: int, limit: int
) -> list[int]:
    """The first rows of the table after that one, of a destination or a pixel where they are given."""
    if destination is None and pixel_id is None:
        return [seq for (seq,) in db.execute(ALL.format(table=table), (after, limit))]
    pixels = list(db.execute(PIXELS.format(table=table), (destination, pixel_id)))
    found = (seq for pixel in pixels for (seq,) in db.execute(OF_PIXEL[table], (*pixel, after, limit)))
    return heapq.nsmallest(limit, found)
