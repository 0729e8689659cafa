"""What can be told of a checkpoint from its headers and config.json alone, however large it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gemma_backend.checkpoint import reader
from gemma_backend.checkpoint.gemma import merged_groups, whole_number
from gemma_backend.checkpoint.header import Checkpoint
from gemma_backend.checkpoint.parts import (
    ACTIVATION_SCALES,
    PARTS,
    bytes_by_dtype,
    bytes_by_part,
    is_scale,
    packed_layers,
    parameters,
    part_of,
)

# Marlin's tiles (vllm/model_executor/layers/quantization/utils/marlin_utils.py): outputs and inputs of a layer.
MARLIN_N = 64
MARLIN_K = 128
MISTAKEN = (
    "quant_algo says NVFP4 but only weights are quantised: vLLM 0.19 to 0.28 expect scales for activations that are "
    'not there, unless the Marlin kernels are forced (linear-backend = "marlin").'
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a checkpoint is; sizes in bytes, parameters counted each, by part of the model.

    `quantization` is the algorithm that the config names, "" for none; `weight_only` is None where nothing is
    quantised. `excluded` are the config's patterns, `unquantised` linear layers of the text model that are kept in 16
    bit, `marlin_refuses` quantised layers, as vLLM merges them, whose shape (N, K) Marlin's tiles do not divide.
    `transformers` is the oldest release that reads it, "" if unknown.
    """

    architecture: str
    parameters: dict[str, int]
    bytes_by_part: dict[str, int]
    bytes_by_dtype: dict[str, int]
    tensors: int
    nbytes: int
    context: int | None
    quantization: str
    quantization_config: dict[str, Any]
    weight_only: bool | None
    excluded: tuple[str, ...]
    quantised_layers: int
    unquantised: tuple[str, ...]
    marlin_refuses: dict[str, tuple[int, int]]
    transformers: str
    notes: tuple[str, ...]


def inspect(checkpoint: Checkpoint) -> Inspection:
    """Look at `checkpoint`; only what was read of it already is used."""
    config = checkpoint.config
    quantization = config.get("quantization_config")
    quantization = quantization if isinstance(quantization, dict) else {}
    packed = packed_layers(checkpoint)
    only = weight_only(checkpoint)
    algorithm = checkpoint.quantization
    mistaken = only is True and algorithm.upper() == "NVFP4"
    context = whole_number(checkpoint.text, "max_position_embeddings")
    return Inspection(
        architecture=checkpoint.architecture,
        parameters={str(part): number for part, number in parameters(checkpoint).items()},
        bytes_by_part={str(part): number for part, number in bytes_by_part(checkpoint).items()},
        bytes_by_dtype=bytes_by_dtype(checkpoint),
        tensors=len(checkpoint.tensors),
        nbytes=checkpoint.nbytes,
        context=context or None,
        quantization=algorithm,
        quantization_config=quantization,
        weight_only=only,
        excluded=_excluded(quantization),
        quantised_layers=len(packed),
        unquantised=_unquantised(checkpoint, packed) if packed else (),
        marlin_refuses=_refused(packed),
        transformers=_transformers(config, checkpoint.architecture),
        notes=(MISTAKEN,) if mistaken else (),
    )


def weight_only(checkpoint: Checkpoint) -> bool | None:
    """Whether only weights are quantised to four bits, None where nothing is.

    The tensors decide: with scales for activations they are quantised too, whatever the config calls it.
    """
    if not packed_layers(checkpoint):
        return None
    return not any(name.endswith(ACTIVATION_SCALES) for name in checkpoint.tensors)


def _excluded(quantization: dict[str, Any]) -> tuple[str, ...]:
    inner = quantization.get("quantization")
    for table in (quantization, inner if isinstance(inner, dict) else {}):
        for key in ("ignore", "exclude_modules"):
            if isinstance(table.get(key), list):
                return tuple(str(pattern) for pattern in table[key])
    return ()


def _unquantised(checkpoint: Checkpoint, packed: dict[str, tuple[int, int]]) -> tuple[str, ...]:
    """Linear layers of the text model in 16 bit or more, where others are packed."""
    found = []
    for name, tensor in checkpoint.tensors.items():
        layer = name.removesuffix(".weight")
        if layer != name and layer not in packed and not is_scale(name) and part_of(name, tensor) == PARTS[0]:
            found.append(layer)
    return tuple(found)


def _refused(packed: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Layers, those that vLLM merges as one, with a shape that Marlin's tiles do not divide."""
    merged = merged_groups(packed)
    alone = set(packed) - {layer for group in merged for layer in group}
    shapes = {layer: packed[layer] for layer in sorted(alone)}
    shapes |= {" + ".join(group): (sum(packed[one][0] for one in group), packed[group[0]][1]) for group in merged}
    return {layer: shape for layer, shape in shapes.items() if shape[0] % MARLIN_N or shape[1] % MARLIN_K}


def _transformers(config: dict[str, Any], architecture: str) -> str:
    wanted = reader.need(config)
    if wanted is not None:
        return wanted.transformers
    return reader.GEMMA4 if architecture.startswith("Gemma4") else ""
