"""Whether an NVFP4 checkpoint quantises activations too, and how it says so: releases of vLLM read that differently."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemma_backend.checkpoint.header import read_header
from gemma_backend.types import BadInput

W4A16 = "W4A16_NVFP4"
NVFP4 = "NVFP4"


@dataclass(frozen=True, slots=True)
class Fp4:
    """What a checkpoint says of its FP4 weights.

    `algorithm` is ModelOpt's `quant_algo`; `input_scales` whether there are scales for activations; `groups_say`
    whether every entry of `config_groups` has no input activations, None where there are no groups; `in_config` whether
    config.json holds it rather than hf_quant_config.json alone.
    """

    algorithm: str
    input_scales: bool
    groups_say: bool | None
    in_config: bool

    @property
    def weight_only(self) -> bool:
        """Whether activations stay in 16 bits."""
        return self.algorithm == W4A16 or (self.algorithm == NVFP4 and not self.input_scales)


def look_at(folder: Path) -> Fp4 | None:
    """What the checkpoint in `folder` says; None where it is no NVFP4 checkpoint or cannot be read."""
    config = _json(folder / "config.json").get("quantization_config")
    found = config if isinstance(config, dict) else _json(folder / "hf_quant_config.json")
    inner = found.get("quantization")
    said = inner if isinstance(inner, dict) else found
    algorithm = str(said.get("quant_algo") or "")
    if algorithm not in (W4A16, NVFP4):
        return None
    try:
        names = [name for file in sorted(folder.glob("*.safetensors")) for name in read_header(file)]
    except BadInput:
        return None
    groups = found.get("config_groups")
    says = None
    if isinstance(groups, dict) and groups:
        says = all(isinstance(one, dict) and not one.get("input_activations") for one in groups.values())
    return Fp4(algorithm, any(name.endswith(".input_scale") for name in names), says, isinstance(config, dict))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
