"""What every test may use."""

import os

import pytest
from hypothesis import settings

# Half of hypothesis's own number, so that all tests end in a quarter of an hour; PIXELTWIN_EXAMPLES=1000 is surer.
settings.register_profile("ours", max_examples=int(os.environ.get("PIXELTWIN_EXAMPLES", "50")))
settings.load_profile("ours")

# Where the environment keeps Python from remembering what it compiled, most of every start would be compiling again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """On CI nothing may be skipped: `.ci/run` installs every server and browser."""
    if os.environ.get("CI") and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("skipped tests are failures here, since CI is set", red=True)
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED
