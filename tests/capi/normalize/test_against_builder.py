"""Meta's parameter builder (npm), which the browser's pixel agrees with, is asked what it makes of the same texts.

Known disagreements, all deliberate: the hash of nothing is a hash to the builder; so are words such as "duchess" for a
gender, which no shop asks for; and text that is not NFC, where its hash is one of ours, but not the first.
"""

import os
import random
import unicodedata
from collections.abc import Iterable

import pytest
from tests import builder
from tests.people import LOCALES, people

from pixeltwin.capi import tables
from pixeltwin.capi.normalize import hashes, normalise

EACH = 40
BITS = (
    "New|York|St|.|-| |  |'|é|ß|Σ|İ|北|京|1|12|1990|31|2000|/|@|a.b|example.com|xn--|+|0|00|49|(|)|_|Texas|virginia"
    "|west|usa|United|Kingdom|Guinea|equatorial|Niger|ia|india|Ontario|Quebec|Georgia|Arkansas|South|Sudan|Korea|of"
    "|Republic|.co|%|20000101|a|b|c|n|x|zz|😀|ё|O’|×|Ångström|٣|３|ſ|ﬁ|Ⅷ|\t|\u00a0|\u200b|\ufeff|\x85|\x1c"
)
PIECES = BITS.split("|")


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> builder.Builder:
    try:
        return builder.install(tmp_path_factory.mktemp("builder"))
    except builder.NotToBeHadError as reason:
        end = pytest.fail if os.environ.get("CI") else pytest.skip
        end(str(reason))


def disagreements(oracle: builder.Builder, asked: Iterable[tuple[str, str]]) -> list[object]:
    asked = list(asked)
    answers = zip(asked, oracle.hashes(asked), strict=True)
    return [(*question, answer) for question, answer in answers if normalise(*question).sha256 != answer]


def test_for_one_person_every_hash_equals_the_pixel_s(oracle):
    everyone = people(EACH)
    assert len(everyone) >= 500
    assert len(LOCALES) >= 12
    assert disagreements(oracle, (item for person in everyone for item in person.fields.items())) == []


def test_with_a_default_country_the_pixel_s_hash_is_still_among_ours(oracle):
    asked = [(person.country, key, value) for person in people(EACH) for key, value in person.fields.items()]
    theirs = oracle.hashes((key, value) for _, key, value in asked)
    missing = [
        question
        for question, answer in zip(asked, theirs, strict=True)
        if answer and answer not in hashes(question[1], question[2], question[0])
    ]
    assert missing == []


def test_every_name_of_a_country_or_state_becomes_what_it_becomes_there(oracle):
    countries, states = tables.countries(), tables.states()
    alone = [("country", name) for name in countries] + [("st", name) for name in states]
    inside = [(field, f"zz {name} zz") for field, name in alone]
    assert disagreements(oracle, alone + inside) == []


def test_of_two_names_in_one_text_the_same_is_found(oracle):
    chance = random.Random(1)  # noqa: S311 - nothing here is secret
    for field, names in (("country", tables.pixel_countries().names), ("st", tables.pixel_states().names)):
        pairs = [(field, f"zz{chance.choice(names)}zz{chance.choice(names)}") for _ in range(5000)]
        assert disagreements(oracle, pairs) == []


@pytest.mark.parametrize("field", sorted(set(builder.KINDS) - {"ge"}))
def test_any_text_becomes_what_it_becomes_there(oracle, field):
    chance = random.Random(field)  # noqa: S311 - nothing here is secret
    texts = ("".join(chance.choices(PIECES, k=chance.randrange(1, 8))) for _ in range(4000))
    assert disagreements(oracle, ((field, text) for text in texts if unicodedata.is_normalized("NFC", text))) == []


def test_any_date_becomes_what_it_becomes_there(oracle):
    chance = random.Random(2)  # noqa: S311 - nothing here is secret
    numbers = [
        *map(str, range(41)),
        *(f"{number:02}" for number in range(14)),
        "1799",
        "1800",
        "1990",
        "2008",
        "97",
        "099",
    ]
    dates = (chance.choice("-/. ").join(chance.choices(numbers, k=chance.randrange(1, 5))) for _ in range(8000))
    assert disagreements(oracle, (("db", date) for date in dates)) == []


def test_words_for_a_gender_become_what_they_become_there(oracle):
    words = [word for word, letter in tables.english_genders().items() for word in (word, word.title(), f" {word}\t")]
    assert disagreements(oracle, (("ge", word) for word in words)) == []


def test_text_that_is_not_nfc_has_its_hash_of_the_pixel_among_ours(oracle):
    asked = [
        (key, unicodedata.normalize("NFD", value))
        for person in people(EACH)
        for key, value in person.fields.items()
        if key in ("fn", "ln", "ct", "st", "zp", "external_id")
    ]
    theirs = oracle.hashes(asked)
    assert [one for one, answer in zip(asked, theirs, strict=True) if answer and answer not in hashes(*one)] == []
