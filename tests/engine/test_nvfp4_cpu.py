"""The bundled NVFP4 checkpoint on the CPU runtime, against weights that this file dequantises by itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gemma_assets
from gemma_backend.config.profiles import PER_LAYER_TABLE
from gemma_backend.runtime.find import managed
from gemma_backend.runtime.plugin import write_plugin_folder

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

POCKET = gemma_assets.path("pocket")
PROBE = Path(__file__).with_name("nvfp4_probe.py")
SUFFIXES = (".weight_scale", ".weight_scale_2", ".input_scale")
# vLLM joins these projections in one layer, in this order (model_executor/models/gemma4.py).
FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
LIKELIEST = 20
TOLERANCE = 0.05


def read(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Tensors of a safetensors file: type, shape, bytes (https://github.com/huggingface/safetensors, "Format")."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    head.pop("__metadata__", None)
    found = {}
    for name, entry in head.items():
        start, end = (8 + size + offset for offset in entry["data_offsets"])
        found[name] = entry["dtype"], tuple(entry["shape"]), data[start:end]
    return found


def write(path: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    """The reverse of `read`."""
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (kind, shape, data) in tensors.items():
        head[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data for _, _, data in tensors.values()))


def e4m3(codes: np.ndarray) -> np.ndarray:
    """FP8 E4M3 to FP32: sign, four bits of exponent with bias 7, three of mantissa (arXiv 2209.05433, section 3)."""
    exponent, mantissa = (codes >> 3) & 15, (codes & 7).astype(np.float32)
    size = np.where(
        exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * np.exp2(exponent.astype(np.float32) - 7)
    )
    return np.where(codes >> 7, -size, size).astype(np.float32)


def bf16(values: np.ndarray) -> np.ndarray:
    """FP32 to the bits of BF16, to nearest, ties to even."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def dequantised(tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> dict[str, np.ndarray]:
    """Bits of BF16 of every quantised weight: E2M1 number x scale of its group of 16 x scale of the tensor."""
    numbers = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
    made = {}
    for name, (kind, shape, data) in tensors.items():
        if kind != "U8":
            continue
        stem = name.removesuffix(".weight")
        pairs = np.frombuffer(data, np.uint8).reshape(shape)
        codes = np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(shape[0], -1)
        _, scale_shape, scales = tensors[f"{stem}.weight_scale"]
        group = e4m3(np.frombuffer(scales, np.uint8)).reshape(scale_shape).repeat(16, axis=1)
        whole = np.frombuffer(tensors[f"{stem}.weight_scale_2"][2], np.float32)[0]
        made[name] = bf16(numbers[codes] * group * whole)
    return made


def write_bf16(folder: Path) -> None:
    """The bundled checkpoint with its quantised weights replaced by what this file makes of them."""
    shutil.copytree(POCKET, folder, ignore=shutil.ignore_patterns("*.safetensors", "hf_quant_config.json"))
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    tensors = read(POCKET / "model.safetensors")
    weights = dequantised(tensors)
    plain = {
        name: ("BF16", weights[name].shape, weights[name].tobytes()) if name in weights else tensor
        for name, tensor in tensors.items()
        if not name.endswith(SUFFIXES)
    }
    write(folder / "model.safetensors", plain)


def prompts(folder: Path) -> list[dict[str, str]]:
    """Three fixed prompts: text, text around a picture, text around a clip."""
    y, x = np.mgrid[0:96, 0:128]
    picture = np.stack([x * 2, y * 2, (x + y) % 256], axis=-1).astype(np.uint8)
    Image.fromarray(picture).save(folder / "picture.png")
    tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000) * 12000
    with wave.open(str(folder / "clip.wav"), "wb") as clip:
        clip.setnchannels(1)
        clip.setsampwidth(2)
        clip.setframerate(16000)
        clip.writeframes(tone.astype(np.int16).tobytes())
    return [
        {"text": "Once upon a time there was a small red fox that lived at the edge of the forest."},
        {"text": "Look at this: <|image|> It shows a shape.", "image": str(folder / "picture.png")},
        {"text": "Listen: <|audio|> That was a sound.", "audio": str(folder / "clip.wav")},
    ]


ROUND = """
import sys
import numpy as np, torch
from gemma_in_engine import nvfp4_cpu
given = np.load(sys.argv[1])
x = torch.from_numpy(given["x"]).bfloat16()
rounded = nvfp4_cpu.round_activations(x, torch.tensor(given["inverse"]))
scales = torch.repeat_interleave(torch.tensor([0.5, 0.001]), torch.tensor([2, 1])).unsqueeze(-1)
packed = torch.from_numpy(given["packed"])
weights = nvfp4_cpu.dequantize(packed, torch.ones(3, 2).to(torch.float8_e4m3fn), scales, torch.bfloat16)
np.savez(sys.argv[2], x=x.float().numpy(), rounded=rounded.float().numpy(), weights=weights.view(torch.int16).numpy())
"""


def nearest(values: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Each value's nearest among `allowed` (ascending); of two equally near the one at the even place."""
    distance = np.abs(values[..., None] - allowed)
    ties = distance == distance.min(axis=-1, keepdims=True)
    return allowed[np.argmax(ties * np.where(np.arange(len(allowed)) % 2 == 0, 2, 1), axis=-1)]


def test_activations_round_as_the_format_says_and_fused_parts_keep_their_scales(tmp_path: Path) -> None:
    runtime = managed("cpu")
    assert runtime is not None, "no CPU runtime: run `gemma-tui engine install --runtime cpu`"
    stream = np.random.default_rng(4)
    x = (stream.standard_normal((64, 96)) * np.exp(stream.uniform(-6, 3, (64, 1)))).astype(np.float32)
    x[0, :32] = [0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 6, -0.25, -0.75, -1.25, -1.75, -2.5, -3.5, -5] * 2
    x[1, :16] = 0
    # A group whose largest number is beyond what FP8 holds as a scale saturates.
    x[2, :16] = 40
    packed = stream.integers(0, 256, (3, 16), dtype=np.uint8)
    inverse = np.float32(448 * 6 / 24)
    np.savez(tmp_path / "given.npz", x=x, inverse=inverse, packed=packed)
    command = [str(runtime.python), "-c", ROUND, str(tmp_path / "given.npz"), str(tmp_path / "made.npz")]
    environment = {**os.environ, "PYTHONPATH": str(write_plugin_folder())}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = np.load(tmp_path / "made.npz")

    groups = made["x"].reshape(64, -1, 16)
    eighths = np.sort(e4m3(np.arange(127, dtype=np.uint8)))
    scale = nearest(np.minimum(np.abs(groups).max(-1) * (inverse / np.float32(6)), 448), eighths)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(scale > 0, groups * (inverse / scale), 0).astype(np.float32)
    numbers = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    expected = np.sign(groups) * nearest(np.abs(scaled), numbers) * scale
    assert np.array_equal(made["rounded"], expected.reshape(64, 96))

    signed = np.concatenate([numbers, -numbers])
    codes = np.stack([packed & 15, packed >> 4], -1).reshape(3, 32)
    parts = np.array([[0.5], [0.5], [0.001]], np.float32)
    assert np.array_equal(made["weights"].view(np.uint16), bf16(signed[codes] * parts))


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with what the probe wrote after loading both checkpoints, one after the other, in one process."""
    runtime = managed("cpu")
    if runtime is None:
        pytest.fail("no CPU runtime: run `gemma-tui engine install --runtime cpu`")
    folder = tmp_path_factory.mktemp("nvfp4")
    write_bf16(folder / "bf16")
    out = folder / "out"
    out.mkdir()
    job = {"checkpoints": {"nvfp4": str(POCKET), "bf16": str(folder / "bf16")}, "prompts": prompts(folder)}
    (folder / "job.json").write_text(json.dumps({**job, "out": str(out)}))
    environment = {
        **os.environ,
        "PYTHONPATH": str(write_plugin_folder()),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        PER_LAYER_TABLE: "host",
    }
    log = folder / "probe.log"
    with log.open("wb") as output:
        command = [str(runtime.python), str(PROBE), str(folder / "job.json")]
        done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, log.read_text("utf-8", "replace")[-6000:]
    return out


def test_every_quantised_layer_is_equal_bit_for_bit(probed: Path) -> None:
    expected = dequantised(read(POCKET / "model.safetensors"))
    seen: set[str] = set()
    loaded = sorted(probed.glob("*.npy"))
    for path in loaded:
        parent, _, last = path.stem.rpartition(".")
        names = [f"{parent}.{part}" for part in FUSED.get(last, (last,))]
        # vLLM calls the text model `language_model.model`, the file `model.language_model`.
        names = [name.replace("language_model.model.", "model.language_model.") + ".weight" for name in names]
        whole = np.concatenate([expected[name] for name in names])
        assert np.array_equal(np.load(path).view(np.uint16), whole), path.stem
        seen.update(names)
    assert seen == set(expected)


@pytest.mark.parametrize("prompt", [0, 1, 2], ids=["text", "image", "audio"])
def test_likeliest_tokens_agree_with_the_dequantised_checkpoint(probed: Path, prompt: int) -> None:
    ours, theirs = (np.load(probed / f"{name}.npz")[f"arr_{prompt}"] for name in ("nvfp4", "bf16"))
    assert ours.shape == theirs.shape
    # A picture stands for at least 70 positions and a second of sound for 25; the text prompt is shorter.
    assert ours.shape[0] > (10, 70, 25)[prompt]
    for one, other in ((ours, theirs), (theirs, ours)):
        top = np.argsort(-one, axis=1)[:, :LIKELIEST]
        apart = np.abs(np.take_along_axis(one, top, 1) - np.take_along_axis(other, top, 1))
        assert apart.max() <= TOLERANCE


@pytest.mark.parametrize("checkpoint", ["nvfp4", "bf16"])
def test_the_table_in_host_memory_gives_the_rows_of_the_file(probed: Path, checkpoint: str) -> None:
    (kind, shape, data) = read(POCKET / "model.safetensors")["model.language_model.embed_tokens_per_layer.weight"]
    assert kind == "BF16"
    given = np.load(probed / f"{checkpoint}-table.npz")
    assert np.array_equal(given["rows"].view(np.uint16), np.frombuffer(data, np.uint16).reshape(shape))
    assert given["shared"]
    said = (probed.parent / "probe.log").read_text("utf-8", "replace")
    assert said.count("The per-layer embedding table is in host memory: ") == 2
