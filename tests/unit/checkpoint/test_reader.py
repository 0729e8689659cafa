"""Which transformers reads a config.json, and that the bundled checkpoint asks for no newer one than Gemma 4 itself."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from gemma_assets import path as asset
from gemma_backend.checkpoint.header import read_checkpoint
from gemma_backend.checkpoint.inspect import inspect
from gemma_backend.checkpoint.reader import need, need_of
from gemma_backend.engine import readable
from gemma_backend.runtime.found import Runtime
from gemma_backend.runtime.packages import Packages
from gemma_backend.types import EngineError

RUNTIME = Runtime("cuda-0.26.0", "managed", "cuda", Path(sys.executable), "0.26.0", Path("/env"))


def spelled(
    vision: str = "default", per_layer: dict[str, Any] | None = None, width: int | None = None
) -> dict[str, Any]:
    text = {"head_dim": 64} | ({"per_layer_config": per_layer} if per_layer else {})
    return {
        "model_type": "gemma4",
        "transformers_version": "5.19.0",
        "text_config": text | ({"global_head_dim": width} if width else {}),
        "vision_config": {"rope_parameters": {"rope_type": vision}},
    }


@pytest.mark.parametrize(
    ("config", "oldest"),
    [
        (spelled(), None),
        (spelled(vision="axial"), "5.17"),
        (spelled(per_layer={"1": {"head_dim": 128}}), "5.15"),
        (spelled(per_layer={"1": {"head_dim": 128}}, width=128), None),
        (spelled(per_layer={"1": {"head_dim": 512}}), None),
        (spelled(vision="axial", per_layer={"1": {"head_dim": 128}}), "5.17"),
        ({"model_type": "gemma4", "text_config": 3, "vision_config": None}, None),
        ({"model_type": "gemma4", "text_config": {"per_layer_config": [1]}}, None),
        ({"model_type": "gemma3_text", "transformers_version": "5.19.0"}, "5.19.0"),
        ({"model_type": 3, "transformers_version": 4}, None),
    ],
)
def test_what_a_config_asks_of_its_reader(config: dict[str, Any], oldest: str | None) -> None:
    found = need(config)
    assert (found.transformers if found else None) == oldest
    assert found is None or found.certain == (config["model_type"] == "gemma4")


def test_the_bundled_checkpoint_is_spelled_as_old_releases_read_it() -> None:
    checkpoint = read_checkpoint(asset("pocket"))
    assert need(checkpoint.config) is None
    assert inspect(checkpoint).transformers == "5.5"
    text = checkpoint.config["text_config"]
    for number, kind in enumerate(text["layer_types"]):
        norm = checkpoint.tensors[f"model.language_model.layers.{number}.self_attn.q_norm.weight"]
        assert norm.shape == (text["head_dim" if kind == "sliding_attention" else "global_head_dim"],)


def test_a_start_that_must_fail_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Packages("3.12", {"vllm": "0.26.0", "transformers": "5.10.4"})
    monkeypatch.setattr(readable, "packages", lambda _: held)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(spelled(vision="axial")))
    with pytest.raises(EngineError) as caught:
        readable.refuse_unreadable(folder, RUNTIME)
    said = str(caught.value)
    assert "\n" not in said
    assert "cuda-0.26.0 cannot serve mine: the checkpoint needs transformers 5.17 or newer" in said
    assert "the runtime has 5.10.4" in said and "vLLM 0.32 or newer" in said
    (folder / "config.json").write_text(json.dumps(spelled()))
    readable.refuse_unreadable(folder, RUNTIME)


def test_a_runtime_is_asked_only_where_it_could_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readable, "packages", lambda _: pytest.fail("asked"))
    shutil.copy(asset("pocket") / "config.json", tmp_path)
    readable.refuse_unreadable(tmp_path, RUNTIME)
    (tmp_path / "config.json").write_text("{")
    assert need_of(tmp_path) is None
    readable.refuse_unreadable(tmp_path, RUNTIME)


def test_what_a_runtime_does_not_tell_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps(spelled(vision="axial")))
    for held in (
        None,
        Packages(),
        Packages("3.12", {"transformers": "5.17.0"}),
        Packages("3.12", {"transformers": "x"}),
    ):
        monkeypatch.setattr(readable, "packages", lambda _, held=held: held)
        readable.refuse_unreadable(tmp_path, RUNTIME)
