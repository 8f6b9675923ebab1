"""A file of customers that changes while the gateway runs."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pixeltwin.capi.normalize import hashes
from pixeltwin.enrich.guarded import Guarded
from pixeltwin.sources import csv

STEP = 1_000_000_000  # nanoseconds


def written(path: Path, text: str, at: int) -> None:
    """The file, with a time of change of its own: tests are quicker than clocks tick."""
    path.write_text(text)
    os.utime(path, ns=(at * STEP, at * STEP))


def opened(folder: Path, **options) -> Guarded:
    return csv.open_source(csv.Settings(kind="csv", key="customer_id", path="c.csv", **options), folder)


async def answers(source: Guarded, key: str = "k") -> dict:
    """What is known once a change was taken in."""
    await source.look_up([key])
    if source.query._reading:
        await source.query._reading
    return {found: profile.user_data for found, profile in (await source.look_up([key])).items()}


async def test_a_changed_file_is_read_again(tmp_path):
    source = opened(tmp_path)
    written(tmp_path / "c.csv", "id,em\nk,a@example.com\n", 1)
    assert await answers(source) == {"k": {"em": hashes("em", "a@example.com")}}
    written(tmp_path / "c.csv", "id,em\nk,b@example.com\n", 2)
    assert await answers(source) == {"k": {"em": hashes("em", "b@example.com")}}
    await source.close()


async def test_an_unchanged_file_is_read_once(tmp_path, monkeypatch):
    source, reads = opened(tmp_path), []
    read = csv.read_customers
    monkeypatch.setattr(csv, "read_customers", lambda *given: reads.append(given) or read(*given))
    written(tmp_path / "c.csv", "id,em\nk,a@example.com\n", 1)
    for _ in range(5):
        await source.look_up(["k"])
    assert len(reads) == 1
    await source.close()


@pytest.mark.parametrize("broken", ["", "id,em\nk\n", 'id,em\n"k,b@example.com\n', "other,em\nk,b@example.com\n"])
async def test_a_broken_file_leaves_the_last_good_one_and_says_so(tmp_path, broken):
    source = opened(tmp_path, column="id")
    written(tmp_path / "c.csv", "id,em\nk,a@example.com\n", 1)
    before = await answers(source)
    written(tmp_path / "c.csv", broken, 2)
    with capture_logs() as logs:
        assert await answers(source) == before
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert "example.com" not in str(logs)
    written(tmp_path / "c.csv", "id,em\nk,c@example.com\n", 3)
    assert await answers(source) == {"k": {"em": hashes("em", "c@example.com")}}
    await source.close()


async def test_a_file_that_went_away_counts_on(tmp_path):
    source = opened(tmp_path)
    written(tmp_path / "c.csv", "id,em\nk,a@example.com\n", 1)
    before = await answers(source)
    (tmp_path / "c.csv").unlink()
    assert await answers(source) == before
    await source.close()


async def test_who_asks_while_a_file_is_read_gets_the_last_one_at_once(tmp_path, monkeypatch):
    source = opened(tmp_path)
    written(tmp_path / "c.csv", "id,em\nk,a@example.com\n", 1)
    before = await answers(source)
    never = asyncio.Event()
    monkeypatch.setattr(source.query, "_read", never.wait)
    written(tmp_path / "c.csv", "id,em\nk,b@example.com\n", 2)
    assert {key: found.user_data for key, found in (await source.look_up(["k"])).items()} == before
    never.set()
    await source.close()


async def test_the_key_s_column_can_be_named(tmp_path):
    source = opened(tmp_path, column="nr", map={"em": "mail"})
    written(tmp_path / "c.csv", "mail;nr\na@example.com; k \n", 1)
    assert await answers(source) == {"k": {"em": hashes("em", "a@example.com")}}
    await source.close()


async def test_a_file_too_big_for_memory_is_refused(tmp_path):
    with (tmp_path / "c.csv").open("wb") as file:
        file.truncate(csv.BIGGEST + 1)
    source = opened(tmp_path)
    with capture_logs() as logs, pytest.raises(OSError, match="cannot be used"):
        await source.look_up(["k"])
    assert "embedded" in str(logs)
    await source.close()


async def test_a_source_can_be_closed_while_a_long_file_is_read(tmp_path):
    rows = (f"k{number},person{number}@example.com" for number in range(100_000))
    (tmp_path / "c.csv").write_text("\n".join(["id,em", *rows]))
    source = opened(tmp_path, timeout="20ms")
    with capture_logs() as logs, pytest.raises(OSError, match="no answer within"):
        await source.look_up(["k1"])
    began = time.perf_counter()
    await source.close()
    assert time.perf_counter() - began < 0.5
    assert logs == []
