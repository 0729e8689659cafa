"""Endpoints are remembered, keys never."""

from __future__ import annotations

from pathlib import Path

import pytest

from gemma_backend.endpoint.recent import KEPT, Recent, recent, remember
from gemma_backend.types import Endpoint


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def test_the_last_one_comes_first_and_only_once(state: Path) -> None:
    assert recent() == []
    remember(Endpoint("http://a", api_key="sesame"), "m1")
    remember(Endpoint("http://localhost", socket="/run/s"), "m2")
    remember(Endpoint("http://a"), "m3")
    assert recent() == [Recent("http://a", "m3"), Recent("unix:/run/s", "m2")]
    file = state / "endpoints.json"
    assert "sesame" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert state.stat().st_mode & 0o077 == 0


def test_the_list_stays_short() -> None:
    for number in range(KEPT + 5):
        remember(Endpoint(f"http://host{number}"))
    assert len(recent()) == KEPT
    assert recent()[0].url == f"http://host{KEPT + 4}"


@pytest.mark.parametrize("content", [b"", b"{", b"5", b'[5, {"url": 7}, null]', b"\xff"])
def test_a_damaged_file_is_an_empty_list(content: bytes, state: Path) -> None:
    state.mkdir()
    (state / "endpoints.json").write_bytes(content)
    assert recent() == []
    remember(Endpoint("http://a"))
    assert recent() == [Recent("http://a")]


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(file / "below"))
    remember(Endpoint("http://a"))
    assert recent() == []
