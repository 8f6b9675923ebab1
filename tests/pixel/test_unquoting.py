"""What a hit's parameters say is what Python's own parser reads, however they are encoded."""

from collections.abc import Callable
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.pixel.hit import PixelHit, form_of

PIECES = st.sampled_from(
    [
        *("%", "25", "%25", "%3A", "%3a", "2F", "%2F", "%22", "%C3", "%A9", "%20"),
        *("+", "=", "&", '"', "\\", "\0", "é", "\ud800", "a"),
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_codes_are_read_as_by_pythons_own_parser(text: str) -> None:
    assert list(PixelHit.of(form_of(text)).parameters) == parse_qsl(text, keep_blank_values=True, errors="replace")


@pytest.mark.parametrize("quoted", [quote, quote_plus])
@given(st.dictionaries(st.text(), st.text()))
def test_what_browsers_write_is_read_as_by_pythons_own_parser(
    quoted: Callable[..., str], values: dict[str, str]
) -> None:
    text = urlencode(values, quote_via=quoted, errors="replace")
    assert list(PixelHit.of(form_of(text)).parameters) == parse_qsl(text, keep_blank_values=True, errors="replace")
