"""The tables of names are what their generator writes, and say what they should."""

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

from pixeltwin.capi import tables
from pixeltwin.capi.normalize.text import bare

TABLES = Path(tables.__file__).parent
GENERATED = ("pixel_countries.tsv", "pixel_states.tsv", "countries.tsv", "states.tsv")


def source_versions() -> str:
    return ", ".join(f"{source} {importlib.metadata.version(source)}" for source in ("babel", "pycountry"))


def test_tables_are_what_the_generator_writes():
    if not (importlib.util.find_spec("babel") and importlib.util.find_spec("pycountry")):
        pytest.skip("babel and pycountry are not installed")
    written = {name: (TABLES / name).read_text(encoding="utf-8") for name in GENERATED}
    if f"from {source_versions()} " not in written["countries.tsv"]:
        pytest.skip(f"the tables are of other versions than {source_versions()}")
    from tests.tools import generate_tables

    assert generate_tables.tables() == written


@pytest.mark.parametrize("table", [tables.countries, tables.states, tables.genders])
def test_names_are_bare_so_that_they_are_found(table):
    assert [name for name in table() if bare(name) != name] == []


def test_every_country_can_be_named_in_english_and_by_three_letters():
    named = tables.countries()
    assert {"deu", "gbr", "usa", "germany", "unitedkingdom", "greatbritain"} <= set(named)
    assert len(tables.country_codes()) >= 249


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (
            "de",
            "deutschland allemagne alemania germania německo niemcy tyskland saksa германия 德国 ドイツ ألمانيا",
        ),
        ("at", "österreich osterreich oesterreich autriche rakousko austria"),
        ("ch", "schweiz suisse svizzera svizra switzerland"),
        ("gb", "uk greatbritain england großbritannien grossbritannien royaumeuni"),
    ],
)
def test_a_country_is_known_by_its_names_in_many_languages(code, names):
    assert {tables.countries().get(bare(name)) for name in names.split()} == {code}


def test_no_word_stands_for_both_genders():
    words = [line.split("\t") for line in (TABLES / "genders.tsv").read_text(encoding="utf-8").splitlines()[2:]]
    assert len({word for _, _, word in words}) == len(words)
