"""Meta misbehaves in every way it can over a socket: all is delivered afterwards, or ends with a reason.

`tests/delivery/` says what each single answer does; here whole backlogs meet real sockets that break, hours pass by
the test's own clock, and the oracle judges.
"""

import datetime
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.reliability.lines import DAY, Line, line
from tests.reliability.meta import Answer, OracleMeta, Post, cut, drip, graph_error, half_close, hang, reset, whole
from tests.reliability.oracle import PIXELS

HOUR = 3600.0
BATCH = 200
MOST_POSTS = 64  # of one batch (DELIVERY 2f)


@pytest.fixture
async def a_line(tmp_path: Path) -> AsyncIterator[Line]:
    async with line(tmp_path) as made:
        yield made


def usage(minutes: int) -> str:
    return json.dumps({"1": [{"call_count": 100, "estimated_time_to_regain_access": minutes}]})


@pytest.mark.parametrize(
    ("storm", "most_posts"),
    [
        # of each pixel two at once, tries after 1, 3, 7 and 15 minutes, then every quarter of an hour
        pytest.param(Answer(429), 3 * (2 + 20), id="429"),
        pytest.param(Answer(429, headers={"retry-after": "600"}), 3 * (2 + 24), id="429 with Retry-After"),
        pytest.param(
            graph_error(400, 80004, x_business_use_case_usage=usage(10)),
            3 * (2 + 24),
            id="80004 with Meta's usage header",
        ),
        # one probe a minute at most once the breakers are open, and what was under way before
        pytest.param(Answer(500), 4 * 60 + 30, id="500"),
        pytest.param(graph_error(503, 2), 4 * 60 + 30, id="503 as Graph says it"),
    ],
)
async def test_a_storm_of_hours_is_sat_out_without_knocking_and_everything_is_delivered(a_line, storm, most_posts):
    a_line.meta.script = lambda post: storm
    await a_line.append(300)
    assert await a_line.run(4 * HOUR) <= most_posts
    assert a_line.meta.took == {}
    a_line.meta.script = lambda post: None
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert (verdict.delivered, verdict.dead, verdict.expired, verdict.repeated) == (301, 0, 0, 0)


async def test_a_token_that_is_refused_for_a_day_costs_no_event(a_line):
    a_line.meta.token = "new"
    await a_line.append(300)
    await a_line.run(DAY)
    await a_line.append(300)
    a_line.token = "new"
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert (verdict.delivered, verdict.dead, verdict.expired) == (601, 0, 0)


def searches(posts: Sequence[Post]) -> list[int]:
    """How many posts each batch took, its own and those of its parts; batches are under way side by side."""
    batches: list[list[set[str]]] = []
    for ids in (set(post.ids) for post in posts):
        for batch in batches:
            if ids <= batch[0]:
                batch.append(ids)
                break
        else:
            batches.append([ids])
    return list(map(len, batches))


@pytest.mark.parametrize("lease_limit", [BATCH, 5 * BATCH], ids=["a batch at a time", "five batches at a time"])
@pytest.mark.parametrize("poisoned", [1, 10, 500])
async def test_of_a_thousand_events_the_bad_ones_alone_are_not_delivered(tmp_path, poisoned, lease_limit):
    async with line(tmp_path, lease_limit=lease_limit) as made:
        hits = await made.append(1000, PIXELS[0])
        made.meta.poison = {hit.event_id for hit in hits[:: 1000 // poisoned]}
        took = []
        while await made.waiting():
            before = len(made.meta.posts)
            if await made.worker.deliver_due():
                took.append(searches(made.meta.posts[before:]))
            else:
                made.clock.pass_by(20.0)
        assert len(took[0]) == lease_limit / BATCH
        assert max(map(max, took)) <= MOST_POSTS
        verdict = await made.judge()
        assert verdict.complaints == []
        assert (verdict.delivered, verdict.dead, verdict.expired, verdict.repeated) == (1001 - poisoned, poisoned, 0, 0)
        dead = {json.loads(letter.payload)["event_id"] for letter in await made.outbox.letters(limit=1000)}
        assert dead == made.meta.poison


class Broken:
    """The first posts meet the fault, the others a Meta that is well again."""

    def __init__(self, answer: Answer, times: int) -> None:
        self.answer, self.left = answer, times

    def __call__(self, post: Post) -> Answer | None:
        self.left -= 1
        return self.answer if self.left >= 0 else None


@pytest.mark.parametrize("takes", [True, False], ids=["taken", "not taken"])
@pytest.mark.parametrize("send", [hang, drip, reset, cut, half_close])
async def test_a_connection_that_breaks_loses_nothing_whether_the_batch_was_taken_or_not(a_line, send, takes):
    a_line.meta.script = Broken(Answer(takes=takes, send=send), 3)
    await a_line.append(90)
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert (verdict.delivered, verdict.dead, verdict.expired) == (91, 0, 0)
    assert (verdict.repeated > 0) == takes


async def test_events_that_meta_took_are_never_repeated_outside_of_its_window(a_line):
    """Whatever is posted is taken, and the connection breaks before the answer: on one day and two days later."""
    a_line.meta.script = lambda post: Answer(takes=True, send=reset)
    await a_line.append(30)
    await a_line.run(HOUR / 2)
    a_line.clock.pass_by(46.5 * HOUR)  # nobody works
    await a_line.run(2 * HOUR)
    a_line.meta.script = lambda post: None
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert verdict.repeated > 30
    assert (verdict.answered, verdict.dead) == (31, 0)
    assert verdict.expired == 30  # delivered in truth, which nobody here can know: never sent again, and told
    reasons = {letter.reason.partition(":")[0] for letter in await a_line.outbox.letters(limit=100)}
    assert reasons <= {"too_late", "its deadline passed"}


async def test_an_answer_that_counts_fewer_events_repeats_none(a_line):
    a_line.meta.script = lambda post: Answer(body=b'{"events_received": 1, "fbtrace_id": "A"}', takes=True, send=whole)
    await a_line.append(90)
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert (verdict.delivered, verdict.repeated) == (91, 0)


async def last_reasons(made: Line) -> Counter[str]:
    return Counter(one.last_reason for one in await made.outbox.waiting(limit=1000))


async def test_a_name_that_does_not_resolve_loses_nothing(a_line):
    good, a_line.graph = a_line.graph, "http://graph.facebook.invalid"  # RFC 2606: no such name will ever be
    a_line.restart()
    await a_line.append(30)
    await a_line.run(10 * 60.0)
    assert set(await last_reasons(a_line)) == {"no connection: ConnectError"}
    a_line.graph = good
    a_line.restart()
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert (verdict.delivered, verdict.repeated) == (31, 0)


def self_signed(folder: Path) -> ssl.SSLContext:
    """A certificate for loopback that nobody has reason to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "self-signed.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_an_impostor_s_certificate_gets_no_token_and_no_event_and_nothing_is_lost(a_line, tmp_path):
    async with OracleMeta(a_line.clock).serving(self_signed(tmp_path)) as impostor:
        good, a_line.graph = a_line.graph, impostor.url
        a_line.restart()
        await a_line.append(30)
        await a_line.run(10 * 60.0)
        assert set(await last_reasons(a_line)) == {"no connection: ConnectError"}
        assert impostor.posts == []
    a_line.graph = good
    a_line.restart()
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert (verdict.delivered, verdict.repeated) == (31, 0)
