import pytest

from tests.admin.factories import View
from tests.browser import chromium

__all__ = ["chromium"]


@pytest.fixture
def view() -> View:
    return View()
