"""What every test may use."""

import os

import pytest
from hypothesis import settings

# Fewer for whoever is in a hurry, or more to be surer, than the hundred that hypothesis tries by itself. No deadline:
# how long an example takes says how busy the machine is.
EXAMPLES = int(os.environ.get("PIXELTWIN_EXAMPLES", "100"))
settings.register_profile("pixeltwin", max_examples=EXAMPLES, deadline=None)
settings.load_profile("pixeltwin")

# Where the environment keeps Python from remembering what it compiled, most of every start would be compiling again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """On CI nothing may be skipped: `.ci/run` installs every server and browser."""
    if os.environ.get("CI") and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("skipped tests are failures here, since CI is set", red=True)
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED
