# ruff: noqa: S608 - statements are put together from constants of ours, what is given to them are parameters
"""What the commands of an outbox mean in SQL; `$1` is the time, the database's own where it is null.

Each is one statement, so that one trip to the database does it, whole or not at all. Rows say for themselves whether a
lease has them: a statement that had to wait for a row looks at it again.
"""

from typing import Final

from pixeltwin.delivery.outbox import DEADLINE_PASSED, KEEP_LETTERS, REMEMBERED, REPEATABLE
from pixeltwin.outboxes.postgres.marks import CLOCK, keep_below

NOW: Final = "(SELECT now FROM clock)"  # where an index is to be asked for it
# The deadline of what a lease that is over held: it may have been sent.
DOUBTED: Final = "CASE WHEN ends_at <= now THEN least(deadline, repeat_by) ELSE deadline END"
UNLEASED: Final = "token = '', ends_at = '-infinity', repeat_by = 'infinity'"


def count(counts: str) -> str:
    """Add to the tally what `counts` selects: destination, what. Always in one order, or two nodes would deadlock."""
    return f"""
    INSERT INTO tally (destination, what, shard, number)
    SELECT destination, what, $2, count(*) FROM ({counts}) AS happened GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (destination, what, shard) DO UPDATE SET number = tally.number + excluded.number
"""


OPEN_SESSION: Final = f"WITH {CLOCK} INSERT INTO session (at) SELECT now FROM clock RETURNING id"

# A group of appends. `mine` is empty when the session was closed by a node that believes the connection to be lost;
# then nothing happens. A key is fresh when it is new or was accepted too long ago.
APPEND: Final = f"""
WITH {CLOCK}, mine AS (
    UPDATE session SET last_group = $4, at = now FROM clock WHERE id = $3 AND is_open RETURNING id
), given AS MATERIALIZED (
    SELECT * FROM unnest(
        $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::bytea[], $10::float8[], $11::int[], $12::float8[],
        $13::float8[]
    ) WITH ORDINALITY
        AS given (destination, pixel_id, key, payload, subject, hold_until, priority, deadline, at, n)
    WHERE $3::bigint IS NULL OR EXISTS (SELECT FROM mine)
), fresh AS (
    INSERT INTO seen (destination, pixel_id, key, at)
    SELECT destination, pixel_id, key, now FROM given, clock WHERE key IS NOT NULL
    ORDER BY destination, pixel_id, key
    ON CONFLICT (destination, pixel_id, key) DO UPDATE SET at = excluded.at
        WHERE seen.at <= excluded.at - {REMEMBERED}
    RETURNING destination, pixel_id, key
), kept AS MATERIALIZED (
    SELECT given.* FROM given LEFT JOIN fresh USING (destination, pixel_id, key)
    WHERE given.key IS NULL OR fresh.key IS NOT NULL
), stored AS (
    INSERT INTO outbox (destination, pixel_id, payload, subject, held, priority, due, deadline, appended_at)
    SELECT destination, pixel_id, payload, subject, hold_until IS NOT NULL, priority,
        coalesce(hold_until, at, now), deadline, coalesce(at, now)
    FROM kept, clock ORDER BY n
    RETURNING destination, pixel_id, priority, due
), marked AS ({keep_below("stored")}), counted AS ({count("SELECT destination, 'accepted' AS what FROM stored")})
SELECT $3::bigint IS NULL OR EXISTS (SELECT FROM mine) AS is_open, ARRAY(SELECT n::int FROM kept) AS kept
"""

FORGET: Final = f"""
WITH {CLOCK}, old AS MATERIALIZED (
    SELECT destination, pixel_id, key FROM seen WHERE at <= {NOW} - {REMEMBERED}
    ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM seen USING old
    WHERE (seen.destination, seen.pixel_id, seen.key) = (old.destination, old.pixel_id, old.key) RETURNING 1
)
SELECT count(*) FROM gone
"""

LETTER: Final = f"""
INSERT INTO letter (seq, destination, pixel_id, payload, subject, held, priority, attempts, deadline, appended_at,
    reason, code, at, is_expired)
SELECT seq, destination, pixel_id, payload, subject, held, priority, attempts, {DOUBTED}, appended_at"""

SETTLE: Final = f"""
WITH {CLOCK}, given AS MATERIALIZED (
    SELECT * FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::float8[], $9::bool[], $10::int[])
        AS given (seq, what, reason, code, at, ambiguous, tries)
), gone AS (
    DELETE FROM outbox USING given
    WHERE outbox.seq = given.seq AND token = $3 AND what IN ('delivered', 'dropped', 'dead', 'expired')
    RETURNING outbox.*, given.what, given.reason, given.code
), letters AS (
    {LETTER}, reason, code, now, what = 'expired' FROM gone, clock WHERE what IN ('dead', 'expired')
), later AS (
    UPDATE outbox SET due = at, last_reason = reason, attempts = attempts + tries, {UNLEASED},
        deadline = least({DOUBTED}, CASE WHEN ambiguous THEN now + {REPEATABLE} END)
    FROM given, clock WHERE outbox.seq = given.seq AND token = $3 AND what = 'later'
    RETURNING destination, pixel_id, priority, due
), marked AS ({keep_below("later")}), let_go AS (
    UPDATE outbox SET deadline = {DOUBTED}, {UNLEASED} FROM clock WHERE seq = ANY($11::bigint[]) AND token = $3
), ended AS (
    DELETE FROM lease WHERE token = $3
), counted AS ({count("SELECT destination, what FROM gone")})
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM later)
"""

# What was under a lease that is over by now may have been sent.
LET_GO_ALL: Final = f"""
WITH {CLOCK}, ended AS (
    DELETE FROM lease WHERE holder = $2 RETURNING token, destination, seqs
), items AS (
    SELECT token, unnest(seqs) AS seq FROM ended
), let_go AS (
    UPDATE outbox SET deadline = {DOUBTED}, {UNLEASED} FROM items, clock
    WHERE outbox.seq = items.seq AND outbox.token = items.token
), gone AS (
    DELETE FROM worker WHERE name = $2
)
SELECT DISTINCT destination FROM ended
"""


def wish(what: str, pixel_id: str, subject: str) -> str:
    """Leave word of it for the items that are still in some node's spool."""
    return f"""
    INSERT INTO wish (pixel_id, subject, what, at) SELECT {pixel_id}, {subject}, '{what}', now FROM clock
    ON CONFLICT (pixel_id, subject, what) DO UPDATE SET at = excluded.at
"""


RELEASE: Final = f"""
WITH {CLOCK}, wished AS ({wish("release", "$2", "$3")}), released AS (
    UPDATE outbox SET held = false, due = now, deadline = least(deadline, repeat_by), {UNLEASED}
    FROM clock WHERE pixel_id = $2 AND subject = $3 AND held AND ends_at <= now
    RETURNING destination, pixel_id, priority, due
), marked AS ({keep_below("released")})
SELECT destination, count(*) FROM released GROUP BY destination
"""

PURGE: Final = f"""
WITH {CLOCK}, wished AS ({wish("purge", "$3", "$4")}), items AS (
    DELETE FROM outbox USING clock WHERE pixel_id = $3 AND subject = $4 AND ends_at <= now RETURNING destination
), letters AS (
    DELETE FROM letter WHERE pixel_id = $3 AND subject = $4 RETURNING destination
), gone AS (
    SELECT destination, 'purged' AS what FROM items UNION ALL SELECT destination, 'discarded' FROM letters
), counted AS ({count("SELECT * FROM gone")})
SELECT count(*) FROM gone
"""

WITHDRAW: Final = f"""
WITH {CLOCK}, gone AS (
    DELETE FROM outbox USING clock WHERE seq = ANY($3::bigint[]) AND ends_at <= now RETURNING destination
), counted AS ({count("SELECT destination, 'purged' AS what FROM gone")})
SELECT count(*) FROM gone
"""

# What may have been sent by a lease that is over, and may not be repeated any more: its deadline has passed.
GIVE_UP: Final = f"""
WITH {CLOCK}
UPDATE outbox SET deadline = least(deadline, repeat_by), {UNLEASED} FROM lease, clock
WHERE lease.ends_at <= now AND seq = ANY(seqs) AND outbox.token = lease.token AND repeat_by <= now
"""

EXPIRE: Final = f"""
WITH {CLOCK}, late AS MATERIALIZED (
    SELECT seq FROM outbox
    WHERE deadline <= {NOW} AND deadline < 'infinity' AND ends_at <= {NOW}
    ORDER BY deadline, seq LIMIT $3 FOR UPDATE SKIP LOCKED
), items AS (
    DELETE FROM outbox USING late WHERE outbox.seq = late.seq RETURNING outbox.*
), letters AS (
    {LETTER}, concat_ws(': ', '{DEADLINE_PASSED}', nullif(last_reason, '')), '', now, true FROM items, clock
), old AS MATERIALIZED (
    SELECT seq FROM letter WHERE at <= {NOW} - $4 ORDER BY at, seq LIMIT $3 FOR UPDATE SKIP LOCKED
), discarded AS (
    DELETE FROM letter USING old WHERE letter.seq = old.seq RETURNING destination
), gone AS (
    SELECT destination, 'expired' AS what FROM items UNION ALL SELECT destination, 'discarded' FROM discarded
), counted AS ({count("SELECT * FROM gone")})
SELECT count(*) FROM items
"""

STILL_THERE: Final = "SELECT FROM outbox WHERE outbox.seq = ANY(lease.seqs) AND outbox.token = lease.token"

# What nobody needs any more, in the same bounded steps.
TIDY: Final = tuple(
    f"""
WITH {CLOCK}, old AS MATERIALIZED (
    SELECT {key} FROM {table} WHERE {is_old} LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM {table} USING old WHERE {table}.{key} = old.{key}
"""
    for table, key, is_old in (
        ("lease", "token", f"ends_at <= {NOW} - {REMEMBERED} AND NOT EXISTS ({STILL_THERE})"),
        ("session", "id", f"at <= {NOW} - {2 * KEEP_LETTERS}"),  # longer than anything is of use in a spool
        ("drained", "id", f"at <= {NOW} - {KEEP_LETTERS}"),
        ("wish", "ctid", f"at <= {NOW} - {KEEP_LETTERS}"),
    )
)

# Of those that keep dead rows in this database; what a role may not see of others' sessions counts as nothing.
OLDEST_SNAPSHOT: Final = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - began)), 0)::float8 AS seconds,
    (array_agg(pid ORDER BY began))[1] AS pid, coalesce((array_agg(name ORDER BY began))[1], '') AS application
FROM (
    SELECT pid, application_name AS name, xact_start AS began FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xmin IS NOT NULL AND xact_start IS NOT NULL
    UNION ALL
    SELECT NULL, 'prepared transaction ' || gid, prepared FROM pg_prepared_xacts WHERE database = current_database()
) AS transactions
"""

PARK: Final = f"""
WITH {CLOCK}, ended AS (
    DELETE FROM park USING clock WHERE destination = $2 AND pixel_id = $3 AND $4 <= now
)
INSERT INTO park (destination, pixel_id, until, reason) SELECT $2, $3, $4, $5 FROM clock WHERE $4 > now
ON CONFLICT (destination, pixel_id) DO UPDATE SET until = excluded.until, reason = excluded.reason
"""
PARKS: Final = f"WITH {CLOCK} SELECT destination, pixel_id, until, reason FROM park, clock WHERE until > now"

PAGE: Final = """
FROM {table}, clock
WHERE seq > $4 AND ($2::text IS NULL OR destination = $2) AND ($3::text IS NULL OR pixel_id = $3)
ORDER BY seq LIMIT $5
"""
LETTERS: Final = f"""
WITH {CLOCK}
SELECT seq, destination, pixel_id, payload, reason, code, at, is_expired, appended_at, attempts, deadline
{PAGE.format(table="letter")}
"""
WAITING: Final = f"""
WITH {CLOCK}
SELECT seq, destination, pixel_id, payload, priority, due, attempts, last_reason, appended_at, held,
    {DOUBTED} AS deadline
{PAGE.format(table="outbox")}
"""

REQUEUE: Final = f"""
WITH {CLOCK}, found AS (
    DELETE FROM letter USING clock WHERE seq = ANY($3::bigint[]) AND deadline > now RETURNING letter.*
), back AS (
    INSERT INTO outbox (seq, destination, pixel_id, payload, subject, held, priority, due, deadline, appended_at)
    SELECT seq, destination, pixel_id, payload, subject, held, priority, now, deadline, appended_at FROM found, clock
    RETURNING destination, pixel_id, priority, due
), marked AS ({keep_below("back")}), counted AS ({count("SELECT destination, 'requeued' AS what FROM found")})
SELECT destination, count(*) FROM found GROUP BY destination
"""

DISCARD: Final = f"""
WITH {CLOCK}, gone AS (
    DELETE FROM letter USING clock WHERE seq = ANY($3::bigint[]) RETURNING destination
), counted AS ({count("SELECT destination, 'discarded' AS what FROM gone")})
SELECT count(*) FROM gone
"""

TALLY: Final = "SELECT destination, what, sum(number)::bigint AS number FROM tally GROUP BY destination, what"

ITEMS: Final = "SELECT destination, count(*) FROM outbox GROUP BY destination"
LETTER_COUNT: Final = "SELECT destination, count(*) FROM letter GROUP BY destination"

# Of one moment: what waits is what the tally says. Items under lease leave it with their lease.
DEPTHS: Final = f"""
WITH {CLOCK}, counts AS (
    SELECT destination,
        sum(CASE WHEN what IN ('accepted', 'requeued') THEN number
            WHEN what IN ('delivered', 'dropped', 'dead', 'expired', 'purged') THEN -number ELSE 0 END) AS waiting,
        sum(CASE WHEN what IN ('dead', 'expired') THEN number
            WHEN what IN ('requeued', 'discarded') THEN -number ELSE 0 END) AS dead
    FROM tally GROUP BY destination
), leases AS (
    SELECT destination, sum(cardinality(seqs)) AS items, sum(lease.held) AS held
    FROM lease, clock WHERE ends_at > now GROUP BY destination
)
SELECT destination, waiting::bigint, dead::bigint, coalesce(leases.items, 0)::bigint AS leased,
    (SELECT count(*) FROM outbox WHERE held AND destination = counts.destination)
        - coalesce(leases.held, 0)::bigint AS held,
    (SELECT min(appended_at) FROM outbox WHERE NOT held AND destination = counts.destination) AS oldest_at
FROM counts LEFT JOIN leases USING (destination)
WHERE waiting > 0 OR dead > 0
"""

# Draining a spool: what another node, or this one before it died, has not already brought.
CLOSE_SESSIONS: Final = "UPDATE session SET is_open = false WHERE id = ANY($1::bigint[]) RETURNING id, last_group"
BRING: Final = f"""
WITH {CLOCK}
INSERT INTO drained (id, at) SELECT id, now FROM unnest($2::bytea[]) AS id, clock ORDER BY id
ON CONFLICT (id) DO NOTHING RETURNING id
"""
BROUGHT: Final = "DELETE FROM drained WHERE id = ANY($1::bytea[])"
WISHES: Final = """
SELECT pixel_id, subject, what, at FROM wish
WHERE (pixel_id, subject) IN (SELECT * FROM unnest($1::text[], $2::bytea[]))
"""
COUNT: Final = f"""
WITH {CLOCK}, happened AS (SELECT * FROM unnest($3::text[], $4::text[]) AS happened (destination, what))
{count("SELECT happened.* FROM happened, clock")}
"""
