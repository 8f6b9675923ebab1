import subprocess
import sys

SCRIPT = """
import gc
from pixeltwin.cli.collector import SELDOM, collect_seldom
collect_seldom()
print(gc.get_freeze_count() > 1000, gc.get_threshold()[0] == SELDOM, gc.isenabled())
"""


def test_what_there_is_is_left_alone_and_the_rest_still_collected():
    command = (sys.executable, "-c", SCRIPT)  # frozen is frozen: not in the process of the tests
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "True True True\n"
