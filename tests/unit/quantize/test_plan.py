"""The plan is what ModelOpt then does: checked on headers of a full-size checkpoint that was really quantised."""

from __future__ import annotations

import lzma
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from gemma_backend.checkpoint.header import Checkpoint, read_checkpoint
from gemma_backend.quantize import room
from gemma_backend.quantize.plan import FORMATS, PER_LAYER, Options, plan
from gemma_backend.types import BadInput
from stubs import checkpoints

FIXTURES = Path(__file__).parents[2] / "fixtures" / "checkpoints"


def full_size(name: str, folder: Path) -> Checkpoint:
    """A checkpoint with the true header and a sparse body of the true size."""
    header = lzma.decompress((FIXTURES / name / "model.safetensors.header.json.xz").read_bytes())
    folder.mkdir()
    shutil.copy(FIXTURES / name / "config.json", folder)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(12_000_000_000)
    return read_checkpoint(folder)


@pytest.fixture(scope="module")
def e2b(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return full_size("e2b-bf16", tmp_path_factory.mktemp("full") / "e2b-bf16")


def test_a_full_size_e2b_comes_out_as_modelopt_made_it(e2b: Checkpoint, tmp_path: Path) -> None:
    made = full_size("e2b-nvfp4a16", tmp_path / "made")
    planned = plan(e2b, Options())
    assert planned.after == made.nbytes
    assert set(planned.layers) == {
        name.removesuffix(".weight_scale") for name in made.tensors if name.endswith(".weight_scale")
    }
    assert planned.before == 10_208_596_934
    assert sum(part.before for part in planned.parts) == planned.before
    rounded = sum(part.parameters for part in planned.parts if part.quantised)
    assert rounded == 1_876_819_968
    table = next(part for part in planned.parts if part.name == "per-layer embedding table")
    assert (table.quantised, table.parameters) == (False, 2_348_810_240)


def test_w4a4_adds_a_scale_for_each_layer(e2b: Checkpoint) -> None:
    weights, both = plan(e2b, Options()), plan(e2b, Options(format="nvfp4"))
    assert both.after - weights.after == 4 * len(weights.layers)
    assert any("Weights alone" in note for note in weights.notes)
    assert any("the bundled text, with the bundled pictures and clips" in note for note in both.notes)
    alone = plan(e2b, Options(format="nvfp4", media=False))
    assert any("Text alone is shown" in note for note in alone.notes)


def test_a_search_by_inputs_calibrates_and_another_does_not(e2b: Checkpoint) -> None:
    plain, near, weighed = (plan(e2b, Options(scales=each)) for each in ("max", "mse", "hessian"))
    assert (plain.options.calibrates, near.options.calibrates, weighed.options.calibrates) == (False, False, True)
    assert plain.memory == near.memory < weighed.memory <= 1.5 * e2b.nbytes
    assert any("weights of errors come from the bundled text" in note for note in weighed.notes)


def test_what_is_excluded_stays(e2b: Checkpoint) -> None:
    fewer = plan(e2b, Options(exclude=PER_LAYER))
    assert not [layer for layer in fewer.layers if "per_layer" in layer]
    assert 0.005 < (fewer.after - plan(e2b, Options()).after) / fewer.after < 0.015
    with pytest.raises(BadInput, match="Nothing is left"):
        plan(e2b, Options(exclude=("*",)))


def test_keys_and_values_that_no_layer_reads_are_left_out(tmp_path: Path) -> None:
    text = {"num_hidden_layers": 2, "num_kv_shared_layers": 1}
    config = {**checkpoints.CONFIG, "text_config": text}
    tensors = {
        f"model.language_model.layers.{layer}.self_attn.{name}_proj.weight": checkpoints.bf16(np.ones((64, 128)))
        for layer in (0, 1)
        for name in "qkv"
    }
    planned = plan(read_checkpoint(checkpoints.checkpoint(tmp_path / "a", tensors, config)), Options())
    assert len(planned.layers) == 4
    assert any(note.startswith("2 tensors have no use") for note in planned.notes)


def test_a_gemma_3_text_model_is_planned_too(tmp_path: Path) -> None:
    tensors = {
        "lm_head.weight": checkpoints.bf16(np.ones((32, 128))),
        "model.embed_tokens.weight": checkpoints.bf16(np.ones((32, 128))),
        "model.layers.0.mlp.gate_proj.weight": checkpoints.bf16(np.ones((100, 128))),
        "model.layers.0.input_layernorm.weight": checkpoints.bf16(np.ones(128)),
    }
    config = {"architectures": ["Gemma3ForCausalLM"]}
    planned = plan(read_checkpoint(checkpoints.checkpoint(tmp_path / "a", tensors, config)), Options())
    assert planned.layers == ("model.layers.0.mlp.gate_proj",)
    assert any("Marlin" in note for note in planned.notes)


@pytest.mark.parametrize(
    ("config", "tensors", "wanted"),
    [
        (checkpoints.QUANTISED_CONFIG, checkpoints.source_tensors(), "quantised already"),
        ({"architectures": ["LlamaForCausalLM"]}, checkpoints.source_tensors(), "no Gemma checkpoint"),
        ({}, checkpoints.source_tensors(), "no Gemma checkpoint"),
        (checkpoints.CONFIG, {"a.weight": ("U8", np.zeros((2, 16), np.uint8))}, "no BF16"),
        (checkpoints.CONFIG, checkpoints.source_tensors(width=120), "does not divide"),
        (
            checkpoints.CONFIG,
            checkpoints.source_tensors() | {"model.language_model.norm.weight": ("I32", np.zeros(4, np.int32))},
            "norm.weight has the type I32: give the checkpoint in BF16",
        ),
    ],
)
def test_what_can_not_be_quantised_is_refused(tmp_path: Path, config: dict, tensors: dict, wanted: str) -> None:
    with pytest.raises(BadInput, match=wanted):
        plan(read_checkpoint(checkpoints.checkpoint(tmp_path / "a", tensors, config)), Options())


def test_too_little_room_is_refused_before_any_work(e2b: Checkpoint, tmp_path: Path) -> None:
    planned = plan(e2b, Options())
    with pytest.raises(BadInput, match=r"7\.6 GB of disk"):
        room.refuse_room(planned, tmp_path / "made", disk=7_500_000_000, memory=1 << 40)
    with pytest.raises(BadInput, match=r"11\.4 GB of memory"):
        room.refuse_room(plan(e2b, Options(format="nvfp4")), tmp_path / "made", disk=1 << 40, memory=11_000_000_000)
    room.refuse_room(planned, tmp_path / "a" / "b" / "made", disk=1 << 40, memory=2_000_000_000)


def test_targets_that_would_lose_something_are_refused(tmp_path: Path) -> None:
    source = checkpoints.checkpoint(tmp_path / "source", checkpoints.source_tensors())
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    for target, wanted in ((full, "not empty"), (full / "notes.txt", "is a file"), (source / "made", "inside")):
        with pytest.raises(BadInput, match=wanted):
            room.refuse_target(source, target)
    (tmp_path / "empty").mkdir()
    room.refuse_target(source, tmp_path / "empty")
    room.refuse_target(source, tmp_path / "new")


def test_a_missing_tokenizer_is_told_and_refused_where_texts_are_shown(tmp_path: Path) -> None:
    source = checkpoints.checkpoint(tmp_path / "source", checkpoints.source_tensors())
    (source / "tokenizer.json").unlink(missing_ok=True)
    plain, shown = (plan(read_checkpoint(source), Options(format=form)) for form in FORMATS)
    assert any("No tokenizer" in note for note in plain.notes)
    room.refuse_tokenizer(plain)
    with pytest.raises(BadInput, match="holds no tokenizer, which calibrating needs"):
        room.refuse_tokenizer(shown)
    (source / "tokenizer.json").write_text("{}")
    room.refuse_tokenizer(shown)
    assert not any("No tokenizer" in note for note in plan(read_checkpoint(source), Options()).notes)
