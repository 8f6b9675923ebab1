"""Signals beyond their examples: what platforms write before a choice, after it, and what others slip in."""

import pytest

from pixeltwin.consent.verdict import Answer

from .factories import cookies, signal, visit
from .tc_strings import bit_field, core, encoded

GRANTED, DENIED, UNKNOWN = Answer


def read(written: object, headers: dict[str, str], **kwargs) -> Answer:
    return signal(written).read(visit(headers, **kwargs))


# TCF


@pytest.mark.parametrize(
    ("purposes", "answer"), [({1, 2, 7}, GRANTED), ({1, 2, 3, 7}, GRANTED), ({1, 2}, DENIED), ((), DENIED)]
)
def test_every_purpose_needs_consent(purposes, answer):
    text = encoded(core(purposes))
    assert read({"tcf": "euconsent-v2", "purposes": [1, 2, 7]}, {"cookie": f"euconsent-v2={text}"}) is answer


@pytest.mark.parametrize(("vendors", "answer"), [({89}, GRANTED), ({88}, DENIED), ((), DENIED)])
def test_the_vendor_needs_consent_too(vendors, answer):
    text = encoded(core({1}, bit_field(vendors)))
    assert read({"tcf": "tc", "purposes": [1], "vendor": 89}, cookies(tc=text)) is answer


def test_legitimate_interest_is_no_consent():
    text = encoded(core(purposes=(), interests=bit_field({89})))  # its purposes 2 and 9 have legitimate interest
    assert read({"tcf": "tc", "purposes": [2, 9]}, cookies(tc=text)) is DENIED


# OneTrust

BEFORE = "isGpcEnabled=0&browserGpcFlag=0&interactionCount=0&landingPath=https%3A%2F%2Fshop.example%2F"
AFTER = "isGpcEnabled=0&browserGpcFlag=0&interactionCount=1&landingPath=NotLandingPage"


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (f"{BEFORE}&groups=C0001%3A1%2CC0004%3A0", UNKNOWN),
        (f"{BEFORE}&groups=C0001%3A1%2CC0004%3A1", GRANTED),  # where nobody has to be asked first
        (f"{AFTER}&groups=C0001%3A1%2CC0004%3A0", DENIED),
        (f"{AFTER}&groups=C0001%3A1%2CC0004%3A1", GRANTED),
        (f"{AFTER}&groups=C0001:1,C0004:1", GRANTED),
        (f"{BEFORE}&groups=C0004%3A0".replace("interactionCount=0", "interactionCount=2"), DENIED),
        (f"{BEFORE}&groups=C0004%3A0".replace("https%3A%2F%2Fshop.example%2F", "NotLandingPage"), DENIED),
        (f"{BEFORE}&groups=C0004%3A0".replace("isGpcEnabled=0", "isGpcEnabled=1"), DENIED),
        (f"{BEFORE}&groups=C0004%3A0".replace("browserGpcFlag=0", "browserGpcFlag=1"), DENIED),
        (f"{AFTER}&groups=C0001%3A1", UNKNOWN),
        (f"{AFTER}&groups=C0004%3A2", UNKNOWN),
        (f"{AFTER}&groups=C00041%3A1", UNKNOWN),
        (f"{AFTER}&groups=", UNKNOWN),
        (AFTER, UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_onetrust_has_said_no_only_once_somebody_has_chosen(value, answer):
    assert read({"onetrust": "OptanonConsent", "group": "C0004"}, cookies(OptanonConsent=value)) is answer


def test_a_landing_page_cannot_consent_for_its_visitor():
    value = "groups=C0004%3A0&interactionCount=1&landingPath=https%3A%2F%2Fshop.example%2F%3Fa%26groups%3DC0004%3A1"
    assert read({"onetrust": "OptanonConsent", "group": "C0004"}, cookies(OptanonConsent=value)) is DENIED


# Cookiebot


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("{stamp:%27-1%27%2Cnecessary:true%2Cmarketing:true%2Cmethod:%27implied%27%2Cver:1}", GRANTED),
        ("{stamp:'x==',necessary:true,preferences:true,statistics:true,marketing:false}", DENIED),
        ("%7Bstamp%3A%27x%3D%3D%27%2Cnecessary%3Atrue%2Cmarketing%3Atrue%7D", GRANTED),
        ("-1", GRANTED),
        ("0", DENIED),
        ("", UNKNOWN),
        ("{marketing:true", UNKNOWN),
        ("{marketing:true,marketing:false}", DENIED),
        ("{notmarketing:true}", UNKNOWN),
        ("marketing:true", UNKNOWN),
        ("{}", UNKNOWN),
        ("{", UNKNOWN),
    ],
)
def test_cookiebot_says_it_for_the_category(value, answer):
    assert read({"cookiebot": "CookieConsent", "category": "marketing"}, cookies(CookieConsent=value)) is answer


# Google's consent mode


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ('{"ad_storage":"granted","ad_user_data":"granted","analytics_storage":"denied"}', GRANTED),
        ('{"ad_storage":"granted","ad_user_data":"denied"}', DENIED),
        ('{"ad_storage":"granted"}', UNKNOWN),
        ('{"ad_storage":"denied"}', DENIED),
        ('{"ad_storage":["granted"],"ad_user_data":{"granted":1}}', UNKNOWN),
        ('{"ad_storage":"granted","ad_user_data":"granted"', UNKNOWN),
        ("{", UNKNOWN),
        ('["ad_storage"]', UNKNOWN),
        ("ad_storage:granted,ad_user_data:granted", GRANTED),
        ("ad_storage%3Agranted%2C%20ad_user_data%3Agranted", GRANTED),
        ("ad_user_data:denied", DENIED),
        ("G100", DENIED),
        ("G101", DENIED),
        ("G110", UNKNOWN),
        ("G1--", UNKNOWN),
        ("G111x", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_consent_mode_needs_every_type(value, answer):
    assert read({"google_consent_mode": "cm"}, cookies(cm=value)) is answer


@pytest.mark.parametrize(("value", "answer"), [("G110", GRANTED), ("G101", DENIED), ("G1-1", UNKNOWN)])
def test_gcs_alone_can_say_it_for_ad_storage(value, answer):
    assert read({"google_consent_mode": "cm", "types": ["ad_storage"]}, cookies(cm=value)) is answer


# Global Privacy Control


@pytest.mark.parametrize(
    ("value", "answer"),
    [("1", DENIED), (" 1 ", DENIED), ("1, 1", DENIED), ("0", UNKNOWN), ("", UNKNOWN), ("11", UNKNOWN)],
)
def test_gpc_is_a_no_and_its_absence_no_yes(value, answer):
    assert read("gpc", {"sec-gpc": value}) is answer


# The pixel itself


@pytest.mark.parametrize(
    ("hit", "answer"),
    [
        ({"v": "2.9.364", "it": "1795461790000"}, GRANTED),
        ({"v": "2.9.364", "it": "1795461790000", "noscript": "1"}, UNKNOWN),
        ({"v": "2.9.364"}, UNKNOWN),
        ({"it": "1795461790000"}, UNKNOWN),
        ({"v": "", "it": ""}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_only_a_hit_of_the_script_was_agreed_to(hit, answer):
    assert read("meta_pixel", {}, hit=hit) is answer


# Free values


@pytest.mark.parametrize(
    ("value", "answer"),
    [("yes", GRANTED), ("1", GRANTED), ("true", GRANTED), ("no", DENIED), ("false", DENIED), ("Yes", UNKNOWN)],
)
def test_words_numbers_and_truth_values_are_what_they_look_like(value, answer):
    lists = {"granted": ["yes", 1, True], "denied": ["no", False]}
    assert read({"cookie": "ads", **lists}, cookies(ads=value)) is answer
    assert read({"element": "ads", **lists}, {}, elements={"ads": value}) is answer


def test_a_cookie_longer_than_browsers_keep_is_not_read():
    lists = {"granted": ["x" * 9000]}
    assert read({"cookie": "ads", **lists}, cookies(ads="x" * 9000)) is UNKNOWN
