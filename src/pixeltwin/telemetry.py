"""What happened, as numbers and as log lines.

Every end that a hit or a twin can have is counted under a named reason. Labels are bounded: a pixel that nobody
configured counts as `other`, reasons are names from the code, never text from a request.
"""

import logging
import sys
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY: Final = CollectorRegistry()

HITS: Final = Counter(
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
RULES: Final = Counter(
    "pixeltwin_rule",
    "Events for which a rule held.",
    ["rule"],
    registry=REGISTRY,
)
RULE_ERRORS: Final = Counter(
    "pixeltwin_rule_errors",
    "Expressions of a rule that failed, and fields of its action that gave nothing that can be used.",
    ["rule"],
    registry=REGISTRY,
)
CONSENT: Final = Counter(
    "pixeltwin_consent_items",
    "Items that waited in the outbox and were released by a visitor's grant, or purged by a refusal.",
    ["effect"],
    registry=REGISTRY,
)
OUTBOX: Final = Gauge(
    "pixeltwin_outbox_events",
    "Items in the outbox by destination and state.",
    ["destination", "state"],
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
