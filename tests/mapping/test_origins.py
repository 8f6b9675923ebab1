"""Where each value of a twin came from, in words."""

from ipaddress import ip_network

import pytest
from tests.factories import PAGE, PIXEL, hit_query, parsed, request
from tests.rules.factories import CONSENT

from pixeltwin.mapping.origins import origins_of
from pixeltwin.mirror import PixelPolicy, Policy, admit
from pixeltwin.pixel.networks import Networks
from pixeltwin.pixel.request import HitRequest
from pixeltwin.privacy.settings import Privacy

FBP = "fb.1.1795461790000.1098115397"
FBC = "fb.1.1795461790000.IwAR2F4"
HASH = "1" * 64


def origins(arrived: HitRequest, **policy: object) -> dict[str, str]:
    decided_by = Policy(pixels={PIXEL: PixelPolicy()}, **policy)
    admission = admit(arrived, decided_by, record_id="r", random_below=lambda below: 7)
    assert admission.draft
    return origins_of(parsed(arrived), arrived, admission.draft.event)


def test_what_the_hit_says_is_told_by_its_parameter():
    query = hit_query("Purchase", cd_value="1", cd_note="x", rl="https://m.example/", eid="1", fbp=FBP, fbc=FBC)
    found = origins(request(f"{query}&ud[em]={HASH}&udff[ph]={HASH}"))
    assert found == {
        "event_name": "hit ev",
        "action_source": "gateway",
        "event_time": "hit ts",
        "event_id": "hit eid",
        "event_source_url": "hit dl",
        "referrer_url": "hit rl",
        "user_data.client_ip_address": "peer",
        "user_data.client_user_agent": "User-Agent",
        "user_data.fbp": "hit fbp",
        "user_data.fbc": "hit fbc",
        "user_data.em": "hit ud[em]",
        "user_data.ph": "hit udff[ph]",
        "custom_data.value": "hit cd[value]",
        "custom_data.note": "hit cd[note]",
    }


@pytest.mark.parametrize(
    ("parameters", "headers", "field", "origin"),
    [
        ({}, {}, "event_id", "new, written into the browser's copy"),
        ({"ts": "1"}, {}, "event_time", "time of receipt"),
        ({"dl": ""}, {"referer": PAGE}, "event_source_url", "Referer"),
        ({}, {"cookie": f"_fbp={FBP}"}, "user_data.fbp", "cookie _fbp"),
        ({}, {}, "user_data.fbp", "new, set as cookie"),
        ({}, {"cookie": f"_fbc={FBC}"}, "user_data.fbc", "cookie _fbc"),
        ({"dl": f"{PAGE}?fbclid=abc"}, {}, "user_data.fbc", "fbclid of the page"),
        ({"rl": f"{PAGE}?fbclid=abc"}, {}, "user_data.fbc", "fbclid of the referrer"),
        ({}, {"cookie": "_fbi=2606:4700:4700::1111"}, "user_data.client_ip_address", "cookie _fbi"),
        ({"dpo": "LDU", "dpoco": "1", "dpost": "1000"}, {}, "data_processing_options_state", "hit dpo"),
        ({"dpo": ""}, {}, "data_processing_options", "hit dpo"),
    ],
)
def test_what_else_it_may_be_is_told_too(parameters, headers, field, origin):
    assert origins(request(hit_query(**parameters), headers=headers))[field] == origin


def test_the_address_of_a_trusted_proxy_s_client_is_told():
    arrived = request(hit_query(), headers={"x-forwarded-for": "198.51.100.7"}, peer="10.0.0.1")
    found = origins(arrived, trusted_proxies=Networks([ip_network("10.0.0.0/8")]))
    assert found["user_data.client_ip_address"] == "X-Forwarded-For"


def test_a_masked_address_is_told_as_one():
    assert origins(request(hit_query()), privacy=Privacy(client_ip="mask"))["user_data.client_ip_address"] == "masked"


@pytest.mark.parametrize("given", [{}, {"dpo": ""}])
def test_what_consent_limits_and_the_page_does_not_is_told_as_consent_s(given):
    consent = CONSENT.validate_python({"us": {"read": ["gpc"], "denied": "limit"}})
    arrived = request(hit_query(**given), headers={"sec-gpc": "1"})
    found = origins(arrived, consent=consent)
    assert {found[f"data_processing_options{of}"] for of in ("", "_country", "_state")} == {"consent"}


def test_a_value_that_is_not_there_has_no_origin():
    found = origins(request(hit_query()))
    assert not {"referrer_url", "user_data.fbc", "user_data.em", "data_processing_options"} & found.keys()
