"""A data folder of one's own, and pip set up for the tiny index alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.runtime.tiny_wheels import TinyIndex, make_index


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data, state and log folders below a temporary one; returns that."""
    for kind in ("DATA", "STATE", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / "home" / kind.lower()))
    return tmp_path / "home"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyIndex:
    """The tiny index, and pip reading no configuration but this."""
    made = make_index(tmp_path / "index")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.wheels))
    return made
