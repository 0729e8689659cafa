"""Verifying finds each thing that can be wrong with a quantised checkpoint, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemma_backend.checkpoint import nvfp4
from gemma_backend.checkpoint.header import read_checkpoint
from gemma_backend.checkpoint.verify import Report, verify
from gemma_backend.types import BadInput
from gemma_tui.cli.main import main
from stubs import checkpoints

Q = "model.language_model.layers.0.self_attn.q_proj"
Tensors = dict[str, tuple[str, Any]]


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Report]:
    def run(spoil: Callable[[Tensors], None] = lambda _: None, config: dict[str, Any] | None = None) -> Report:
        source = checkpoints.source_tensors()
        made = checkpoints.quantised_tensors(source)
        spoil(made)
        checkpoints.checkpoint(tmp_path / "source", source)
        checkpoints.checkpoint(tmp_path / "made", made, config or checkpoints.QUANTISED_CONFIG)
        return verify(read_checkpoint(tmp_path / "made"), read_checkpoint(tmp_path / "source"))

    return run


@pytest.mark.parametrize("algorithm", ["W4A16_NVFP4", "NVFP4"])
def test_a_right_one_passes_under_both_names_of_the_format(check: Callable[..., Report], algorithm: str) -> None:
    config = {**checkpoints.CONFIG, "quantization_config": {"quant_method": "modelopt", "quant_algo": algorithm}}
    report = check(config=config)
    assert report.ok, report.problems
    assert (report.kept, report.rounded, report.clipped, report.uneven) == (4, 4, 0, 0)
    assert report.numbers == 128 * 128 + 2 * 64 * 128 + 128 * 256
    assert 0.9 < report.worst <= 1.0001
    assert 0.05 < report.error < 0.15


def _flip(name: str, place: tuple[int, ...], bits: int) -> Callable[[Tensors], None]:
    def spoil(made: Tensors) -> None:
        values = made[name][1].copy()
        values[place] ^= bits
        made[name] = (made[name][0], values)

    return spoil


def _drop(name: str) -> Callable[[Tensors], None]:
    return lambda made: made.pop(name) and None


def _set(name: str, value: tuple[str, Any]) -> Callable[[Tensors], None]:
    return lambda made: made.update({name: value})


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (_flip("model.language_model.norm.weight", (3,), 1), "norm.weight is not what it is in the source"),
        (_flip("model.language_model.embed_tokens.weight", (31, 127), 1), "embed_tokens.weight is not"),
        (_drop("model.audio_tower.layers.0.ffw.input_max"), "input_max is missing"),
        (_drop(f"{Q}.weight"), "q_proj.weight is missing"),
        (_drop(f"{Q}.weight_scale_2"), "lacks its packed weights or its global scale"),
        (_set("model.extra.weight", checkpoints.bf16(np.ones(3))), "extra.weight is not in the source"),
        (_set(f"{Q}.weight_scale_2", ("F32", np.array(np.inf, np.float32))), "not a positive finite number"),
        (_set(f"{Q}.weight_scale_2", ("F32", np.array(0, np.float32))), "not a positive finite number"),
        (_set(f"{Q}.weight_scale", ("F8_E4M3", np.full((128, 8), 0x7F, np.uint8))), "not finite"),
        (_set(f"{Q}.weight_scale", ("F8_E4M3", np.full((128, 7), 0x38, np.uint8))), "do not fit"),
        (_set(f"{Q}.input_scale", ("F32", np.array(np.nan, np.float32))), "input_scale is not a positive"),
        (_flip(f"{Q}.weight", (5, 5), 0x88), "2 numbers further than half a step"),
    ],
)
def test_each_fault_is_named(check: Callable[..., Report], spoil: Callable[[Tensors], None], wanted: str) -> None:
    report = check(spoil)
    assert any(wanted in problem for problem in report.problems), report.problems


def test_every_step_to_a_neighbouring_code_is_found(check: Callable[..., Report]) -> None:
    """Any number moved by one code is further off than half a step, save those that lay on the edge."""

    def spoil(made: Tensors) -> None:
        codes = nvfp4.unpack(made[f"{Q}.weight"][1])
        codes = np.where((codes & 7) < 7, codes + 1, codes - 1).astype(np.uint8)
        made[f"{Q}.weight"] = ("U8", nvfp4.pack(codes))

    problems = check(spoil).problems
    assert len(problems) == 1
    found = int(problems[0].split(" has ")[1].split()[0])
    # Codes 2 and 4 allow more on their far side than half of the smaller step, so a part of the moves stays inside.
    assert found > 0.6 * 128 * 128


def test_clipped_numbers_are_counted_apart(check: Callable[..., Report]) -> None:
    def spoil(made: Tensors) -> None:
        scale = made[f"{Q}.weight_scale"][1].copy()
        scale[0, 0] -= 8  # half of what it was
        made[f"{Q}.weight_scale"] = ("F8_E4M3", scale)

    assert check(spoil).clipped > 0


def test_differing_scales_of_a_merged_group_are_counted(check: Callable[..., Report]) -> None:
    def spoil(made: Tensors) -> None:
        values = nvfp4.from_bf16(checkpoints.source_tensors()[f"{Q}.weight"][1])
        made.update({Q + end: each for end, each in checkpoints.quantise(values, 0.003).items()})

    report = check(spoil)
    assert report.ok
    assert report.uneven == 1


def test_zero_groups_and_zero_layers_are_right(tmp_path: Path) -> None:
    source = checkpoints.source_tensors()
    values = nvfp4.from_bf16(source[f"{Q}.weight"][1]).copy()
    values[3] = 0
    values[:, 16:32] = 0
    source[f"{Q}.weight"] = checkpoints.bf16(values)
    checkpoints.checkpoint(tmp_path / "source", source)
    checkpoints.checkpoint(tmp_path / "made", checkpoints.quantised_tensors(source), checkpoints.QUANTISED_CONFIG)
    assert verify(read_checkpoint(tmp_path / "made"), read_checkpoint(tmp_path / "source")).ok


def test_what_can_not_be_compared_is_refused(tmp_path: Path) -> None:
    plain = read_checkpoint(checkpoints.checkpoint(tmp_path / "a", checkpoints.source_tensors()))
    made = checkpoints.quantised_tensors(checkpoints.source_tensors())
    done = read_checkpoint(checkpoints.checkpoint(tmp_path / "b", made, checkpoints.QUANTISED_CONFIG))
    with pytest.raises(BadInput, match="no NVFP4 checkpoint"):
        verify(plain, plain)
    with pytest.raises(BadInput, match="quantised itself"):
        verify(done, done)


def test_the_command_prints_and_its_code_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = checkpoints.source_tensors()
    checkpoints.checkpoint(tmp_path / "source", source)
    made = checkpoints.quantised_tensors(source)
    checkpoints.checkpoint(tmp_path / "made", made, checkpoints.QUANTISED_CONFIG)
    words = ["model", "verify", str(tmp_path / "made"), "--against", str(tmp_path / "source")]
    assert main(words) == 0
    assert "verified" in capsys.readouterr().out
    made["model.language_model.norm.weight"] = checkpoints.bf16(np.zeros(128))
    checkpoints.checkpoint(tmp_path / "made", made, checkpoints.QUANTISED_CONFIG)
    assert main([*words, "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["ok"] is False
