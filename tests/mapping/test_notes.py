"""Notes: what could not be mapped as it was given is remarked upon, and a quick look overlooks none of it."""

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from tests.factories import NOW, hit_query, parsed, request

from pixeltwin.mapping import notes as module
from pixeltwin.mapping.notes import Note, notes
from pixeltwin.mapping.server_event import server_event
from pixeltwin.pixel.browser_id import browser_ids

EM = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
NAMES = st.sampled_from(
    [
        *("cd[value]", "cd[currency]", "cd[contents]", "cd[order_id]", "cd[eventID]", "cd[event_id]", "cd[]"),
        *("ud[em]", "ud[fn]", "ud[fbp]", "ud[odd]", "udff[em]", "dpo", "dpoco", "dpost", "ts", "eid"),
    ]
)
VALUES = st.sampled_from(
    [
        *("", " ", "0", "1", "129.90", "1,5", "EUR", "euro", "[]", "{}", "LDU", "1000"),
        *('[{"id":"a","quantity":1}]', '[{"id":"a"}]', EM, EM.upper(), EM[:32], f"{EM}.AQ", "jane@shop.example"),
        *(f"{NOW * 1000:.0f}", f"{NOW * 1000 + 9000:.0f}"),
    ]
)


def remarked(query: str) -> tuple[Note, ...]:
    arrived = request(query)
    hit = parsed(arrived)
    ids = browser_ids(hit, arrived, random=None)
    return notes(hit, server_event(hit, arrived, event_id="e-1", ids=ids, client_ip=None))


def test_there_is_nothing_to_say_about_a_plain_hit() -> None:
    plain = {"cd_value": "129.90", "cd_currency": "EUR", "cd_order_id": "1", "ud[em]": EM}
    assert remarked(hit_query("Purchase", **plain)) == ()


def test_whatever_was_repaired_or_left_out_is_told() -> None:
    wrong = {"cd_value": "free", "cd_currency": "euro", "cd_contents": "[]", "cd_eventID": "1", "ud[em]": "jane"}
    assert set(remarked(hit_query("Purchase", ts="1", dpo="LDU", **wrong))) == set(Note)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_where_a_quick_look_finds_nothing_a_close_look_finds_nothing(parameters) -> None:
    query = hit_query("Purchase", **parameters)
    with patch.object(module, "_is_plain", lambda *_: False):
        closely = remarked(query)
    assert remarked(query) == closely
