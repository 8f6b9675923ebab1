"""`pixeltwin customers`: what people type, and what they are told."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pixeltwin.capi.normalize import hashes
from pixeltwin.cli.customer_store import typed
from pixeltwin.cli.customers import app
from pixeltwin.enrich.source import Profile
from pixeltwin.sources.embedded.store import Store

CONFIG = """
pixels: [{ id: "1234567890123456", access_token: "${SHOP_TOKEN}" }]
elements: { customer_id: { signed_cookie: uid, key: "${UID_KEY}" } }
sources:
  customers: { kind: embedded, path: c.db, key: customer_id, map: { em: mail }, default_country: DE }
"""
ORDERS = """
  customers: { kind: embedded, path: c.db, key: customer_id, map: {}, custom_data: { value: total }, profile: [orders] }
"""
OTHER = "  others: { kind: embedded, path: others.db, key: customer_id }\n"
EMAIL = "canary@example.com"


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "token")
    monkeypatch.setenv("UID_KEY", "key")
    path = tmp_path / "pixeltwin.yaml"
    path.write_text(CONFIG)
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, re.sub(r"\s+", " ", result.output)


def known(config: Path, *keys: str, file: str = "c.db") -> dict[str, Profile]:
    store = Store(config.parent / file)
    found = store.select(keys)
    store.close()
    return found


def test_import_stores_a_file_by_the_source_s_own_map_and_country(config, tmp_path):
    (tmp_path / "crm.csv").write_text(f"customer_id,mail,ph\nk1,{EMAIL},0151 23456789\n")
    code, output = run("import", tmp_path / "crm.csv", "-c", config)
    assert (code, "1 stored, 0 refused" in output) == (0, True), output
    assert known(config, "k1") == {
        "k1": Profile({"em": hashes("em", EMAIL), "ph": hashes("ph", "0151 23456789", "DE")})
    }


def test_import_stores_what_the_source_names_of_custom_data_and_facts(config, tmp_path):
    config.write_text(CONFIG[: CONFIG.index("  customers:")] + ORDERS)
    (tmp_path / "crm.csv").write_text(f"customer_id,mail,em,total,orders\nk1,{EMAIL},{EMAIL},24.90,{EMAIL}\n")
    code, output = run("import", tmp_path / "crm.csv", "-c", config)
    assert (code, "profile.orders: 1 values cannot be used" in output) == (0, True), output
    assert known(config, "k1") == {"k1": Profile({}, {"value": 24.9})}


def test_put_takes_custom_data_and_facts_with_numbers_as_numbers(config):
    config.write_text(CONFIG[: CONFIG.index("  customers:")] + ORDERS)
    assert run("put", "k1", "custom_data.value=24.90", "profile.orders=3", "-c", config) == (0, "")
    assert known(config, "k1") == {"k1": Profile({}, {"value": 24.9}, {"orders": 3})}
    code, output = run("put", "k1", "custom_data.value=5", f"profile.orders={EMAIL}", "-c", config)
    assert (code, output) == (0, "profile.orders cannot be used and was left out ")
    assert known(config, "k1") == {"k1": Profile({}, {"value": 5.0})}


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("3.5", 3.5), ("true", True), ("007", "007"), ("null", "null"), ("[1]", "[1]"), ("a", "a")],
)
def test_a_word_of_the_command_line_is_what_json_makes_of_it_or_text(text, value):
    assert typed(text) == value
    assert type(typed(text)) is type(value)


def test_import_takes_names_of_columns(config, tmp_path):
    (tmp_path / "crm.csv").write_text(f"nr;adresse\nk1;{EMAIL}\n")
    code, output = run("import", tmp_path / "crm.csv", "-c", config, "--key", "nr", "--map", "em=adresse")
    assert code == 0, output
    assert known(config, "k1")


def test_import_reports_refused_rows_without_their_values(config, tmp_path):
    (tmp_path / "crm.csv").write_text(f"customer_id,mail\n,{EMAIL}\nk2,nonsense\nk3,{EMAIL}\n")
    code, output = run("import", tmp_path / "crm.csv", "-c", config)
    assert code == 1
    assert "line 2: customer_id is empty" in output
    assert "line 3: has nothing" in output
    assert "1 stored, 2 refused" in output
    assert "canary" not in output
    assert "nonsense" not in output


def test_put_stores_one_customer_and_forget_removes_it(config):
    assert run("put", "k1", f"em={EMAIL}", "ph=+1 202-555-0198", "-c", config) == (0, "")
    assert known(config, "k1")["k1"].user_data["em"] == hashes("em", EMAIL)
    code, output = run("forget", "k1", "k2", "-c", config)
    assert (code, output.startswith("forgotten: 1 in stores, 0 remembered, ")) == (0, True)
    assert known(config, "k1") == {}
    assert run("forget", "k1", "-c", config)[0] == 1


def test_a_source_is_chosen_by_name_where_there_are_several(config):
    config.write_text(CONFIG + OTHER)
    code, output = run("put", "k1", f"em={EMAIL}", "-c", config)
    assert (code, "--source" in output, "customers, others" in output) == (1, True, True)
    assert run("put", "k1", f"em={EMAIL}", "-c", config, "--source", "others")[0] == 0
    assert known(config, "k1", file="others.db")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("put", "k", "email=canary@example.com"), "Meta's keys"),
        (("put", "k", "canary@example.com"), "Meta's keys"),
        (("put", "k\x01", "em=canary@example.com"), "printable"),
        (("put", "k", "em=canary"), "nothing"),
        (("put", "k", "profile.age=canary"), "does not take it"),
        (("put", "k", "custom_data.=canary"), "Meta's keys"),
        (("import", "nowhere.csv"), "nowhere.csv"),
        (("import", "nowhere.csv", "--map", "mail=em"), "Meta's keys"),
        (("forget", "k", "--source", "x"), "--source"),
    ],
)
def test_a_mistake_is_told_without_a_traceback_or_a_value(config, arguments, said):
    code, output = run(*arguments, "-c", config)
    assert code == 1
    assert said in output
    assert "canary" not in output
    assert "Traceback" not in output
