"""A sandbox Meta in a process of its own, one for each file of tests."""

from collections.abc import Iterator

import pytest
from tests.processes import Meta, sandbox


@pytest.fixture(scope="module")
def one_meta(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meta]:
    with sandbox(tmp_path_factory.mktemp("meta")) as started:
        yield started


@pytest.fixture
def meta(one_meta: Meta) -> Meta:
    """The sandbox, with nothing seen."""
    one_meta.forget()
    return one_meta
