"""What the SQLite outbox has acknowledged survives a power cut in `durability: full`; `normal` and `async` may lose it.

The power of a live outbox is cut at a random operation of its disk, many times. The engine opens what is left, and must
find all that it had promised by then; a fresh item must pass. The disk's rules are in `power_cut.py`: a simulation is
no real hardware.

    PIXELTWIN_RELIABILITY=long uv run --group dev pytest -n 0 -s tests/reliability/test_power_cut.py
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from tests.reliability.forms import LONG, rounds, tell
from tests.reliability.outbox_judge import CORRUPT, LOSSES, LOST, Judge, Promises, look
from tests.reliability.outbox_load import Entry, chance_of, recorded
from tests.reliability.power_cut import Delete, Disk, Sync, Truncate, Write

ITEMS: Final = 400  # of a recording; some checkpoints are among its operations
SHARES: Final = (0.0, 0.0, 0.0, 0.2, 0.5, 0.8)  # of what was not synced and survives: nothing after half of the cuts
MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of its own; spares real syncs

type Faults = dict[str, Sequence[object]]


def after_cuts(folder: Path, durability: str, *, recordings: int, each: int = 100) -> Iterator[tuple[str, Faults]]:
    """The promises that were broken after each cut, with what it takes to look into it."""
    for recording in range(recordings):
        (home := folder / f"{durability}-{recording}").mkdir()
        log = recorded(home, durability, ITEMS)
        for at, share, promises, files in cuts(log, each, recording):
            broken = faults_of(files, promises)
            yield f"recording {recording}, cut after {at} of {len(log)} entries, {share} of the rest survives", broken
        shutil.rmtree(home)


def cuts(log: Sequence[Entry], number: int, seed: int) -> Iterator[tuple[int, float, Promises, dict[str, bytes]]]:
    """Where the power was cut, and what share of the unsynced, what was promised by then, and the files of then."""
    chance, disk, promises = chance_of(seed), Disk(), Promises()
    wanted = Counter(chance.choices(range(len(log)), k=number))
    for at, entry in enumerate(log):
        if isinstance(entry, Write | Truncate | Sync | Delete):
            disk.do(entry)
        else:
            promises.hear(entry)
        for _ in range(wanted[at]):
            share = chance.choice(SHARES)
            yield at + 1, share, promises, disk.cut(chance, share)


def faults_of(files: dict[str, bytes], promises: Promises) -> Faults:
    with tempfile.TemporaryDirectory(dir=MEMORY) as left:
        for name, data in files.items():
            Path(left, name).write_bytes(data)
        try:
            faults = Judge(promises, asyncio.run(look(Path(left), promises))).faults()
        except Exception as error:  # what was corrupted fails anywhere
            return {CORRUPT: [repr(error)]}
        aside = [file.name for file in Path(left).glob("*.damaged-*")]  # what was corrupted may have been salvaged
        return {**faults, CORRUPT: aside} if aside else faults


@pytest.mark.timeout(1800 if LONG else 120)
def test_a_power_cut_loses_nothing_that_full_has_acknowledged(tmp_path: Path) -> None:
    judged = list(after_cuts(tmp_path, "full", recordings=rounds(3, 20)))
    tell("power cuts, durability full", cuts=len(judged), broken=sum(bool(faults) for _, faults in judged))
    assert [one for one in judged if one[1]] == []


@pytest.mark.timeout(600 if LONG else 120)
def test_the_same_cuts_lose_what_normal_has_acknowledged_and_corrupt_nothing(tmp_path: Path) -> None:
    """Or the test above could not fail. What is left is an earlier state, a sound one."""
    found = [faults for _, faults in after_cuts(tmp_path, "normal", recordings=rounds(1, 5), each=rounds(40, 100))]
    lossy = sum(LOST in faults for faults in found)
    tell("power cuts, durability normal", cuts=len(found), lossy=lossy)
    assert lossy > len(found) / 4  # most of those that leave nothing, and they are half
    assert {what for faults in found for what in faults} <= LOSSES


@pytest.mark.timeout(600 if LONG else 120)
def test_what_async_has_acknowledged_is_promised_to_nobody(tmp_path: Path) -> None:
    found = [faults for _, faults in after_cuts(tmp_path, "async", recordings=rounds(1, 5), each=rounds(40, 100))]
    corrupt = sum(CORRUPT in faults for faults in found)
    tell("power cuts, durability async", cuts=len(found), broken=sum(map(bool, found)), corrupt=corrupt)
    assert corrupt > 0
