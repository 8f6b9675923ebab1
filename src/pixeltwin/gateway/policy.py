"""What the config says about hits, as the pure code takes it."""

from pixeltwin.config import Config, Pixel
from pixeltwin.mirror import PixelPolicy, Policy
from pixeltwin.pixel.hit import Limits


def policy_of(config: Config) -> Policy:
    """The policy of a config. Of its elements only those that look-ups need: what they read is stored with a twin."""
    limits = config.server.limits
    return Policy(
        pixels={pixel.id: _pixel_policy(pixel) for pixel in config.pixels},
        limits=Limits(body=limits.body, url=limits.url, params=limits.params),
        ingest_limits=Limits(body=limits.ingest_body, url=limits.url, params=limits.params),
        trusted_proxies=config.server.trusted_proxies,
        fbi_cookie=config.identity.fbi_cookie,
        set_cookies=config.identity.set_cookies,
        admits_origin=config.server.admits_origin,
        elements={name: config.elements[name] for name in sorted({source.key for source in config.sources.values()})},
    )


def _pixel_policy(pixel: Pixel) -> PixelPolicy:
    return PixelPolicy(
        hosts=frozenset(pixel.hosts),
        default_country=pixel.default_country,
        ingest_keys=frozenset(key.get_secret_value() for key in pixel.ingest_keys),
    )
