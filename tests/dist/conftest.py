"""One build of everything that is handed out, and homes where nothing was installed before."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stubs.handed_out import Built

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built() -> Built:
    """`make dist`, once for the run."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "packaging")}
    subprocess.run([sys.executable, "-m", "dist"], cwd=ROOT, env=environment, check=True)
    return Built(ROOT / "dist")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a person whose home is empty; pip's and uv's own settings and caches stay."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GEMMA_TUI_", "PYTHON", "XDG_"))}
    real = Path.home()
    caches = {"PIP_CACHE_DIR": str(real / ".cache" / "pip"), "UV_CACHE_DIR": str(real / ".cache" / "uv")}
    if (real / ".config" / "pip" / "pip.conf").exists() and "PIP_CONFIG_FILE" not in kept:
        caches["PIP_CONFIG_FILE"] = str(real / ".config" / "pip" / "pip.conf")
    folder = tmp_path / "home"
    folder.mkdir()
    return kept | caches | {"HOME": str(folder), "LC_ALL": "C.UTF-8"}


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server that answers with text."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    words = [sys.executable, "-m", "stubs.openai_server", "--tokens", "20"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()
