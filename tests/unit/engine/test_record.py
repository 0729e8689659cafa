"""Where engines' folders are made, and that nothing of them stays."""

from pathlib import Path

import pytest

from gemma_backend.engine import record
from gemma_backend.engine.place import new_folder
from gemma_backend.engine.reap import Remains, sweep


def test_the_folder_of_all_engines_goes_with_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path))
    first, second = new_folder("aaaa"), new_folder("bbbb")
    root = first.parent
    assert sweep(Remains("aaaa", str(first))) == []
    assert root.is_dir()
    assert sweep(Remains("bbbb", str(second))) == []
    assert not root.exists()
    assert new_folder("cccc").is_dir()
    assert sweep(Remains("cccc", str(root / "cccc"))) == []
    record.clean_stale()
    assert not root.exists()
