"""What a checkpoint's tensors are for: which part of the model each belongs to, and how many parameters it holds."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

from gemma_backend.checkpoint.header import Checkpoint, Tensor

Part = Literal["text linears", "token embedding", "per-layer table", "vision", "audio", "other"]
PARTS: tuple[Part, ...] = ("text linears", "token embedding", "per-layer table", "vision", "audio", "other")
# Names that go with a quantised weight: ModelOpt's, then compressed-tensors'.
SCALES = ("_scale", "_scale_2", "_zero_point")
ACTIVATION_SCALES = (".input_scale", ".input_global_scale")
GROUP_SCALES = ".weight_scale"
_PACKED = (".weight", ".weight_packed")
_VISION = re.compile(r"(^|\.)(vision_tower|embed_vision|multi_modal_projector)\.")
_AUDIO = re.compile(r"(^|\.)(audio_tower|embed_audio)\.")
_TABLE = re.compile(r"(^|\.)embed_tokens_per_layer\.weight$")
_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|lm_head)\.weight$")


def part_of(name: str, tensor: Tensor) -> Part:
    """The part that a tensor belongs to, scales with their weights."""
    if _VISION.search(name):
        return "vision"
    if _AUDIO.search(name):
        return "audio"
    if _TABLE.search(name):
        return "per-layer table"
    if _EMBEDDING.search(name):
        return "token embedding"
    if len(tensor.shape) >= 2 or is_scale(name):
        return "text linears"
    return "other"


def is_scale(name: str) -> bool:
    """Whether a tensor holds scales of a quantised weight or of activations."""
    return name.endswith(SCALES)


def is_packed(checkpoint: Checkpoint, name: str) -> bool:
    """Whether a tensor holds two 4-bit numbers a byte."""
    stem = next((name.removesuffix(end) for end in _PACKED if name.endswith(end)), None)
    return stem is not None and checkpoint.tensors[name].dtype == "U8" and f"{stem}{GROUP_SCALES}" in checkpoint.tensors


def packed_layers(checkpoint: Checkpoint) -> dict[str, tuple[int, int]]:
    """Shape (N, K) in numbers of every layer that is quantised to four bits, by the layer's name."""
    found = {}
    for name, tensor in checkpoint.tensors.items():
        if is_packed(checkpoint, name) and len(tensor.shape) == 2:
            found[name.rpartition(".")[0]] = (tensor.shape[0], tensor.shape[1] * 2)
    return found


def parameters(checkpoint: Checkpoint) -> dict[Part, int]:
    """Parameters by part, packed ones counted each, scales left out."""
    counted: Counter[Part] = Counter(dict.fromkeys(PARTS, 0))
    for name, tensor in checkpoint.tensors.items():
        if not is_scale(name):
            counted[part_of(name, tensor)] += tensor.numel * (2 if is_packed(checkpoint, name) else 1)
    return dict(counted)


def bytes_by_part(checkpoint: Checkpoint) -> dict[Part, int]:
    """Bytes in the files by part, scales included."""
    counted: Counter[Part] = Counter(dict.fromkeys(PARTS, 0))
    for name, tensor in checkpoint.tensors.items():
        counted[part_of(name, tensor)] += tensor.nbytes
    return dict(counted)


def bytes_by_dtype(checkpoint: Checkpoint) -> dict[str, int]:
    """Bytes in the files by type in safetensors' spelling, the largest first."""
    counted: Counter[str] = Counter()
    for tensor in checkpoint.tensors.values():
        counted[tensor.dtype] += tensor.nbytes
    return dict(counted.most_common())
