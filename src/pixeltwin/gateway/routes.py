"""What a front door answers to."""

import re
from dataclasses import dataclass

from pixeltwin.config import Config


@dataclass(frozen=True, slots=True)
class Routes:
    """`hits` are paths, `bridge` and `ingest` patterns of paths; the latter's group is the pixel's id.

    `hosts` are the names that are answered; none: all are.
    """

    hits: frozenset[str]
    bridge: re.Pattern[str]
    ingest: re.Pattern[str]
    hosts: frozenset[str]

    def are_asked_at(self, host: str) -> bool:
        """Whether a request to that host is for us."""
        return host in self.hosts if self.hosts else bool(host)

    def posts(self, path: str) -> bool:
        """Whether JSON is posted there."""
        return bool(self.bridge.fullmatch(path) or self.ingest.fullmatch(path))


def routes_of(config: Config) -> Routes:
    """The routes of a config."""
    paths = config.server.paths
    return Routes(
        hits=frozenset(paths.hits),
        bridge=re.compile(re.escape(paths.openbridge) + r"(/.*)?"),
        ingest=re.compile(re.escape(paths.ingest) + r"/([^/]+)/events"),
        hosts=config.hosts,
    )
