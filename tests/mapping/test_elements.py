"""Data elements: where each kind reads, and what may stand in patterns, headers and the environment."""

import time

import pytest
from pydantic import TypeAdapter, ValidationError
from tests.factories import hit_query, parsed, request

from pixeltwin.mapping.element import MAX_MATCHED, ElementSettings, element_type, reader

ANY = TypeAdapter(element_type())


def element(**written: object) -> ElementSettings:
    loaded: ElementSettings = ANY.validate_python(written)
    return loaded


def read(written: dict[str, object], headers: dict[str, str] | None = None, **parameters: str) -> str | None:
    asked = request(hit_query(**parameters), headers=headers)
    return element(**written).read(asked, parsed(asked))


@pytest.mark.parametrize(
    ("part", "value"), [("host", "px.shop.example"), ("path", "/tr/"), ("method", "GET"), ("referer", None)]
)
def test_a_part_of_the_request_is_read(part, value):
    assert read({"request": part}) == value


@pytest.mark.parametrize(("believed", "value"), [("198.51.100.7", "198.51.100.7"), (None, None)])
def test_the_client_address_is_the_one_that_is_believed_not_the_peers(believed, value):
    asked = request(hit_query())
    assert reader({"ip": element(request="client_ip")}, asked, parsed(asked), believed)("ip") == value


def test_elements_are_read_by_name_and_unknown_names_are_nothing():
    asked = request(hit_query(sw="1920"))
    read = reader({"screen": element(query="sw"), "lead": element(cookie="lead")}, asked, parsed(asked), None)
    assert (read("screen"), read("lead"), read("nobody")) == ("1920", None, None)


BROKEN = {"cel": "double(hit.sw)"}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (BROKEN, None),
        ({**BROKEN, "default": "0"}, "0"),
        ({"first_of": [BROKEN, {"query": "sw"}]}, "wide"),
        ({"first_of": [{"first_of": [BROKEN]}], "default": "0"}, "0"),
    ],
)
def test_an_expression_that_fails_has_no_value_and_is_told_once(written, value):
    asked, told = request(hit_query(sw="wide")), list[str]()
    read = reader({"size": element(**written)}, asked, parsed(asked), None, told.append)
    assert (read("size"), read("size"), told) == (value, value, ["elements.size"])


def test_one_that_asks_for_what_is_missing_is_no_fault():
    asked, told = request(hit_query()), list[str]()
    read = reader({"size": element(cel="event.custom_data.value * 2.0")}, asked, parsed(asked), None, told.append)
    assert (read("size"), told) == (None, [])


@pytest.mark.parametrize("page", ["https://[", "https://a/?" + "a&" * 600 + "utm_source=x", "", "no url"])
def test_a_page_without_a_readable_query_has_no_parameters(page):
    assert read({"page_query": "utm_source"}, dl=page) is None


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("ord-[0-9]+", "ord-10492"),
        ("ord-([0-9]+)", "10492"),
        ("(?:ord|inv)-([0-9]+)", "10492"),
        ("ord-", None),
        ("[0-9]+", None),
        ("^ord-10492$", "ord-10492"),
        ("(x)?ord-.*", None),
    ],
)
def test_a_pattern_has_to_match_all_and_its_group_is_the_value(pattern, value):
    assert read({"custom_data": "order_id", "pattern": pattern}, cd_order_id="ord-10492") == value


def test_a_line_feed_at_the_end_is_not_passed_over():
    assert read({"custom_data": "order_id", "pattern": "[0-9]+$"}, cd_order_id="42\n") is None


def test_no_pattern_can_hold_up_the_gateway():
    started = time.perf_counter()
    assert read({"custom_data": "v", "pattern": "(?:(?:a+)+)+b|(?:a|aa)+c"}, cd_v="a" * MAX_MATCHED) is None
    assert time.perf_counter() - started < 1


def test_patterns_are_not_run_on_long_texts():
    assert read({"custom_data": "v", "pattern": "a*"}, cd_v="a" * (MAX_MATCHED + 1)) is None


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ({"cookie": "a", "pattern": "("}, "regular expression"),
        ({"cookie": "a", "pattern": r"(a)\1"}, "back references"),
        ({"cookie": "a", "pattern": "(?=a)"}, "look-around"),
        ({"cookie": "a", "pattern": "(a)(b)"}, "one group at most"),
        ({"cookie": "a", "pattern": "a" * 257}, "at most 256"),
        ({"cookie": "a", "pattern": "((a{100}){100}){100}"}, "regular expression"),
        ({"header": "Authorization"}, "logs people in"),
        ({"header": "cookie"}, "logs people in"),
        ({"header": "a b"}, "without spaces"),
        ({"request": "body"}, "client_ip"),
        ({"constant": ""}, "at least 1"),
        ({"constant": 1.5}, "valid string"),
        ({"env": "PIXELTWIN_NOT_SET"}, "export that variable"),
        ({"first_of": []}, "at least one"),
        ({"cookie": "a", "trust": "safe"}, "unsafe"),
        ({"cookie": "a", "header": "b"}, "not"),
        ({"galaxy": "a"}, "one of"),
    ],
)
def test_settings_that_cannot_work_are_refused(written, remedy):
    with pytest.raises(ValidationError, match=remedy):
        element(**written)


def test_the_environment_is_read_once(monkeypatch):
    monkeypatch.setenv("SHOP_REGION", "emea")
    loaded = element(env="SHOP_REGION")
    monkeypatch.setenv("SHOP_REGION", "apac")
    asked = request(hit_query())
    assert loaded.read(asked, parsed(asked)) == "emea"


def test_whole_numbers_are_taken_as_text():
    assert read({"constant": 5}) == "5"
    assert read({"cookie": "a", "default": 0}) == "0"


@pytest.mark.parametrize(
    ("written", "is_trusted"),
    [
        ({"signed_cookie": "uid", "key": "k"}, True),
        ({"jwt": "session", "key": "k" * 32}, True),
        ({"constant": "a"}, True),
        ({"query": "uid"}, False),
        ({"page_query": "uid"}, False),
        ({"custom_data": "uid"}, False),
        ({"cookie": "uid"}, False),
        ({"header": "x-uid"}, False),
        ({"request": "client_ip"}, False),
        ({"cookie": "uid", "trust": "unsafe"}, False),
        ({"first_of": [{"constant": "a"}, {"first_of": [{"constant": "b"}]}]}, True),
        ({"first_of": [{"constant": "a"}, {"first_of": [{"cookie": "b"}]}]}, False),
    ],
)
def test_only_what_clients_cannot_make_up_is_trusted(written, is_trusted):
    assert element(**written).trusted is is_trusted
