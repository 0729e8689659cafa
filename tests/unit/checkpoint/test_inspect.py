"""What is told of a checkpoint from its headers, on full-size ones and on small ones with one thing changed."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemma_backend.checkpoint.header import Tensor, read_checkpoint
from gemma_backend.checkpoint.hub import remote_checkpoint
from gemma_backend.checkpoint.inspect import MISTAKEN, inspect
from gemma_backend.types import EngineError, UsageError
from gemma_tui.cli.main import main
from stubs import checkpoints
from stubs.full_size import expanded
from stubs.hub_server import Hub, hub

PARTS = {
    "text linears": 1876.8,
    "token embedding": 402.7,
    "per-layer table": 2348.8,
    "vision": 168.5,
    "audio": 307.2,
}


@pytest.mark.parametrize("name", ["e2b-bf16", "e2b-nvfp4a16"])
def test_parameters_by_part(tmp_path: Path, name: str) -> None:
    found = inspect(expanded(name, tmp_path))
    assert {part: round(found.parameters[part] / 1e6, 1) for part in PARTS} == PARTS
    assert sum(found.bytes_by_part.values()) == sum(found.bytes_by_dtype.values()) == found.nbytes
    assert found.architecture == "Gemma4ForConditionalGeneration"
    assert found.context == 131_072
    assert found.transformers == "5.5"


def test_a_quantised_checkpoint(tmp_path: Path) -> None:
    found = inspect(expanded("e2b-nvfp4a16", tmp_path))
    assert (found.quantization, found.weight_only) == ("W4A16_NVFP4", True)
    assert "model.audio_tower*" in found.excluded
    assert list(found.bytes_by_dtype)[:3] == ["BF16", "U8", "F8_E4M3"]
    assert found.quantised_layers == 276
    assert found.unquantised == ()
    assert found.marlin_refuses == {}
    assert found.notes == ()


def changed(tmp_path: Path, tensors: dict[str, Any] | None = None, algorithm: str = "W4A16_NVFP4") -> Path:
    """A small quantised checkpoint with more tensors, or another name for what it is."""
    config = {**checkpoints.CONFIG, "quantization_config": {"quant_method": "modelopt", "quant_algo": algorithm}}
    made = checkpoints.quantised_tensors(checkpoints.source_tensors())
    return checkpoints.checkpoint(tmp_path, made | (tensors or {}), config)


def test_weights_alone_are_told_from_weights_and_activations_whatever_the_name(tmp_path: Path) -> None:
    layer = "model.language_model.layers.0.self_attn.q_proj"
    only = inspect(read_checkpoint(changed(tmp_path / "a", algorithm="NVFP4")))
    assert only.weight_only is True
    assert only.notes == (MISTAKEN,)
    scale = {f"{layer}.input_scale": ("F32", np.array(1, np.float32))}
    both = inspect(read_checkpoint(changed(tmp_path / "b", scale, "NVFP4")))
    assert both.weight_only is False
    assert both.notes == ()
    assert inspect(read_checkpoint(changed(tmp_path / "c"))).notes == ()


def test_layers_left_in_16_bit_and_shapes_that_marlin_refuses_are_named(tmp_path: Path) -> None:
    plain = "model.language_model.layers.1.mlp.down_proj"
    odd = "model.language_model.layers.1.per_layer_input_gate"
    values = np.ones((40, 64), np.float32)
    more = {f"{plain}.weight": checkpoints.bf16(np.ones((128, 64), np.float32))}
    more |= {odd + end: each for end, each in checkpoints.quantise(values, 0.002).items()}
    found = inspect(read_checkpoint(changed(tmp_path, more)))
    assert found.unquantised == (plain,)
    assert found.marlin_refuses == {odd: (40, 64)}


def test_ten_gigabytes_are_told_of_from_their_headers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expanded("e2b-bf16", tmp_path)
    read: list[int] = []
    monkeypatch.setattr(Tensor, "read", lambda tensor: read.append(tensor.nbytes))
    assert main(["model", "inspect", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["per-layer table"] == 262_144 * 35 * 256
    assert main(["model", "inspect", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "per-layer table        2,348.8 M" in text
    assert "quantization    none" in text
    assert not read


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Hub]:
    folder = changed(tmp_path / "source")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with hub(files) as running:
        yield running


def test_a_repository_is_inspected_by_its_headers(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    found = remote_checkpoint("owner/model", endpoint=server.url)
    here = read_checkpoint(tmp_path / "source")
    assert inspect(found) == inspect(here)
    asked = [rest for path, rest in server.requests if path == "GET /owner/model/resolve/main/model.safetensors"]
    assert asked == ["bytes=0-100000"]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        ((403, "GatedRepo"), UsageError, "accept its terms at"),
        ((404, "RepoNotFound"), UsageError, "no repository owner/model"),
        ((500, ""), EngineError, "HTTP 500"),
    ],
)
def test_refusals_are_sentences(server: Hub, refusal: tuple[int, str], kind: type[Exception], words: str) -> None:
    server.refuse = refusal
    with pytest.raises(kind, match=words):
        remote_checkpoint("owner/model", endpoint=server.url)


def test_a_repository_without_safetensors_is_refused(server: Hub) -> None:
    del server.files["model.safetensors"]
    with pytest.raises(UsageError, match="no safetensors"):
        remote_checkpoint("owner/model", endpoint=server.url)


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(8)


def entry(**fields: object) -> bytes:
    return header(json.dumps({"a": fields}).encode())


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"1234567",
        header(b"{}", 1 << 40),
        header(b'{"a": {"dtype": "F32", "sha'),
        header(b"\xff\xfe"),
        header(b"[1, 2]"),
        header(b"[" * 50_000),
        header(b'{"a": 3}'),
        entry(dtype="F32", shape=["x"], data_offsets=[0, 8]),
        entry(dtype="F32", shape=[2], data_offsets=[1]),
        entry(dtype="F32", shape=[2], data_offsets=[-8, 0]),
        entry(dtype="F32", shape=[1 << 62, 1 << 62], data_offsets=[0, 8]),
        entry(dtype=["F32"], shape=[2], data_offsets=[0, 8]),
        entry(dtype="F33", shape=[2], data_offsets=[0, 8]),
    ],
)
def test_headers_at_the_hub_that_are_none_are_one_sentence(server: Hub, weights: bytes) -> None:
    server.files["model.safetensors"] = weights
    with pytest.raises(EngineError, match=r"The headers of owner/model are damaged") as caught:
        remote_checkpoint("owner/model", endpoint=server.url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("description", [b"<html>Sign in", b"[]", b"null", b"[" * 50_000])
def test_an_answer_that_is_no_hubs_is_one_sentence(server: Hub, description: bytes) -> None:
    server.description = description
    with pytest.raises(EngineError, match="does not answer like a model hub"):
        remote_checkpoint("owner/model", endpoint=server.url)
