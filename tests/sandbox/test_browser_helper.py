"""Tests that need a browser are skipped at home only (`tests/browser.py`)."""

from pathlib import Path

import pytest

from tests import browser


@pytest.mark.parametrize("variable", ["CI", "PIXELTWIN_NO_SKIP"])
def test_a_missing_browser_skips_at_home_and_fails_where_nothing_may_be_skipped(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setattr(browser, "EXECUTABLE", Path("/nonexistent/chromium"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("PIXELTWIN_NO_SKIP", raising=False)
    with pytest.raises(pytest.skip.Exception):
        browser.require_chromium()
    monkeypatch.setenv(variable, "1")
    with pytest.raises(pytest.fail.Exception):
        browser.require_chromium()
