"""Reading headers: agreement with the safetensors library, and what damaged files get."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gemma_backend.checkpoint.header import read_checkpoint, read_header
from gemma_backend.types import BadInput
from stubs import checkpoints


def test_it_agrees_with_the_library(tmp_path: Path) -> None:
    wanted = {
        "a": np.arange(12, dtype=np.float32).reshape(3, 4),
        "b": np.array(7, np.int64),
        "c": np.zeros((0, 5), np.float16),
        "d": np.arange(6, dtype=np.uint8),
    }
    save_file(wanted, tmp_path / "x.safetensors")
    found = read_header(tmp_path / "x.safetensors")
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        assert found[name].shape == values.shape
        assert np.array_equal(found[name].read(), values)


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(checkpoints.CONFIG))
    checkpoints.write_safetensors(tmp_path / "model-1.safetensors", {"b": checkpoints.bf16(np.ones(4))})
    checkpoints.write_safetensors(tmp_path / "model-2.safetensors", {"a": checkpoints.bf16(np.ones((2, 3)))})
    found = read_checkpoint(tmp_path)
    assert list(found.tensors) == ["a", "b"]
    assert found.nbytes == 20
    assert found.architecture == "Gemma4ForConditionalGeneration"
    index = {"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-3.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BadInput, match="lacks 1 tensors"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, ""),
        ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}, "NVFP4"),
        ({"quantization_config": {"quantization": {"quant_algo": "W4A16_NVFP4"}}}, "W4A16_NVFP4"),
        ({"quantization_config": {"quant_method": "gptq"}}, "gptq"),
    ],
)
def test_the_quantisation_is_found_wherever_tools_write_it(tmp_path: Path, config: dict, wanted: str) -> None:
    checkpoints.checkpoint(tmp_path, {"a": checkpoints.bf16(np.ones(1))}, config)
    assert read_checkpoint(tmp_path).quantization == wanted


def _header(entry: object) -> bytes:
    text = json.dumps({"a": entry}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        b"\xff" * 64,
        struct.pack("<Q", 10) + b"{]         ",
        struct.pack("<Q", 2) + b"[]",
        _header({"dtype": "F32"}),
        _header({"dtype": "F31", "shape": [2], "data_offsets": [0, 8]}),
        _header({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}),
        _header({"dtype": "F32", "shape": [-2, -1], "data_offsets": [0, 8]}),
        _header({"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}),
        _header({"dtype": "F32", "shape": [float("inf")], "data_offsets": [0, 8]}),
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
)
def test_a_damaged_file_gets_one_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        read_header(path)
    assert "again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pipe_is_no_weights_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(BadInput, match="no safetensors file"):
        read_header(tmp_path / "model.safetensors")


def test_folders_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no config\.json"):
        read_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BadInput, match="JSON"):
        read_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="lacks weights"):
        read_checkpoint(tmp_path)
