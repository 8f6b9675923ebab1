"""What happened, as numbers and as log lines.

Every end that a hit or a twin can have is counted under a named reason. Labels are bounded: a pixel that nobody
configured counts as `other`, reasons are names from the code, never text from a request.
"""

import logging
import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric

from pixeltwin.log_sampling import Sampler

REGISTRY: Final = CollectorRegistry()


class QuickCounter(Counter):
    """A counter of what every hit does. What `count` has counted is added up when somebody looks, in the same thread:
    a lock and five calls less for each.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._counted: defaultdict[tuple[str, ...], int] = defaultdict(int)  # by values of the labels

    def count(self, *labels: str) -> None:
        self._counted[labels] += 1

    def collect(self) -> Iterable[Metric]:
        while self._counted:
            labels, number = self._counted.popitem()
            self.labels(*labels).inc(number)
        return super().collect()


HITS: Final = QuickCounter(
    "pixeltwin_hits",
    "Requests on the hit paths, by what became of them; reason says why there is no twin.",
    ["pixel", "outcome", "reason"],
    registry=REGISTRY,
)
TWINS: Final = Counter(
    "pixeltwin_twins",
    "Twins by how their delivery ended; a twin put back for later counts once each time.",
    ["pixel", "outcome"],
    registry=REGISTRY,
)
RELAYS: Final = Counter(
    "pixeltwin_relays",
    "Relayed copies of hits by how their delivery ended.",
    ["pixel", "outcome"],
    registry=REGISTRY,
)
LOOKUPS: Final = Counter(
    "pixeltwin_enrich",
    "Customer look-ups, one a key; left_out counts values of rows that could not be taken.",
    ["source", "result"],
    registry=REGISTRY,
)
RULES: Final = QuickCounter(
    "pixeltwin_rule",
    "Events for which a rule held.",
    ["rule"],
    registry=REGISTRY,
)
RULE_ERRORS: Final = Counter(
    "pixeltwin_rule_errors",
    "Expressions of a rule, an element (elements.NAME) or a source (sources.NAME) that failed, and fields of a rule's "
    "action that gave nothing that can be used.",
    ["rule"],
    registry=REGISTRY,
)
CONSENT: Final = Counter(
    "pixeltwin_consent_items",
    "Items that waited in the outbox and were released by a visitor's grant, or purged by a refusal.",
    ["effect"],
    registry=REGISTRY,
)
UNACKED_PASSTHROUGH: Final = Counter(
    "pixeltwin_unacked_passthrough",
    "Hits that were answered before they were durable, as the outbox took longer than the ack deadline.",
    registry=REGISTRY,
)
LATE_APPENDS: Final = Counter(
    "pixeltwin_late_appends",
    "What became of those hits in the end: kept, or a reason.",
    ["end"],
    registry=REGISTRY,
)
FRONT_HITS: Final = Counter(
    "pixeltwin_front_hits",
    "Requests that each front process handed over to be kept.",
    ["front"],
    registry=REGISTRY,
)
REFUSED_CONNECTIONS: Final = Counter(
    "pixeltwin_refused_connections",
    "Connections that were one more than their address may have at once.",
    registry=REGISTRY,
)
FRONT_ENDS: Final = Counter(
    "pixeltwin_front_ends",
    "Ends of front processes that nobody asked for; each is started again.",
    ["front"],
    registry=REGISTRY,
)
RECORDS_LOST: Final = Counter(
    "pixeltwin_front_records_lost",
    "Records that front processes did not hand on to the journal, as the process behind them lagged.",
    registry=REGISTRY,
)
CONFIG_RELOADS: Final = Counter(
    "pixeltwin_config_reloads",
    "Reloads of the config file: applied, refused for what is wrong with it, or failed for what it names.",
    ["result"],
    registry=REGISTRY,
)
CLOCK_JUMPS: Final = Counter(
    "pixeltwin_clock_jumps",
    "Steps of the machine's clock by more than five seconds.",
    ["direction"],
    registry=REGISTRY,
)
OUTBOX: Final = Gauge(
    "pixeltwin_outbox_events",
    "Items in the outbox by destination and state.",
    ["destination", "state"],
    registry=REGISTRY,
)
OUTBOX_TALLY: Final = Gauge(
    "pixeltwin_outbox_total",
    "What ever happened to the items of an outbox: accepted + requeued = delivered + dropped + dead + expired + purged"
    " + lost + what waits, and dead + expired = requeued + discarded + the letters; shed ones were not accepted.",
    ["destination", "what"],
    registry=REGISTRY,
)
UNACCOUNTED: Final = Gauge(
    "pixeltwin_outbox_unaccounted",
    "By how many items and letters these equations are wrong, counted once a minute: 0, or there is a fault.",
    ["destination"],
    registry=REGISTRY,
)
OUTBOX_FILL: Final = Gauge(
    "pixeltwin_outbox_fill",
    "How full an outbox is: 1 is its bound, from 0.85 on it sheds page views, from 0.95 on all but money and leads.",
    ["outbox"],
    registry=REGISTRY,
)
OUTBOX_FAULTS: Final = Counter(
    "pixeltwin_outbox_faults",
    "Errors of the disk that an outbox met: full, failed (it was opened and checked again), damaged (it was salvaged), "
    "forgot (what was written last had gone when it was opened).",
    ["outbox", "fault"],
    registry=REGISTRY,
)
OLDEST_TRANSACTION: Final = Gauge(
    "pixeltwin_outbox_oldest_transaction_seconds",
    "For how long a transaction has been open in the outbox's PostgreSQL that keeps it from clearing dead rows away.",
    registry=REGISTRY,
)
REQUEST_SECONDS: Final = Histogram(
    "pixeltwin_request_seconds",
    "How long posts of the workers took, by what they met.",
    ["destination", "outcome"],
    registry=REGISTRY,
)
BATCH_SIZE: Final = Histogram(
    "pixeltwin_batch_size",
    "Items in the workers' posts.",
    ["destination"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
    registry=REGISTRY,
)
BISECT_POSTS: Final = Counter(
    "pixeltwin_bisect_posts",
    "Posts that looked for the events at fault in a batch that was rejected.",
    ["destination"],
    registry=REGISTRY,
)
AMBIGUOUS: Final = Counter(
    "pixeltwin_ambiguous",
    "Items whose post got no answer, so that they may have arrived and are sent again.",
    ["destination"],
    registry=REGISTRY,
)
MISSING: Final = Counter(
    "pixeltwin_missing",
    "Items that the other side did not count in batches that it took.",
    ["destination"],
    registry=REGISTRY,
)
BREAKERS: Final = Gauge(
    "pixeltwin_breaker_state",
    "0 closed, 1 half open, 2 open: of each pixel, and with no pixel of the host.",
    ["destination", "pixel"],
    registry=REGISTRY,
)
PARKED: Final = Gauge(
    "pixeltwin_parked_pixels",
    "Pixels whose items wait: setup wants a human, throttle and breaker end by themselves.",
    ["destination", "cause"],
    registry=REGISTRY,
)
EVENT_DELAY: Final = Histogram(
    "pixeltwin_event_delay_seconds",
    "From the moment an item was kept to the answer that took it.",
    ["destination"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300, 3600, 6 * 3600, 24 * 3600, 48 * 3600),
    registry=REGISTRY,
)
META_ERRORS: Final = Counter(
    "pixeltwin_meta_errors",
    "Posts that Meta refused, by its code and subcode; those after the first hundred pairs count as other.",
    ["pixel", "code", "subcode"],
    registry=REGISTRY,
)
API_WARNINGS: Final = Counter(
    "pixeltwin_api_version_warnings",
    "Answers in which Meta warned that the version of its API that is used will end.",
    registry=REGISTRY,
)

log: Final = structlog.stdlib.get_logger("pixeltwin")

QUIET: Final = {
    "httpx": logging.WARNING,  # logs every URL at INFO
    "httpcore": logging.WARNING,
    "mitmproxy.proxy.server": logging.WARNING,  # a line for every connection
    "asyncio": logging.WARNING,
    "uvicorn.error": logging.WARNING,
}


def quiet_libraries() -> None:
    """Keep libraries from logging one line a request."""
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)


def log_into_host() -> None:
    """Log as one of a host's own loggers, mitmdump's for one. Tracebacks show no values: those are visitors' data."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            Sampler(),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    quiet_libraries()


def configure_logging(level: str = "info") -> None:
    """Log to stderr: readable lines on a terminal, JSON elsewhere. Control characters are escaped by both."""
    terminal = sys.stderr.isatty()
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            Sampler(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    quiet_libraries()
