"""Meta's Python SDK (`facebook-business`) beside us: where it agrees with the pixel, and where it is known not to."""

import pytest
from tests.people import people

from pixeltwin.capi.normalize import hashes, normalise

sdk = pytest.importorskip(
    "facebook_business.adobjects.serverside.normalize", reason="facebook-business is not installed"
)
RAISES = "raises"


def theirs(field: str, value: str) -> str | None:
    try:
        return sdk.Normalize.normalize(field, value, True)
    except (TypeError, ValueError):
        return RAISES


def test_e_mails_and_country_codes_agree_for_everyone():
    for person in people(each=5):
        assert theirs("em", person.fields["em"]) == normalise("em", person.fields["em"]).sha256
        assert theirs("country", person.country) == normalise("country", person.country).sha256


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ph", "+1 (650) 555-1212"),
        ("fn", "Mary"),
        ("ln", "Müller"),
        ("ct", "New York"),
        ("st", "CA"),
        ("zp", "94035-1234"),
        ("zp", "SW1A 1AA"),
        ("ct", "München"),
        ("ge", "F"),
        ("db", "19970216"),
    ],
)
def test_what_the_sdk_sends_for_these_we_send_as_well(field, value):
    assert theirs(field, value) in hashes(field, value)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("st", "California", "the SDK sends names of states as they are, the pixel their codes"),
        ("fn", "O'Brien", "the SDK keeps punctuation, which the pixel and the documentation drop"),
        ("db", "2/16/1997", "the SDK does not put dates in order"),
        ("country", "United States", "the SDK raises for names of countries"),
        ("ph", "+1.650.555.1212", "the SDK raises for phones with dots"),
        ("em", "johnsmith", "the SDK raises, the pixel refuses"),
    ],
)
def test_known_disagreements_are_the_sdk_s(field, value, reason):
    assert theirs(field, value) not in hashes(field, value), f"now agrees: {reason}"
