"""A stop has an end, whatever hangs."""

import signal
import subprocess
import sys

HUNG = """
import asyncio, time
from pixeltwin.cli import signals

signals.GIVE_UP = 0.2

async def main():
    signals.stop_on_signals(lambda: print("stopping", flush=True), lambda: None)
    print("ready", flush=True)
    await asyncio.to_thread(time.sleep, 100)  # as a disk that does not answer

asyncio.run(main())
"""


def test_a_process_whose_disk_hangs_ends_all_the_same_and_not_as_if_all_was_well():
    with subprocess.Popen([sys.executable, "-c", HUNG], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out.splitlines()[0]) == (1, b"stopping")
    assert b"the stop was given up" in out + err
