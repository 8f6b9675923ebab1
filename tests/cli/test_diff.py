"""`pixeltwin diff`: what a new config would change over recorded hits, told hit by hit."""

import json
from pathlib import Path

import pytest
from tests.factories import PIXEL, hit_query
from typer.testing import CliRunner

from pixeltwin.cli import app

OLD = f'pixels: [{{ id: "{PIXEL}", access_token: "${{T}}", events: [Purchase, Lead, Scroll, PageView] }}]\n'
NEW = f"""{OLD}
rules:
  - {{ name: margin, match: {{ event: Purchase }}, then: {{ custom_data: {{ json: {{ value: 38.2 }} }} }} }}
  - {{ name: noise, match: {{ event: Scroll }}, then: {{ drop: both }} }}
  - {{ name: newsletter, match: {{ event: Lead }}, then: {{ rename: Subscribe }} }}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("T", "a-token")
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    hits = [hit_query("Purchase", eid="1", cd_value="129", cd_currency="EUR"), hit_query("Scroll", eid="2")]
    hits += [hit_query("Lead", eid="3"), hit_query("PageView", eid="4")]
    (tmp_path / "day.txt").write_text(
        "".join(f"GET https://px.shop.example/tr/?{hit}&fbp=fb.1.1795461138686.1\n" for hit in hits)
    )
    return tmp_path


def diff(folder: Path, old: str, new: str, *options: str, hits: str = "day.txt") -> tuple[int, str]:
    paths = [str(folder / name) for name in (old, new, hits)]
    ran = CliRunner().invoke(app, ["diff", *paths, "--now", "1795461800", *options])
    return ran.exit_code, ran.output


def told(folder: Path) -> dict[int, dict[str, tuple]]:
    _, output = diff(folder, "old.yaml", "new.yaml", "--json")
    lines = map(json.loads, output.splitlines())
    return {one["hit"]: {it["path"]: (it["old"], it["new"]) for it in one["changes"]} for one in lines}


def test_a_config_that_changes_nothing_says_so_and_exits_0(folder):
    code, output = diff(folder, "old.yaml", "old.yaml")
    assert (code, output.strip()) == (0, "0 of 4 hits would be treated differently")


def test_each_change_is_told_with_what_it_was(folder):
    changes = told(folder)
    assert changes[1] == {"twin.custom_data.value": (129.0, 38.2)}
    assert changes[2]["skip"] == (None, "dropped_by_rule")
    assert changes[2]["relay.withheld"] == (None, True)
    assert changes[3] == {"relay.ev": ("Lead", "Subscribe"), "twin.event_name": ("Lead", "Subscribe")}
    assert 4 not in changes


def test_a_person_reads_old_and_new_and_a_sum(folder):
    code, output = diff(folder, "old.yaml", "new.yaml")
    assert code == 1
    assert "twin.custom_data.value: 129.0 → 38.2" in output
    assert "skip: – → dropped_by_rule" in output
    assert "3 of 4 hits would be treated differently" in output


def test_hits_that_are_none_and_configs_that_cannot_be_read_are_errors(folder):
    (folder / "empty.txt").write_text("# nothing\n")
    (folder / "bad.yaml").write_text("pixels: []")
    assert "holds no hits" in diff(folder, "old.yaml", "new.yaml", hits="empty.txt")[1].replace("\n", " ")
    assert diff(folder, "old.yaml", "bad.yaml")[0] == 1


SHOP = """
pixels: [{ id: "PIXEL", access_token: "${T}", enrich: [crm], verify: { Purchase: orders } }]
elements: { customer: { query: uid, trust: unsafe }, order: { custom_data: order_id } }
sources:
  crm: { kind: csv, path: crm.csv, key: customer, map: { em: email }, profile: [staff], timeout: 30s }
  orders: { kind: csv, path: orders.csv, key: order, map: {}, custom_data: { value: total, currency: currency },
            timeout: 30s }
rules:
  - { name: margin, match: { event: Purchase }, then: { custom_data: { json: { margin: 1 } } } }
  - { name: staff, when: "profile.staff == 'yes'", then: { drop: twin } }
""".replace("PIXEL", PIXEL)
ORDERED = {"cd_order_id": "A-1", "cd_value": "129", "cd_currency": "EUR"}
DROP = {"drop": "twin"}
ASKS = "--look-up asks for"


@pytest.fixture
def shop(folder) -> Path:
    """A shop whose customer c-1 is of the staff, and whose order A-1 was of 80 francs, 90 with the tax."""
    (folder / "crm.csv").write_text("id,email,mail,staff\nc-1,ann@shop.example,bob@shop.example,yes\n")
    (folder / "orders.csv").write_text("id,total,gross,currency\nA-1,80,90,CHF\n")
    hits = [hit_query("Purchase", eid="1", uid="c-2", **ORDERED), hit_query("Lead", eid="2", uid="c-1")]
    (folder / "day.txt").write_text("".join(f"GET https://px.shop.example/tr/?{hit}\n" for hit in hits))
    return folder


def changed(shop: Path, what: str, into: str, *options: str) -> tuple[int, dict[int, dict[str, tuple]], list[str]]:
    """How the command ended, what it told of which hit, and its notes, where a config says `into` and not `what`."""
    assert what in SHOP
    (shop / "old.yaml").write_text(SHOP)
    (shop / "new.yaml").write_text(SHOP.replace(what, into))
    code, output = diff(shop, "old.yaml", "new.yaml", "--json", *options)
    lines = [json.loads(line) for line in output.splitlines()]
    told = {it["hit"]: {one["path"]: (one["old"], one["new"]) for one in it["changes"]} for it in lines if "hit" in it}
    return code, told, [it["note"] for it in lines if "note" in it]


def test_a_rule_for_verified_purchases_is_compared_as_if_their_orders_were_found(shop):
    code, told, notes = changed(shop, "margin: 1", "margin: 2")
    assert (code, told) == (1, {1: {"twin.custom_data.margin": (1.0, 2.0)}})
    assert f"1 hits depend on orders: each counts as found, with the browser's value; {ASKS} them" in notes


@pytest.mark.parametrize(
    ("what", "into", "path", "old", "new"),
    [
        ("== 'yes'", "== 'no'", "late.staff.when", "profile.staff == 'yes'", "profile.staff == 'no'"),
        ("{ drop: twin", "{ custom_data: { remove: [a] }", "late.staff.then", DROP, {"custom_data": {"remove": ["a"]}}),
        ("name: staff,", "name: staff, match: { event: Search },", "late", "staff", None),
    ],
)
def test_a_late_rule_that_is_another_or_gone_is_a_difference_though_nobody_is_asked(shop, what, into, path, old, new):
    code, told, _ = changed(shop, what, into)
    assert (code, told.keys()) == (1, {1, 2})
    assert told[2][path] == (old, new)


@pytest.mark.parametrize(
    ("what", "into", "hit", "path", "old", "new"),
    [
        ("em: email", "em: mail", 2, "source.crm.map", {"em": "email"}, {"em": "mail"}),
        (
            "profile: [staff]",
            "profile: { staff: mail }",
            2,
            "source.crm.profile",
            {"staff": "staff"},
            {"staff": "mail"},
        ),
        ("value: total", "value: gross", 1, "source.orders.custom_data", {"value": "total"}, {"value": "gross"}),
        ("key: customer", "key: customer, only_when: hit.ev == 'Search'", 2, "customer", "crm", None),
    ],
)
def test_what_is_taken_of_a_source_is_a_difference_though_nobody_is_asked(shop, what, into, hit, path, old, new):
    code, told, notes = changed(shop, what, into)
    was, became = told[hit][path]
    assert code == 1
    assert (was, became) == (old, new) or (was | old, became | new) == (was, became)
    assert f"2 hits depend on customers: what those add was not compared; {ASKS} it" in notes


def test_look_up_asks_both_configs_sources_and_compares_what_comes_of_it(shop):
    code, told, notes = changed(shop, "== 'yes'", "== 'no'", "--look-up")
    assert (code, told.keys(), told[2]["skip"], notes) == (1, {2}, ("dropped_by_rule", None), [])
    code, told, notes = changed(shop, "value: total", "value: gross", "--look-up")
    assert (code, told, notes) == (1, {1: {"twin.custom_data.value": (80.0, 90.0)}}, [])
    assert changed(shop, "key: customer, ", "key: customer, ", "--look-up") == (0, {}, [])


def test_a_source_that_does_not_answer_is_named_and_the_rest_is_compared(shop):
    (shop / "crm.csv").unlink()
    code, told, notes = changed(shop, "value: total", "value: gross", "--look-up")
    assert (code, told) == (1, {1: {"twin.custom_data.value": (80.0, 90.0)}})
    assert [note.partition(": ")[0] for note in notes] == ["old config, source crm", "new config, source crm"]


def test_a_person_reads_what_was_not_compared(shop):
    (shop / "old.yaml").write_text(SHOP)
    code, output = diff(shop, "old.yaml", "old.yaml")
    assert code == 0
    assert "2 hits depend on customers: what those add was not compared; --look-up asks for it" in output
    assert "0 of 2 hits would be treated differently" in output
