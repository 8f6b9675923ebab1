"""The pixel itself, on pages that call `fbq('consent', 'revoke')` and grant it when the visitor agrees.

While consent is revoked the script sends nothing (PROTOCOL 3.8), so that a hit of the script is a hit that was agreed
to. An image in `<noscript>` asks nobody: it names neither the script's version nor when the pixel was set up.
"""

from typing import Final, Literal

from pixeltwin.consent.signal import Example, SignalSettings
from pixeltwin.consent.verdict import Answer
from pixeltwin.pixel.visit import Visit


class Settings(SignalSettings):
    """It has no options. Where pages never revoke, it takes every visitor's consent for granted."""

    kind: Literal["meta_pixel"]

    def read(self, visit: Visit) -> Answer:
        hit = visit.hit
        is_image = hit.has("noscript") or not (hit.get("v") and hit.get("it"))
        return Answer.UNKNOWN if is_image else Answer.GRANTED


EXAMPLES: Final = (
    Example(written="meta_pixel", hit={"v": "2.9.364", "it": "1795461790000"}, answer=Answer.GRANTED),
    Example(written="meta_pixel", hit={"noscript": "1"}, answer=Answer.UNKNOWN),
    Example(
        written="meta_pixel",
        hit={"v": "2.9.364", "it": "1795461790000", "noscript": "1"},
        answer=Answer.UNKNOWN,
    ),
)
