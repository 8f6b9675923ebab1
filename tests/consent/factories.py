"""Short ways to visits, signals and policies as people write them."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from pixeltwin.consent.policy import ConsentPolicy
from pixeltwin.consent.signal import SignalSettings, signal_type
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.visit import Place, Visit
from tests.factories import PIXEL, request

NO_HEADERS: Mapping[str, str] = {}
SIGNAL: TypeAdapter[SignalSettings] = TypeAdapter(signal_type())
POLICIES = TypeAdapter(dict[str, ConsentPolicy])


def visit(
    headers: Mapping[str, str] = NO_HEADERS,
    *,
    hit: Mapping[str, str] = NO_HEADERS,
    elements: Mapping[str, str] = NO_HEADERS,
    country: str = "",
    region: str = "",
) -> Visit:
    """A visit whose hit has these parameters besides its id and name."""
    parameters = {"id": PIXEL, "ev": "PageView", **hit}
    return Visit(
        request=request(headers=headers),
        hit=PixelHit.of(tuple(parameters.items())),
        client_ip=None,
        place=Place(country, region),
        element=elements.get,
    )


def cookies(**values: str) -> dict[str, str]:
    return {"cookie": "; ".join(f"{name}={value}" for name, value in values.items())}


def signal(written: Any) -> SignalSettings:
    return SIGNAL.validate_python(written)


def policy(**written: Any) -> ConsentPolicy:
    """A policy that reads the cookie `ads`, unless it says what else."""
    read = [{"cookie": "ads", "granted": ["yes"], "denied": ["no"]}]
    return ConsentPolicy.model_validate({"read": read, **written})
