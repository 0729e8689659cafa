"""Folders of their own for engines that run on the stand-in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gemma_backend.config.profiles import Profile
from gemma_backend.engine import record as records
from stubs.engine_python import stand_in_runtime


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """State, cache and log folders below a temporary one; engines that a test left are ended."""
    for kind in ("STATE", "CACHE", "LOG", "DATA", "CONFIG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind.lower()))
    short = tmp_path / "t"
    short.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(short) if len(str(short)) < 40 else None)
    yield tmp_path
    for record in records.records():
        records.stop(record)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder that looks like a checkpoint from outside."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def profile(checkpoint: Path) -> Profile:
    return Profile(name="small", checkpoint=str(checkpoint), flags={"max-model-len": 128, "enforce-eager": True})


@pytest.fixture
def runtime(tmp_path: Path) -> Any:
    folder = tmp_path / "runtime"
    folder.mkdir()
    return stand_in_runtime(folder)
