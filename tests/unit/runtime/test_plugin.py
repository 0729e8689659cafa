"""The folder that brings our package into an engine."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gemma_backend.runtime import plugin
from gemma_backend.types import EngineError


def test_it_holds_our_package_and_its_entry_points_and_nothing_else(home: Path) -> None:
    folder = plugin.write_plugin_folder()
    assert sorted(path.name for path in folder.iterdir()) == ["gemma_in_engine", "gemma_in_engine-1.dist-info"]
    ask = "from importlib.metadata import entry_points as e; print(*(p.value for p in e(group='vllm.general_plugins')))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", ask], env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == list(plugin.ENTRY_POINTS.values())
    for value in plugin.ENTRY_POINTS.values():
        module, _, function = value.partition(":")
        source = folder / (module.replace(".", "/") + ".py")
        assert f"def {function}(" in source.read_text()


def test_many_at_once_get_the_same_whole_folder(home: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: plugin.write_plugin_folder(), range(32)))
    assert len(folders) == 1
    assert [path.name for path in (home / "state" / "plugin").iterdir()] == [folders.pop().name]


def test_a_state_folder_that_cannot_be_made_is_one_sentence(home: Path) -> None:
    home.mkdir()
    (home / "state").write_text("a file")
    with pytest.raises(EngineError, match=r"cannot be made \(Not a directory\): .*GEMMA_TUI_STATE_DIR"):
        plugin.write_plugin_folder()
