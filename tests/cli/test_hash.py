"""`pixeltwin hash`: what people see, what programs get, and how it ends."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.cli.hash import answer_line, hash_command, quoted

JOHN = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"


def ran(field: str | None = None, value: str | None = None, *, stdin: str = "", **options: object) -> tuple[int, str]:
    given = {"jsonl": False, "default_country": None, **options}
    out = io.StringIO()
    return hash_command(field, value, stdin=io.StringIO(stdin), stdout=out, **given), out.getvalue()


def test_every_step_and_every_value_is_shown_with_its_hash():
    code, shown = ran("em", " John_Smith@gmail.com ")
    assert code == 0
    assert [text in shown for text in ('"john_smith@gmail.com"', JOHN, "lower-case", "canonical")] == [True] * 4


def test_a_refused_value_says_so_and_is_a_problem():
    assert ran("em", "johnsmith") == (1, ran("em", "johnsmith")[1])
    assert "refused" in ran("em", "johnsmith")[1]
    assert ran("ct", "東京")[0] == 0  # no canonical value, yet something to send


def test_what_could_steer_a_terminal_is_shown_as_an_escape():
    _, shown = ran("fn", "Ma\x1b[31mry\u202e\x07")
    assert not {"\x1b", "\u202e", "\x07"} & set(shown)
    assert quoted("a\tb") == r'"a\tb"'


def test_markup_of_the_value_is_shown_and_not_followed():
    assert "[bold]x[/bold]" in ran("external_id", "[bold]x[/bold]")[1]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {}),
        (("em",), {}),
        (("shoe_size", "42"), {}),
        (("ph", "1"), {"default_country": "XX"}),
        (("em", "a@b.co"), {"jsonl": True}),
    ],
)
def test_misuse_ends_with_2_and_a_word_about_it(arguments, options, capsys):
    assert ran(*arguments, **options) == (2, "")
    assert capsys.readouterr().err.startswith("hash: ")


def test_a_default_country_is_for_all_lines_that_name_none():
    lines = '{"field":"ph","value":"06 12 34 56 78"}\n{"field":"ph","value":"0170 1234567","default_country":"DE"}\n'
    code, answers = ran(stdin=lines, jsonl=True, default_country="FR")
    assert (code, [json.loads(line)["normalised"] for line in answers.splitlines()]) == (
        0,
        ["33612345678", "491701234567"],
    )


def test_an_answer_has_the_canonical_value_and_what_goes_along_with_their_hashes():
    assert answer_line('{"field": "zp", "value": "SW1A 1AA"}', None) == {
        "normalised": "sw1a 1aa",
        "sha256": "c69ac90786ee96f8721452ba68d2ebbeaf7938cc797d59bc3303b41af54e02be",
        "also": ("sw1a1aa",),
        "also_sha256": ["830e1d4b9838bab1f5c2acdb23e0b502ff13a9832c4632e8d67a1d43d3b7f614"],
        "kept": False,
        "warnings": (),
    }


def test_a_hash_is_answered_as_it_is():
    answer = answer_line(json.dumps({"field": "em", "value": f" {JOHN.upper()}.AQQCAQMC"}), None)
    assert (answer["normalised"], answer["sha256"], answer["kept"]) == (JOHN, JOHN, True)


def test_numbers_and_null_are_taken_for_what_they_print():
    assert answer_line('{"field": "ph", "value": 16505551212}', None)["normalised"] == "16505551212"
    assert answer_line('{"field": "ph", "value": null}', None)["normalised"] is None


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        b"\xff",
        '{"value": "x"}',
        '{"field": ["em"], "value": "x"}',
        '{"field": "em", "value": {"a": 1}}',
        '{"field": "em", "value": true}',
        '{"field": "em", "value": "secret@b.co", "default_country": "secret"}',
        '{"field": "em", "value": "\\ud800"}',
    ],
)
def test_a_line_that_cannot_be_answered_is_an_error_that_repeats_no_value(line):
    answer = answer_line(line, None)
    assert list(answer) == ["error"]
    assert "secret" not in answer["error"]


@given(st.text() | st.binary())
def test_any_line_is_answered(line):
    assert isinstance(answer_line(line, None), dict)
