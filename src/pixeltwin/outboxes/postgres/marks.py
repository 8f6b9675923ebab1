# ruff: noqa: S608 - statements are put together from constants of ours, what is given to them are parameters
"""Below the mark of a lane nothing is due: who looks for items begins there.

What was delivered stays in the index until the last transaction that could still see it has ended, which may be
somebody's report, hours away. Without marks every lease would step over all of it. Whatever makes an item due keeps
the lane's mark at or below it. Marks are raised from time to time to the first item that is there, but not beyond the
beginning of a node's transaction that has not ended: what that stores is not to be seen yet. `FIND` puts right what
went wrong all the same: of a node with another role nobody may see when its transactions began.
"""

from typing import Final

LAG: Final = 1.0  # seconds that marks stay behind
NAME: Final = "pixeltwin"  # as which a node's connections make themselves known
CLOCK: Final = "clock AS (SELECT coalesce($1::float8, extract(epoch FROM clock_timestamp())::float8) AS now)"


def keep_below(rows: str) -> str:
    """Keep the marks at or below what is `due` in these rows.

    Most are there already and stay unlocked, or all nodes would wait for one row. What is due since long, from a spool,
    locks its mark and moves it a little: who wants to raise it meanwhile finds it touched.
    """
    return f"""
    INSERT INTO mark (destination, pixel_id, priority, low)
    SELECT destination, pixel_id, priority, first FROM (
        SELECT destination, pixel_id, priority, min(due) AS first FROM {rows} AS due_rows GROUP BY 1, 2, 3
    ) AS firsts, clock
    WHERE first <= now - {LAG} OR NOT EXISTS (
        SELECT FROM mark WHERE (mark.destination, mark.pixel_id, mark.priority)
            = (firsts.destination, firsts.pixel_id, firsts.priority) AND low <= first
    )
    ORDER BY 1, 2, 3
    ON CONFLICT (destination, pixel_id, priority) DO UPDATE SET low = least(mark.low, excluded.low) - 0.001
"""


# How far marks may be raised by a statement that begins after this one has ended.
HIGHEST: Final = f"""
WITH {CLOCK}
SELECT least(now - {LAG}, (
    SELECT extract(epoch FROM min(xact_start))::float8 FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = '{NAME}' AND pid <> pg_backend_pid()
)) FROM clock
"""

RAISE: Final = """
WITH seen AS MATERIALIZED (
    SELECT mark.*, least($1, (
        SELECT due FROM outbox
        WHERE outbox.destination = mark.destination AND outbox.pixel_id = mark.pixel_id
            AND outbox.priority = mark.priority AND due >= low
        ORDER BY due LIMIT 1
    )) AS first
    FROM mark
)
UPDATE mark SET low = first FROM seen
WHERE (mark.destination, mark.pixel_id, mark.priority) = (seen.destination, seen.pixel_id, seen.priority)
    AND mark.low = seen.low AND first > seen.low  -- nobody has touched it since
"""

# Each lane is found from the one before it, by one step into the index; but over all that is dead.
FIND: Final = """
WITH RECURSIVE lane AS (
    (SELECT destination, pixel_id, priority, due FROM outbox ORDER BY destination, pixel_id, priority, due LIMIT 1)
    UNION ALL
    SELECT following.* FROM lane, LATERAL (
        SELECT destination, pixel_id, priority, due FROM outbox
        WHERE (destination, pixel_id, priority) > (lane.destination, lane.pixel_id, lane.priority)
        ORDER BY destination, pixel_id, priority, due LIMIT 1
    ) AS following
)
INSERT INTO mark (destination, pixel_id, priority, low)
SELECT destination, pixel_id, priority, due FROM lane ORDER BY 1, 2, 3
ON CONFLICT (destination, pixel_id, priority) DO UPDATE SET low = excluded.low WHERE excluded.low < mark.low
"""
