"""The config section `privacy`: safe without being written, strict when it is."""

import pytest
from pydantic import TypeAdapter, ValidationError

from pixeltwin.privacy.settings import STANDARD, CustomDataKeys, Privacy

SECTION = TypeAdapter(Privacy)


def test_without_a_section_everything_is_looked_for_and_masked():
    privacy = Privacy()
    assert [it.kind for it in privacy.detect] == ["email", "phone", "token"]
    assert (privacy.found, privacy.client_ip, privacy.user_agent) == ("mask", "keep", "keep")
    assert {"email", "phone", "password", "access_token"} <= privacy.parameters
    assert privacy.custom_data.admits("anything")


def test_no_click_id_campaign_or_standard_key_is_a_private_parameter_by_default():
    spared = {"fbclid", "gclid", "utm_source", "id", "q", "code", "lang", "page", "name", "sku", "key"}
    assert Privacy().parameters.isdisjoint(spared | STANDARD)


def test_a_section_is_read_as_people_write_it():
    written = {
        "detect": ["email", {"kind": "phone"}],
        "found": "remove",
        "parameters": ["Kundennummer"],
        "custom_data": {"allow": ["Margin"], "deny": ["status"]},
        "client_ip": "mask",
        "user_agent": "drop",
    }
    privacy = SECTION.validate_python(written)
    assert [it.kind for it in privacy.detect] == ["email", "phone"]
    assert privacy.parameters == {"kundennummer"}
    assert [key for key in ("margin", "status", "value", "other") if privacy.custom_data.admits(key)] == [
        "margin",
        "value",
    ]


def test_an_allow_list_never_takes_meta_s_own_keys_and_deny_wins():
    nothing_else = CustomDataKeys(allow=frozenset())
    assert all(map(nothing_else.admits, STANDARD))
    assert not CustomDataKeys(allow=frozenset({"value"}), deny=frozenset({"value"})).admits("VALUE")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"detect": ["emial"]}, "one of"),
        ({"detect": [{"email": "x"}]}, "not permitted"),
        ({"found": "hide"}, "mask"),
        ({"parameters": [""]}, "at least 1"),
        ({"custom_data": {"only": []}}, "not permitted"),
        ({"client_ip": "hash"}, "keep"),
        ({"surprise": 1}, "not permitted"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_being_repeated(written, says):
    with pytest.raises(ValidationError, match=says) as error:
        SECTION.validate_python(written)
    assert "input_value" not in str(error.value)


def test_settings_are_frozen_equal_and_can_be_printed_after_use():
    used, other = Privacy(), Privacy()
    assert used.detector.clean("a@b.example") == "_removed_"
    assert used == other
    assert Privacy.model_validate(used.model_dump(mode="json")) == other
    with pytest.raises(ValidationError, match="frozen"):
        used.found = "remove"
