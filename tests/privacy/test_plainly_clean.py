"""A hit that is taken for clean at one look is clean at a close one."""

from unittest.mock import patch
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.privacy import clean
from pixeltwin.privacy.clean import clean_hit
from pixeltwin.privacy.settings import Privacy
from pixeltwin.privacy.values import tells_json
from tests.factories import hit_query, parsed, request

PIECES = st.sampled_from(
    (
        *(
            "https://",
            "/",
            "?",
            "&",
            "=",
            "#",
            ";",
            ".",
            "\n",
            " ",
            "%40",
            "@",
            "%",
            '"',
            "{",
            "[",
            ":",
            "\\u0040",
            "}",
        ),
        *("email", "user[mail]", "token", "login", "phone", "tel:", "+49 151 2345678", "0049", "1512345678", "00", "1"),
        *(
            "pass\nword",
            "to\ud800ken",
            "jane@shop.example",
            "shop.example",
            "eyJ",
            "Bearer ",
            "EAA",
            "Zm9vYmFyMTIzNDU2Nzg",
            "value",
            "SKU-1",
            "utm_id",
            '"phone":',
            '{":apiKey":1}',
        ),
    )
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
NAMES = st.sampled_from(
    [
        *("dl", "rl", "cd[value]", "cd[phone]", "cd[content_ids]", "cd[a@b.example]", "cd[]", "cd[open", "cd[two][k]"),
        *("ud[em]", "udff[em]", "aud[ph]", "audff[ph]", "ud[", "sw", "expv2[]"),
    ]
)


@given(st.lists(st.tuples(NAMES, TEXTS), max_size=5), TEXTS, st.sampled_from(["mask", "remove"]))
def test_what_one_look_finds_clean_a_close_look_leaves_as_it_is(given_parameters, referer, found) -> None:
    asked = request(
        f"{hit_query()}&{urlencode(given_parameters, errors='surrogatepass')}", headers={"referer": referer}
    )
    hit, privacy = parsed(asked), Privacy(found=found)
    with patch.object(clean, "_is_plainly_clean", lambda *_: False):
        closely = clean_hit(asked, hit, privacy)
    assert clean_hit(asked, hit, privacy) == closely


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_of_several_texts_the_names_in_json_are_seen_whatever_stands_before_them(texts) -> None:
    privacy = Privacy()
    assert tells_json("\n".join(texts), privacy) or not any(tells_json(text, privacy) for text in texts)
