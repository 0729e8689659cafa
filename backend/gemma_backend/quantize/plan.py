"""What quantising a checkpoint will do, from its headers alone: what is rounded, what stays, sizes, memory and disk."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gemma_backend.checkpoint.gemma import unused_tensors
from gemma_backend.checkpoint.header import Checkpoint, Tensor
from gemma_backend.quantize.calibration import described
from gemma_backend.types import BadInput

Format = Literal["nvfp4a16", "nvfp4"]
FORMATS: tuple[Format, ...] = ("nvfp4a16", "nvfp4")
Scales = Literal["max", "four-over-six", "mse", "sweep", "hessian"]
SCALES: tuple[Scales, ...] = ("max", "four-over-six", "mse", "sweep", "hessian")
BY: dict[Scales, str] = {
    "max": "its largest number",
    "four-over-six": "the lesser squared error of two, which put its largest number on 6 or on 4",
    "mse": "the least squared error of those near that of its largest number",
    "sweep": "the least squared error of all there are",
    "hessian": "the least error weighed by the inputs that meet it",
}
GROUP = 16
# What stays as it is: the published recipe's exclusions, then the parts of other Gemma models that ModelOpt's own
# recipe leaves alone (modelopt.torch.quantization, default_disabled_quantizers of 0.47).
EXCLUDED = ("*vision_tower*", "*audio_tower*", "*embed_vision*", "*embed_audio*", "*lm_head*")
ALSO_KEPT = ("*multi_modal_projector*", "*vision_model*", "*visual*", "*router*", "*proj_out.*", "*output_layer*")
# The linear layers of the per-layer embeddings' way into each layer: 4 bits there are reported to cost much for the 1%
# of the size that they save (exllamav3, pull request 253, on E4B).
PER_LAYER = ("*per_layer_input_gate", "*per_layer_projection", "*per_layer_model_projection")
# Python, torch and ModelOpt, the layer in hand and what is being copied: at most 1.1 GB (torch 2.13, ModelOpt 0.47).
WORKING = 1_200_000_000
# Beside the weights, which stay in the file's own pages: the same, and a batch of text on its way through a layer. At
# most 0.9 GB beside a Gemma 3 of 1 B with 4 texts of 1,024 tokens, 1.2 GB beside an E2B.
CALIBRATING = 1_200_000_000
# Tokenizer, processor, configs and the model card beside the weights.
SMALL_FILES = 64 << 20


@dataclass(frozen=True)
class Options:
    """How to quantise; the defaults are the published recipe's, but with one global scale for layers that are merged.

    `scales` is how a group's scale is chosen: from its largest number, or by a search for the least squared error.
    `exclude` holds shell patterns over layer names. `calib` is a text or JSON-lines file, a data set on the hub, or
    `bundled`; `media` adds the bundled pictures and clips where a model takes them.
    """

    format: Format = "nvfp4a16"
    samples: int = 512
    batch_size: int = 4
    seq_len: int = 1024
    seed: int = 0
    exclude: tuple[str, ...] = ()
    calib: str = "bundled"
    media: bool = True
    fuse_scales: bool = True
    scales: Scales = "max"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @property
    def calibrates(self) -> bool:
        """Whether samples are shown to the model: for the ranges of activations, or to weigh errors by inputs."""
        return self.format == "nvfp4" or self.scales == "hessian"


@dataclass(frozen=True)
class Part:
    """One part of the model as a person thinks of it: parameters and bytes now, and bytes afterwards."""

    name: str
    quantised: bool
    parameters: int
    before: int
    after: int


@dataclass(frozen=True)
class Plan:
    """What will be done; bytes throughout. `layers` are the names of what is rounded, without `.weight`."""

    source: Path
    options: Options
    layers: tuple[str, ...]
    parts: tuple[Part, ...]
    before: int
    after: int
    memory: int
    disk: int
    notes: tuple[str, ...] = field(default=())


def plan(checkpoint: Checkpoint, options: Options) -> Plan:
    """Plan for quantising `checkpoint`; BadInput if it can't be: quantised already, or no Gemma model."""
    _refuse_format(checkpoint)
    _refuse_types(checkpoint)
    unused = unused_tensors(checkpoint)
    layers = [
        tensor
        for tensor in checkpoint.tensors.values()
        if _is_layer(tensor) and not _kept(tensor.name, options.exclude) and tensor.name not in unused
    ]
    if not layers:
        raise BadInput("Nothing is left to quantise: take back some of what --exclude keeps.")
    odd = [tensor.name for tensor in layers if tensor.shape[-1] % GROUP]
    if odd:
        raise BadInput(f"{odd[0]} has a width that {GROUP} does not divide: keep it with --exclude '{_stem(odd[0])}'.")
    chosen = {tensor.name for tensor in layers}
    parts = _parts(checkpoint, chosen, options.format)
    after = sum(part.after for part in parts)
    return Plan(
        source=checkpoint.folder.absolute(),
        options=options,
        layers=tuple(_stem(tensor.name) for tensor in layers),
        parts=parts,
        before=checkpoint.nbytes,
        after=after,
        memory=checkpoint.nbytes + CALIBRATING if options.calibrates else WORKING,
        disk=after + SMALL_FILES,
        notes=_notes(checkpoint, options, layers),
    )


def size_after(tensor: Tensor, format: Format) -> int:
    """Bytes of a rounded layer: half a byte a number, an FP8 scale for 16, one FP32 scale, and one for activations."""
    return tensor.numel // 2 + tensor.numel // GROUP + (4 if format == "nvfp4a16" else 8)


def _refuse_format(checkpoint: Checkpoint) -> None:
    if checkpoint.quantization:
        raise BadInput(
            f"{checkpoint.folder} is quantised already ({checkpoint.quantization}): give the BF16 checkpoint it is of."
        )
    if not checkpoint.architecture.startswith("Gemma"):
        named = checkpoint.architecture or "no architecture"
        raise BadInput(f"{checkpoint.folder} is no Gemma checkpoint (config.json names {named}): give one that is.")
    if not any(map(_is_float, checkpoint.tensors.values())):
        raise BadInput(f"{checkpoint.folder} holds no BF16, FP16 or FP32 weights: give the unquantised checkpoint.")


def _refuse_types(checkpoint: Checkpoint) -> None:
    weights = (tensor for tensor in checkpoint.tensors.values() if tensor.name.endswith(".weight"))
    odd = [tensor for tensor in weights if not _is_float(tensor)]
    if odd:
        raise BadInput(f"{odd[0].name} has the type {odd[0].dtype}: give the checkpoint in BF16, FP16 or FP32.")


def has_tokenizer(folder: Path) -> bool:
    """Whether a checkpoint folder holds the words."""
    return any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model"))


def _is_float(tensor: Tensor) -> bool:
    return tensor.dtype in ("BF16", "F16", "F32")


def _is_layer(tensor: Tensor) -> bool:
    """Whether a tensor is a linear layer's weight: a matrix, and no embedding table."""
    leaf = _stem(tensor.name).rpartition(".")[2]
    return (
        tensor.name.endswith(".weight")
        and len(tensor.shape) == 2
        and not leaf.startswith("embed_tokens")
        and _is_float(tensor)
    )


def _kept(name: str, exclude: Iterable[str]) -> bool:
    stem = _stem(name)
    asked = any(fnmatch.fnmatchcase(stem, pattern) for pattern in exclude)
    # ModelOpt's patterns are compared with the names of quantizers.
    patterns = (*EXCLUDED, *ALSO_KEPT, *exclude)
    return asked or any(fnmatch.fnmatchcase(f"{stem}.weight_quantizer", pattern) for pattern in patterns)


def _parts(checkpoint: Checkpoint, chosen: set[str], format: Format) -> tuple[Part, ...]:
    sums: dict[tuple[str, bool], list[int]] = {}
    unused = unused_tensors(checkpoint)
    for name, tensor in checkpoint.tensors.items():
        if name in unused:
            continue
        key = (_part_name(name), name in chosen)
        found = sums.setdefault(key, [0, 0, 0])
        found[0] += tensor.numel
        found[1] += tensor.nbytes
        found[2] += size_after(tensor, format) if name in chosen else tensor.nbytes
    ordered = sorted(sums.items(), key=lambda item: (not item[0][1], -item[1][1]))
    return tuple(Part(name, quantised, *counts) for (name, quantised), counts in ordered)


def _part_name(name: str) -> str:
    if "norm" in name.rsplit(".", 2)[-2] and "tower" not in name:
        return "norms and scales"
    for mark, title in (
        ("embed_tokens_per_layer", "per-layer embedding table"),
        ("embed_tokens", "token embedding"),
        ("vision_tower", "vision tower"),
        ("audio_tower", "audio tower"),
        ("embed_vision", "vision projection"),
        ("embed_audio", "audio projection"),
        ("multi_modal_projector", "vision projection"),
        ("lm_head", "output layer"),
        ("per_layer_", "per-layer input gates and projections"),
        (".self_attn.", "attention"),
        (".mlp.", "MLP"),
    ):
        if mark in name:
            return title
    return "norms and scales"


def _notes(checkpoint: Checkpoint, options: Options, layers: list[Tensor]) -> tuple[str, ...]:
    notes = [f"Each group of {GROUP} numbers gets the scale of {BY[options.scales]}."]
    shown = described(options.calib, media=options.media and takes_media(checkpoint))
    if options.calibrates:
        why = (
            "the ranges of activations, which are rounded too,"
            if options.format == "nvfp4"
            else "the weights of errors"
        )
        notes.append(f"Calibration: {why} come from {shown}.")
        if options.format == "nvfp4" and takes_media(checkpoint) and not options.media:
            notes.append("Text alone is shown: ranges that only pictures and sound reach will be cut off.")
    else:
        notes.append("Weights alone are rounded, so calibration text would change nothing: none is read.")
    if not has_tokenizer(checkpoint.folder):
        notes.append("No tokenizer lies beside the weights: the result can't be served until tokenizer.json is there.")
    dropped = len(unused_tensors(checkpoint))
    if dropped:
        notes.append(
            f"{dropped} tensors have no use and are left out: a tied output layer, or keys and values of layers that "
            "read another layer's KV cache."
        )
    unfit = [tensor for tensor in layers if tensor.shape[1] % 128 or tensor.shape[0] % 64]
    if unfit:
        notes.append(
            f"{len(unfit)} layers have shapes that vLLM's Marlin kernel can't take (width by 128, height by 64): the "
            "result serves on the CPU only."
        )
    return tuple(notes)


def takes_media(checkpoint: Checkpoint) -> bool:
    """Whether the model sees or hears."""
    return any(mark in name for name in checkpoint.tensors for mark in ("vision_tower", "audio_tower"))


def _stem(name: str) -> str:
    return name.removesuffix(".weight")
