"""`pixeltwin test`: what it says of cases that fail, and of files that cannot be used."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pixeltwin.cli import app

CONFIG = """
pixels: [{ id: "1", name: shop, access_token: "${SHOP_TOKEN}", hosts: [px.shop.example] }]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(CONFIG)
    return tmp_path / "shop.yaml"


def tried(shop: Path, cases: str, *options: str) -> Result:
    shop.with_name("shop.cases.yaml").write_text(cases)
    return run(shop, *options)


def run(shop: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["test", "-c", str(shop), *options])


def case(text: str) -> str:
    return f"env: {{ SHOP_TOKEN: any }}\ncases: [{{ name: one, {text} }}]\n"


SALE = "hit: { ev: Purchase, eid: p-1, cd: { value: 5, currency: EUR } }"


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("twin: { custom_data: { value: 6 } }", "twin.custom_data.value: expected 6, found 5.0"),
        ("twin: { custom_data: { value: null } }", "twin.custom_data.value: expected null, found 5.0"),
        ("twin: { opt_out: true }", "twin.opt_out: expected true, found null"),
        ("twin: { user_data: { em: [a] } }", 'twin.user_data.em: expected ["a"], found null'),
        ("skip: bot", 'skip: expected "bot", found null'),
        ("twin: null", "twin: expected null, found {"),
        ("relay: { ev: Lead }", 'relay.ev: expected "Lead", found "Purchase"'),
        ("relay: { eid: null }", 'relay.eid: expected null, found "p-1"'),
        ("relay: false", "relay: expected false, found {"),
        ("rules: [some]", 'rules: expected ["some"], found []'),
        ("notes: [no_user_agent]", 'notes: expected ["no_user_agent"], found []'),
        ("held: true", "held: expected true, found false"),
        ("test_event_code: TEST1", 'test_event_code: expected "TEST1", found null'),
        ("twins: { shop: null }", "twins.shop: expected null, found {"),
        ("twins: { other: {} }", "twins.other: expected {}, found null"),
    ],
)
def test_a_wrong_expectation_fails_and_is_named(shop, expect, said):
    ran = tried(shop, case(f"{SALE}, expect: {{ {expect} }}"))
    assert ran.exit_code == 1
    assert said in ran.output
    assert ran.output.endswith("1 case(s), 1 failed\n")


def test_who_expects_a_twin_is_told_why_there_is_none(shop):
    ran = tried(shop, case("hit: { ev: Purchase }, expect: { twin: { event_name: Purchase } }"))
    assert ran.exit_code == 1
    assert 'skip: expected null, found "purchase_without_value (100/2804009)"' in ran.output
    assert "twin:" not in ran.output


def test_json_has_one_object_a_case(shop):
    ran = tried(shop, case(f"{SALE}, expect: {{ twin: {{ custom_data: {{ value: 6 }} }} }}"), "--json")
    (told,) = map(json.loads, ran.stdout.splitlines())
    difference = {"path": "twin.custom_data.value", "expected": 6, "found": 5.0}
    assert (ran.exit_code, told) == (1, {"name": "one", "passed": False, "differences": [difference]})


def test_the_code_of_the_pixel_is_the_code_of_the_twin(shop):
    shop.write_text(CONFIG.replace("name: shop,", "name: shop, test_event_code: TEST7,"))
    assert tried(shop, case(f"{SALE}, expect: {{ test_event_code: TEST7 }}")).exit_code == 0


@pytest.mark.parametrize("relay", ["none", "browser"])
def test_a_copy_that_its_pixel_does_not_relay_goes_nowhere(shop, relay):
    shop.write_text(CONFIG.replace("name: shop,", f"name: shop, relay: {relay},"))
    assert tried(shop, case(f"{SALE}, expect: {{ relay: false }}")).exit_code == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (f"{SALE}, with: {{ sources: {{ crm: {{}} }} }}", "one: the config has no source 'crm'; add it there"),
        (f"{SALE}, with: {{ elements: {{ id: x }} }}", "one: the config has no element 'id'; add it there"),
        (f"{SALE}, with: {{ geo: {{ country: DE }} }}", "one: the config does not know a visitor's country"),
        (f"{SALE}, with: {{ consent: granted }}", "one: the config asks nobody for consent"),
        (f"{SALE}, pixel: shp", "one: the config has no pixel 'shp'; did you mean 'shop'?"),
        ("hit: FETCH /tr/?id=1", "one: line 1: begins with 'FETCH'; one of GET, POST-FORM, POST-MULTIPART"),
        ("hit: POST-MULTIPART x 5", "one: line 1: write the boundary, a space, and the body as a JSON string"),
        ('hit: ""', "one: the hit is blank"),
        ('hit: "# a comment"', "one: the hit is blank"),
    ],
)
def test_a_case_that_cannot_be_is_an_error_with_its_name(shop, given, said):
    ran = tried(shop, case(f"{given}, expect: {{}}"))
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert said in ran.stderr


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        ("cases: [{", "cases.yaml:1:10: the file: this is no YAML"),
        ("cases: [{ name: one, hit: x, expect: { twn: {} } }]", "1:40: cases[0].expect.twn: unknown key; did you mean"),
        ("cases: [{ name: one, hit: x }]", "1:9: cases[0].expect: missing"),
        (
            "cases: [{ name: one, hit: 5, expect: {} }]",
            "1:27: cases[0].hit: '5'; write a line of a hits file, or the hit's parameters",
        ),
        ("cases: [{ name: one, hit: x, expect: { relay: 5 } }]", "cases[0].expect.relay: '5'; write true, false, or"),
        ("cases: [{ name: one, hit: x, expect: {}, expect: {} }]", "1:42: cases[0].expect: the key 'expect' again"),
        ("env: { A: ${B} }\ncases: []", "this is no YAML"),
        ("", "the file: `name: value` pairs"),
    ],
)
def test_a_file_of_cases_that_cannot_be_read_is_an_error_with_its_place(shop, cases, said):
    ran = tried(shop, cases)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert said in ran.stderr


def test_a_config_without_cases_beside_it_says_how_to_go_on(shop):
    ran = run(shop)
    assert ran.exit_code == 1
    assert "there is no shop.cases.yaml beside" in ran.stderr


def test_a_config_that_cannot_be_used_is_an_error(shop):
    ran = tried(shop, "cases: []")
    assert ran.exit_code == 1
    assert "the variable SHOP_TOKEN is not set" in ran.stderr
