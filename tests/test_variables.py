"""The tables of what expressions can ask for are what they get to see."""

import pytest

from pixeltwin.capi.event import HASHED, CustomData, ServerEvent, UserData
from pixeltwin.consent.verdict import ALLOWED
from pixeltwin.expressions import AT_ADMISSION, AT_SEALING
from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.pixel.visit import NOWHERE, Visit, nothing
from pixeltwin.rules.moment import Arrival, Sealing
from pixeltwin.variables import BOOLEAN, LIST, SHAPES, TEXT, Fields, Shape
from tests.factories import hit_query, request


def type_of(value: object) -> Shape:
    return BOOLEAN if isinstance(value, bool) else TEXT if isinstance(value, str) else None


def test_every_variable_has_its_fields_but_what_sources_say():
    assert SHAPES.keys() == (AT_ADMISSION | AT_SEALING) - {"profile"} == Arrival.SEEN.keys()
    assert Sealing.SEEN.keys() - {"profile"} < SHAPES.keys()


@pytest.mark.parametrize("name", ["consent", "geo", "http", "page", "pixel"])
def test_what_is_known_around_a_hit_has_these_fields_of_these_types(name):
    asked = request(hit_query())
    hit = parse_hit(asked, Limits())
    assert isinstance(hit, PixelHit)
    visit = Visit(asked, hit, None, NOWHERE, nothing)
    seen = Arrival.SEEN[name](Arrival(visit, {"event_source_url": "https://a.example"}, ALLOWED, "shop"))
    shape = SHAPES[name]
    assert isinstance(shape, Fields)
    assert shape.named.keys() == seen.keys()
    told = {key: it for key, it in shape.named.items() if not isinstance(it, Fields)}
    assert told == {key: type_of(seen[key]) for key in told}


def test_an_event_has_these_fields():
    event = SHAPES["event"]
    assert isinstance(event, Fields)
    user_data, custom_data = event.named["user_data"], event.named["custom_data"]
    assert event.named.keys() == ServerEvent.model_fields.keys()
    assert isinstance(user_data, Fields)
    assert user_data.named.keys() == UserData.model_fields.keys()
    assert {key for key, shape in user_data.named.items() if shape == LIST} == set(HASHED)
    assert isinstance(custom_data, Fields)
    assert custom_data.named.keys() == CustomData.model_fields.keys()
    assert custom_data.is_open
