"""What the config says about hits, as the pure code takes it."""

from pixeltwin.config import Config, Pixel
from pixeltwin.config.model import Limits as ServerLimits
from pixeltwin.gateway.throttle import Cells, Throttle
from pixeltwin.mirror import PixelPolicy, Policy, SourcePolicy
from pixeltwin.pixel.hit import Limits
from pixeltwin.pixel.networks import Networks
from pixeltwin.rules.ruleset import RuleSet


def policy_of(config: Config, cells: Cells | None = None) -> Policy:
    """The policy of a config. Without `cells` to count in, no hit is one too many."""
    limits = config.server.limits
    return Policy(
        pixels={pixel.id: _pixel_policy(pixel) for pixel in config.pixels},
        limits=Limits(body=limits.body, url=limits.url, params=limits.params),
        ingest_limits=Limits(body=limits.ingest_body, url=limits.url, params=limits.params),
        trusted_proxies=Networks(config.server.trusted_proxies),
        fbi_cookie=config.identity.fbi_cookie,
        set_cookies=config.identity.set_cookies,
        admits_origin=config.server.admits_origin if config.server.allowed_origins else None,
        is_one_too_many=throttle_of(limits, cells) if cells else None,
        elements=config.elements,
        country=config.geo.country,
        region=config.geo.region,
        sources={name: SourcePolicy(key=it.key, only_when=it.only_when) for name, it in config.sources.items()},
        consent=config.consent,
        privacy=config.privacy,
        rules=RuleSet(config.rules),
        config=config.digest,
    )


def throttle_of(limits: ServerLimits, cells: Cells) -> Throttle | None:
    """What counts hits; None where any number may come."""
    if not (limits.rate_per_visitor or limits.rate_per_pixel):
        return None
    return Throttle(cells, per_visitor=limits.rate_per_visitor, per_pixel=limits.rate_per_pixel)


def _pixel_policy(pixel: Pixel) -> PixelPolicy:
    return PixelPolicy(
        name=pixel.name,
        hosts=frozenset(pixel.hosts),
        events=frozenset(pixel.events),
        automatic_events=pixel.automatic_events,
        default_country=pixel.default_country,
        enrich=pixel.enrich,
        verify=pixel.verify,
        ingest_keys=frozenset(key.get_secret_value() for key in pixel.ingest_keys),
    )
