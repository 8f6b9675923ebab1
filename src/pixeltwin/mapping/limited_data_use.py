"""Limited data use as whoever sent the event set it (PROTOCOL 1.7)."""

from collections.abc import Sequence
from typing import Any


def limited_data_use(options: Sequence[Any], country: int | None, state: int | None) -> dict[str, Any]:
    """The fields of a server event. No options: an explicit "not limited".

    Limited without a usable country and state stays limited: 0 and 0 let Meta geolocate.
    """
    if not options:
        return {"data_processing_options": []}
    if country is None or state is None:
        country = state = 0
    return {
        "data_processing_options": [*options],
        "data_processing_options_country": country,
        "data_processing_options_state": state,
    }
