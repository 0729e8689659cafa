"""A history in a folder of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gemma_backend.store.history import History


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened = History(tmp_path / "history")
    yield opened
    assert opened.close()
