"""Finding checkpoints, and the sentence where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gemma_backend.checkpoint.locate import has_chat_template, locate
from gemma_backend.types import BadInput, EngineError


def test_a_folder_and_what_it_may_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, said in (("none", "There is no checkpoint"), ("file", "is a file"), ("bare", "no config.json")):
        path = tmp_path / name
        if name == "file":
            path.write_text("x")
        if name == "bare":
            path.mkdir()
        with pytest.raises(BadInput, match=said):
            locate(str(path))
    folder = tmp_path / "bare"
    (folder / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="lacks weights"):
        locate(str(folder))
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-1.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="lacks weights"):
        locate(str(folder))
    (folder / "model-2.safetensors").write_bytes(b"")
    assert locate(str(folder)) == folder
    monkeypatch.chdir(tmp_path)
    assert locate("bare") == folder and locate("./bare") == folder


def test_a_repository_that_is_not_here_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EngineError, match="model pull some-owner/some-model"):
        locate("some-owner/some-model")


def test_the_bundled_checkpoint_is_a_base_model() -> None:
    folder = locate("bundled:pocket")
    assert (folder / "config.json").is_file()
    assert not has_chat_template(folder)
    with pytest.raises(EngineError, match="bundled"):
        locate("bundled:nothing")


def test_chat_templates_are_seen_wherever_they_stand(tmp_path: Path) -> None:
    assert not has_chat_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ x }}"}')
    assert has_chat_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[")
    assert not has_chat_template(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ x }}")
    assert has_chat_template(tmp_path)
