"""Small checkpoints written byte by byte, without the library that the program's reader is meant to agree with."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemma_backend.checkpoint import nvfp4

CONFIG: dict[str, Any] = {"architectures": ["Gemma4ForConditionalGeneration"], "tie_word_embeddings": True}
Array = npt.NDArray[Any]


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, Array]]) -> None:
    """Write `tensors` (name -> safetensors type and bits) as one file, in the order given."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, (dtype, values) in tensors.items():
        raw = np.ascontiguousarray(values).tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def bf16(values: Array) -> tuple[str, Array]:
    """`values` as a BF16 tensor."""
    return "BF16", nvfp4.to_bf16(np.asarray(values, np.float32))


def checkpoint(folder: Path, tensors: Mapping[str, tuple[str, Array]], config: Mapping[str, Any] = CONFIG) -> Path:
    """A checkpoint folder with one shard."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    write_safetensors(folder / "model.safetensors", tensors)
    return folder


def source_tensors(seed: int = 0, width: int = 128) -> dict[str, tuple[str, Array]]:
    """A text layer, a tower, an embedding and a norm of a Gemma 4 model, in BF16."""
    stream = np.random.default_rng(seed)
    shapes = {
        "model.language_model.layers.0.self_attn.q_proj.weight": (128, width),
        "model.language_model.layers.0.self_attn.k_proj.weight": (64, width),
        "model.language_model.layers.0.self_attn.v_proj.weight": (64, width),
        "model.language_model.layers.0.mlp.down_proj.weight": (width, 256),
        "model.language_model.embed_tokens.weight": (32, width),
        "model.language_model.norm.weight": (width,),
        "model.vision_tower.encoder.layers.0.mlp.up_proj.linear.weight": (64, 64),
        "model.audio_tower.layers.0.ffw.input_max": (),
    }
    return {name: bf16(stream.standard_normal(shape)) for name, shape in shapes.items()}


def quantise(values: Array, global_scale: float) -> dict[str, tuple[str, Array]]:
    """`values` rounded to the nearest NVFP4 numbers, by searching all of them: slow and plain."""
    groups = values.astype(np.float64).reshape(*values.shape[:-1], -1, 16)
    table = nvfp4.e4m3_table()[:127].astype(np.float64)
    wanted = np.abs(groups).max(-1) / 6 / global_scale
    scale = np.abs(wanted[..., None] - table).argmin(-1).astype(np.uint8)
    scale[table[scale] == 0] = 1
    place = np.abs(groups) / (table[scale] * np.float64(np.float32(global_scale)))[..., None]
    codes = np.abs(place[..., None] - nvfp4.E2M1).argmin(-1).astype(np.uint8)
    codes |= np.where(groups < 0, 8, 0).astype(np.uint8)
    return {
        ".weight": ("U8", nvfp4.pack(codes.reshape(values.shape))),
        ".weight_scale": ("F8_E4M3", scale),
        ".weight_scale_2": ("F32", np.array(global_scale, np.float32)),
    }


def quantised_tensors(source: Mapping[str, tuple[str, Array]]) -> dict[str, tuple[str, Array]]:
    """`source` with its text layers rounded, one global scale for all."""
    made: dict[str, tuple[str, Array]] = {}
    for name, tensor in source.items():
        if ".layers.0.self_attn." in name or ".layers.0.mlp.down_proj" in name:
            values = nvfp4.from_bf16(tensor[1])
            made |= {name.removesuffix(".weight") + end: each for end, each in quantise(values, 0.002).items()}
        else:
            made[name] = tensor
    return made


QUANTISED_CONFIG: dict[str, Any] = {
    **CONFIG,
    "quantization_config": {"quant_method": "modelopt", "quant_algo": "W4A16_NVFP4"},
}
