"""The checkpoints on this machine, listed and removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from gemma_backend.checkpoint.stored import remove, stored, stored_as
from gemma_backend.types import UsageError
from gemma_tui.cli.main import main
from stubs import checkpoints


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of one's own with a checkpoint in the hub's cache, one cut short, one in the data folder."""
    for kind in ("DATA", "STATE", "CONFIG", "CACHE", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    tensors = checkpoints.source_tensors()
    repository = tmp_path / "hub" / "models--owner--model"
    whole = checkpoints.checkpoint(tmp_path / "made", tensors)
    snapshot, blobs = repository / "snapshots" / "abc", repository / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in whole.iterdir():
        path.rename(blobs / path.name)
        (snapshot / path.name).symlink_to(blobs / path.name)
    locks = tmp_path / "hub" / ".locks" / repository.name
    locks.mkdir(parents=True)
    (locks / "x.lock").touch()
    partial = tmp_path / "hub" / "models--owner--begun" / "blobs"
    partial.mkdir(parents=True)
    (partial / "abc.gemma-tui.incomplete").write_bytes(bytes(1000))
    # No checkpoints: a tokenizer, another kind of repository, and what a runtime's packages bring.
    (tmp_path / "hub" / "models--owner--tokenizer" / "blobs").mkdir(parents=True)
    (tmp_path / "hub" / "datasets--owner--data").mkdir()
    checkpoints.checkpoint(tmp_path / "data" / "runtimes" / "cpu" / "x", tensors)
    checkpoints.checkpoint(tmp_path / "data" / "checkpoints" / "mine", tensors)
    return tmp_path


def test_what_is_there_is_listed_with_its_size_and_last_use(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {one.name: one for one in stored()}
    mine = str(home / "data" / "checkpoints" / "mine")
    assert set(found) == {"owner/model", "owner/begun", mine}
    assert found["owner/model"].whole
    assert not found["owner/begun"].whole
    blobs = home / "hub" / "models--owner--model" / "blobs"
    # Links count nothing, what they lead to counts once.
    assert found["owner/model"].nbytes == sum(path.stat().st_size for path in blobs.iterdir())
    assert found["owner/model"].last_used == (blobs / "model.safetensors").stat().st_atime
    assert found["owner/begun"].last_used is None
    assert main(["model", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("not whole: pull it again")
    assert main(["model", "list", "--json"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} == set(found)


def test_removing_takes_all_of_it_and_nothing_else(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "remove", "owner/model", "--yes"]) == 0
    assert "owner/model was removed" in capsys.readouterr().out
    assert not (home / "hub" / "models--owner--model").exists()
    assert not (home / "hub" / ".locks" / "models--owner--model").exists()
    assert {one.name for one in stored()} == {"owner/begun", str(home / "data" / "checkpoints" / "mine")}
    remove(stored_as(str(home / "data" / "checkpoints" / "mine")))
    assert (home / "data" / "runtimes" / "cpu" / "x" / "config.json").exists()


def test_a_name_that_is_not_there_gets_the_nearest(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="did you mean 'owner/model'"):
        stored_as("owner/modle")
    # Only what is listed can be removed, whatever path is given.
    assert main(["model", "remove", str(home / "data"), "--yes"]) == 2
    assert main(["model", "remove", "/", "--yes"]) == 2
    assert main(["model", "remove", "owner/model"]) == 2
    assert "only after a yes" in capsys.readouterr().err
    assert len(stored()) == 3


def test_with_nothing_there_a_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GEMMA_TUI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert main(["model", "list"]) == 0
    assert "No checkpoint was found" in capsys.readouterr().out
