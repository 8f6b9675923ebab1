"""Where a hit's time goes in `pixeltwin run`, stage by stage: from the bytes of its connection to the answer's.

    uv run --group dev python tests/benchmarks/bench_stages.py [--hits 5000] [--profile]

CPU of this process, all threads, in one run: each stage for all hits, the median of ten parts of them. Every hit has an
id, a page, a browser and an address of its own, as in `bench_lanes.py`; there is one rule. `keep` is all that `handle`
does besides, for 32 hits at once: the outbox (in memory, and durable in SQLite), the journal, the counters. mitmproxy's
connection and the event loop's sockets are not in it: `bench_lanes.py` has the whole. `--profile` lists the functions
that deciding spends its time in. Reports, asserts nothing.
"""

import argparse
import asyncio
import cProfile
import pstats
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.factories import PIXEL, UA, hit_query

from pixeltwin.config import Config
from pixeltwin.gateway import Gateway
from pixeltwin.mirror import admit
from pixeltwin.pixel.answer import answer_hit
from pixeltwin.pixel.hit import parse_hit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.proxy.wire import RequestReader, answer_bytes, request_of

PARTS: Final = 10
TOGETHER: Final = 32
CONFIG: Final = """
server: {{ trusted_proxies: [127.0.0.1/32], limits: {{ ack_deadline: 10m }} }}
pixels: [{{ name: shop, id: "{pixel}", access_token: "${{TOKEN}}" }}]
outbox: {{ {outbox} }}
rules: [{{ name: source, match: {{ event: Purchase }}, then: {{ custom_data: {{ json: {{ channel: web }} }} }} }}]
"""
OUTBOXES: Final = {"in memory": "kind: memory", "durable": "kind: sqlite, path: outbox.db"}


def hit(number: int) -> bytes:
    """A Purchase as a browser sends it."""
    browser = f"fb.1.{time.time_ns() // 1_000_000}.{395_508_000_000 + number}"
    page = f"https://www.shop.example/checkout/thank-you?utm_source=newsletter&utm_campaign=autumn-sale&order={number}"
    query = hit_query(
        "Purchase",
        dl=page,
        rl="https://www.shop.example/checkout",
        cd_value="129.90",
        cd_currency="EUR",
        cd_content_ids='["SKU-1001","SKU-2044"]',
        cd_content_type="product",
        cd_num_items="2",
        fbp=browser,
        eid=f"order-{number}",
        ts=str(time.time_ns() // 1_000_000),
        **{"ud[em]": "0c7e6a405862e402eb76a70f8a26fc732d07c32931e9fae9ab1582911d2e8a3b"},
    )
    headers = {
        "Host": "px.shop.example",
        "User-Agent": UA,
        "sec-ch-ua": '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
        "sec-ch-ua-mobile": "?0",
        "sec-ch-ua-platform": '"Windows"',
        "Accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
        "Sec-Fetch-Site": "same-site",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Dest": "image",
        "Referer": "https://www.shop.example/",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Accept-Language": "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
        "Cookie": f"_fbp={browser}; session=4f1c9a7e2b; consent=1",
        "X-Forwarded-For": f"84.{number // 62_500 % 250}.{number // 250 % 250}.{number % 250}",
    }
    lines = (f"GET /tr/?{query} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", "")
    return "\r\n".join(lines).encode()


def read(reader: RequestReader, data: bytes) -> HitRequest:
    """As the lane does."""
    reader.receive(data)
    head, body = reader.head(), reader.body()
    assert head
    assert body is not None
    reader.finish()
    return request_of(head, body, "127.0.0.1")


def stage[T, R](name: str, work: Callable[[T], R], given: Sequence[T]) -> tuple[float, list[R]]:
    """What the work takes of each, in µs, and what it makes of them."""
    size, times, made = len(given) // PARTS, [], []
    for part in range(PARTS):
        began = time.process_time()
        made += [work(one) for one in given[part * size : (part + 1) * size]]
        times.append((time.process_time() - began) / size * 1e6)
    return shown(name, statistics.median(times)), made


def shown(name: str, microseconds: float) -> float:
    print(f"{name:24}{microseconds:8.1f} µs", flush=True)
    return microseconds


async def handled(gateway: Gateway, requests: Sequence[HitRequest]) -> float:
    """What `handle` takes of each, in µs, when some arrive together."""
    times = []
    for at in range(0, len(requests), TOGETHER):
        began = time.process_time()
        await asyncio.gather(*(gateway.handle(request) for request in requests[at : at + TOGETHER]))
        times.append((time.process_time() - began) / len(requests[at : at + TOGETHER]) * 1e6)
    return statistics.median(times)


async def bench(folder: Path, count: int, is_profiling: bool) -> None:
    gateways = {name: gateway(folder, outbox) for name, outbox in OUTBOXES.items()}
    policy = gateways["durable"].policy

    def decide(request: HitRequest) -> object:
        return admit(request, policy, record_id="1-1", random_below=secrets.randbelow)

    reader = RequestReader(max_head=1 << 16, max_body=1 << 18)
    total, requests = stage("read HTTP", lambda data: read(reader, data), [hit(number) for number in range(count)])
    parsing, _ = stage("parse the hit", lambda request: parse_hit(request, policy.limits), requests)
    deciding, admissions = stage("decide, parsing included", decide, requests)
    answering, _ = stage(
        "print the answer", lambda it: answer_bytes(answer_hit(it.hit, it.cookies), close=False), admissions
    )
    total += deciding + answering
    assert parsing < deciding
    for number, (name, opened) in enumerate(gateways.items(), 1):
        await opened.open()
        others = [read(reader, hit(number * count + index)) for index in range(count)]
        keeping = shown(f"keep, {name}", await handled(opened, others) - deciding)
        await opened.close()
        shown(f"all of these, {name}", total + keeping)
    if is_profiling:
        with cProfile.Profile() as profile:
            for request in requests:
                decide(request)
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)


def gateway(folder: Path, outbox: str) -> Gateway:
    config = Config.from_text(CONFIG.format(pixel=PIXEL, outbox=outbox), base=folder, env={"TOKEN": "t"})
    return Gateway(config, relay="none", senders=False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hits", type=int, default=5000)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pixeltwin-bench-") as folder:
        asyncio.run(bench(Path(folder), asked.hits, asked.profile))


if __name__ == "__main__":
    main()
