"""A real browser for tests: Debian's chromium, which believes that every *.shop.example lives on loopback.

Where it is missing a test is skipped with the command that installs it, and fails where nothing may be skipped
(`CI` or `PIXELTWIN_NO_SKIP` set).
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

EXECUTABLE = Path("/usr/bin/chromium")
MISSING = f"{EXECUTABLE} is missing: apt-get install chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Nothing but loopback can be reached, whatever a page asks for.
    "--host-resolver-rules=MAP shop.example 127.0.0.1,MAP *.shop.example 127.0.0.1,"
    "MAP * ~NOTFOUND,EXCLUDE 127.0.0.1,EXCLUDE localhost",
]
# The pixel drops what a browser called HeadlessChrome does (PROTOCOL 3.9).
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"


# A browser belongs to the event loop it was started in: tests with the `chromium` fixture carry this mark.
in_browser = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all tests. Open contexts with `user_agent=USER_AGENT`, or their events go nowhere."""
    require_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=EXECUTABLE, args=ARGS)
        yield browser
        await browser.close()


def require_chromium() -> None:
    """Skip the test without a browser, or fail it where nothing may be skipped."""
    if EXECUTABLE.exists():
        return
    if os.environ.get("CI") or os.environ.get("PIXELTWIN_NO_SKIP"):
        pytest.fail(MISSING)
    pytest.skip(MISSING)
