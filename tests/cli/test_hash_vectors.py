"""`pixeltwin hash --jsonl` over the vectors that lie beside the checkout. They are read from there, never copied."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pixeltwin.cli import app

VECTORS = Path(os.environ.get("PIXELTWIN_VECTORS", Path(__file__).parents[3] / "shared/vectors"))
# named as deliberate in the vectors' README: the builder takes the hash of nothing for a hash, we refuse it
OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def vectors(name: str) -> list[dict]:
    if not (VECTORS / name).exists():
        pytest.skip(f"{VECTORS / name} is not there")
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def hashed(asked: list[dict]) -> list[dict]:
    lines = "\n".join(json.dumps({"field": one["field"], "value": one["value"]}) for one in asked)
    ran = CliRunner().invoke(app, ["hash", "--jsonl"], input=lines)
    assert ran.exit_code == 0, ran.output[-500:]
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_every_value_becomes_what_pixel_and_builder_agree_on():
    rows = vectors("normalisation.json")
    answers = hashed(rows)
    wrong = [(row, answer) for row, answer in zip(rows, answers, strict=True) if row["sha256"] != answer["sha256"]]
    assert [row for row, _ in wrong if row["sha256"] != OF_NOTHING] == []
    assert all(answer["sha256"] is None for _, answer in wrong)


def test_what_is_hashed_already_is_kept_and_all_else_is_not():
    rows = vectors("prehashed.json")
    answers = hashed([row["input"] for row in rows])
    wrong = [
        row
        for row, answer in zip(rows, answers, strict=True)
        if ((row["expected"]["value"] or "").lower() or None) != answer["sha256"]
    ]
    assert [row for row in wrong if OF_NOTHING not in row["expected"]["value"].lower()] == []


def test_a_line_that_cannot_be_answered_says_so_and_the_rest_goes_on():
    lines = 'no json\n{"field": "shoe_size", "value": "42"}\n{"field": "fn", "value": "Mary"}\n'
    ran = CliRunner().invoke(app, ["hash", "--jsonl"], input=lines)
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert (ran.exit_code, ["error" in answer for answer in answers]) == (1, [True, True, False])
    # the documentation's sample (PROTOCOL 1.5)
    assert answers[2]["sha256"] == "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"


def test_a_person_sees_each_step_and_every_value_that_is_sent():
    ran = CliRunner().invoke(app, ["hash", "country", "Österreich"])
    assert ran.exit_code == 0
    for expected in ('"österreich"', '"st"', '"at"', "canonical", "also"):
        assert expected in ran.stdout
