"""A full-size checkpoint on a GPU, in each arrangement once for the whole run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Measured = Callable[[str], dict[str, Any]]
HERE = Path(__file__).parent


def python() -> str:
    """The Python that has vLLM."""
    return os.environ.get("GEMMA_TUI_TEST_PYTHON", sys.executable)


@pytest.fixture(scope="session")
def checkpoint() -> str:
    """Folder of an NVFP4A16 checkpoint of Gemma 4 E2B's size."""
    folder = os.environ.get("GEMMA_TUI_TEST_CHECKPOINT")
    if folder is None:
        pytest.fail("GEMMA_TUI_TEST_CHECKPOINT must name the folder of a full-size NVFP4A16 checkpoint")
    return folder


@pytest.fixture(scope="session")
def measured(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """What `arrangement.py` wrote for an arrangement; each is measured once, in one run."""
    folder = Path(os.environ.get("GEMMA_TUI_TEST_OUT") or tmp_path_factory.mktemp("gpu"))

    def measure(name: str) -> dict[str, Any]:
        out = folder / f"{name}.json"
        if not out.exists():
            subprocess.run([python(), str(HERE / "arrangement.py"), name, checkpoint, str(out)], check=True)
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    return measure
