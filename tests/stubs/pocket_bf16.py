"""The bundled pocket checkpoint in BF16: what its NVFP4 numbers stand for, as the weights behind them don't ship."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from gemma_assets import path as asset
from gemma_backend.checkpoint import nvfp4
from gemma_backend.checkpoint.header import read_checkpoint
from stubs.checkpoints import Array, bf16, write_safetensors

LEFT = ("README.md", "quantize.json", "quantize.py", "hf_quant_config.json", "config.json", "model.safetensors")


def unpacked(folder: Path) -> Path:
    """Write the checkpoint into `folder` and return it."""
    bundled = read_checkpoint(asset("pocket"))
    folder.mkdir(parents=True)
    tensors: dict[str, tuple[str, Array]] = {}
    for name, tensor in bundled.tensors.items():
        stem = name.removesuffix(".weight")
        if f"{stem}.weight_scale" in bundled.tensors and name.endswith(".weight"):
            scale, top = (bundled.tensors[stem + end].read() for end in (".weight_scale", ".weight_scale_2"))
            tensors[name] = bf16(nvfp4.decode(tensor.read(), scale, float(np.atleast_1d(top)[0])))
        elif not name.endswith((".weight_scale", ".weight_scale_2", ".input_scale")):
            tensors[name] = (tensor.dtype, tensor.read().reshape(tensor.shape))
    write_safetensors(folder / "model.safetensors", tensors)
    config = {key: value for key, value in bundled.config.items() if key != "quantization_config"}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    for path in asset("pocket").iterdir():
        if path.name not in LEFT:
            shutil.copyfile(path, folder / path.name)
    return folder
