"""Folders that cannot be made: a sentence instead of a traceback, and a bug's report all the same."""

from pathlib import Path

import pytest

from gemma_backend.config.log import log_bug
from gemma_backend.config.paths import ensure
from gemma_backend.types import EngineError
from gemma_tui.cli.main import main


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match="cannot be made") as caught:
        ensure(tmp_path / "file" / "state")
    assert isinstance(caught.value, OSError)
    assert str(tmp_path) in str(caught.value)


def test_commands_end_with_the_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path / "file" / "state"))
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(tmp_path / "file" / "config"))
    monkeypatch.setenv("VISUAL", "true")
    assert main(["config", "edit"]) == 3
    assert "cannot be made" in capsys.readouterr().err
    # Where no folder can be made no engine runs.
    assert main(["engine", "status"]) == 0


def test_a_report_goes_elsewhere_where_the_log_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GEMMA_TUI_LOG_DIR", str(tmp_path / "file" / "log"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = log_bug(ValueError("secret"))
    assert path.parent == tmp_path
    assert path.stat().st_mode & 0o777 == 0o600
    assert "ValueError" in path.read_text() and "secret" not in path.read_text()
