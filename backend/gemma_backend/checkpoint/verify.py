"""Whether an NVFP4 checkpoint is its source, rounded: nothing else changed, lost, or further off than half a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gemma_backend.checkpoint import nvfp4
from gemma_backend.checkpoint.gemma import is_tied, merged_groups, unused_tensors
from gemma_backend.checkpoint.header import Checkpoint, Tensor
from gemma_backend.types import BadInput

SCALES = (".weight_scale", ".weight_scale_2", ".input_scale")
# A number over 7 would be rounded to 8 if E2M1 had it; from there on it was cut off, not rounded.
CLIPPED_FROM = 7.0
# Rounding in FP32 moves a number that lies on the edge between two codes by this much at most (in steps of E2M1).
EDGE = 1e-4
# Numbers that are looked at together: bounds the memory to some 100 MB whatever the size of the layer.
CHUNK = 1 << 22


@dataclass(frozen=True)
class Report:
    """What was compared and what is wrong.

    `kept` and `rounded` count tensors, `numbers` rounded numbers, `clipped` those beyond the largest code. `worst` is
    the largest distance from the source in half steps of E2M1 (1 is the limit), `error` the root mean square error
    relative to the weights. `uneven` counts merged groups whose global scales differ, which costs accuracy in vLLM.
    """

    kept: int
    rounded: int
    numbers: int
    clipped: int
    worst: float
    error: float
    uneven: int
    left_out: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass
class _Sums:
    numbers: int = 0
    clipped: int = 0
    worst: float = 0.0
    square_error: float = 0.0
    square: float = 0.0


def verify(made: Checkpoint, source: Checkpoint, progress: Callable[[float], None] = lambda _: None) -> Report:
    """Compare every tensor of `made` with `source`; `progress` is told the part done, 0 to 1.

    BadInput if `made` is no NVFP4 checkpoint or `source` is quantised itself.
    """
    if "NVFP4" not in made.quantization.upper():
        raise BadInput(f"{made.folder} is no NVFP4 checkpoint (its config says {made.quantization or 'nothing'}).")
    if source.quantization:
        raise BadInput(
            f"{source.folder} is quantised itself ({source.quantization}): give the checkpoint it came from."
        )
    layers = [name.removesuffix(".weight_scale") for name in made.tensors if name.endswith(".weight_scale")]
    problems = list(_membership(made, source, set(layers)))
    sums = _Sums()
    kept = 0
    done = 0
    for name, tensor in made.tensors.items():
        stem = name.removesuffix(".weight")
        if name.endswith(".weight") and stem in layers and name in source.tensors:
            problems += _compare_layer(made, source.tensors[name], stem, sums)
        elif name in source.tensors:
            kept += 1
            if not _equal(tensor, source.tensors[name]):
                problems.append(f"{name} is not what it is in the source")
        elif name.endswith(".input_scale") and not _positive(tensor):
            problems.append(f"{name} is not a positive finite number")
        done += tensor.nbytes
        progress(done / max(1, made.nbytes))
    uneven = [group for group in merged_groups(layers) if len({_scalar(made, each) for each in group}) > 1]
    return Report(
        kept=kept,
        rounded=len(layers),
        numbers=sums.numbers,
        clipped=sums.clipped,
        worst=sums.worst,
        error=float(np.sqrt(sums.square_error / sums.square)) if sums.square else 0.0,
        uneven=len(uneven),
        left_out=len((unused_tensors(source) & set(source.tensors)) - set(made.tensors)),
        problems=tuple(problems),
    )


def _membership(made: Checkpoint, source: Checkpoint, layers: set[str]) -> Iterator[str]:
    """Tensors that are missing or that nobody asked for, and ties that were cut."""
    for name in sorted(set(source.tensors) - set(made.tensors) - unused_tensors(source)):
        yield f"{name} is missing"
    for name in sorted(set(made.tensors) - set(source.tensors)):
        stem = next((name.removesuffix(end) for end in SCALES if name.endswith(end)), None)
        if stem not in layers:
            yield f"{name} is not in the source"
    for layer in sorted(layers):
        if f"{layer}.weight" not in made.tensors or f"{layer}.weight_scale_2" not in made.tensors:
            yield f"{layer} lacks its packed weights or its global scale"
    if is_tied(source) != is_tied(made):
        yield "the output layer is tied to the token embedding in one of the two only"


def _compare_layer(made: Checkpoint, original: Tensor, stem: str, sums: _Sums) -> Iterator[str]:
    """Problems of one rounded layer; adds to `sums`."""
    if f"{stem}.weight_scale_2" not in made.tensors:
        return
    packed, scale, top = (made.tensors[stem + end] for end in (".weight", ".weight_scale", ".weight_scale_2"))
    rows, width = original.shape if len(original.shape) == 2 else (0, 0)
    fits = packed.shape == (rows, width // 2) and scale.shape == (rows, width // nvfp4.GROUP)
    if not fits or packed.dtype != "U8" or scale.dtype != "F8_E4M3":
        yield f"{stem} has shapes or types that do not fit its source"
        return
    if not _positive(top):
        yield f"{stem} has a global scale that is not a positive finite number"
        return
    step = max(1, CHUNK // width)
    far = 0
    global_scale = np.float32(top.read().reshape(-1)[0])
    for start in range(0, rows, step):
        part = slice(start, start + step)
        scales = nvfp4.scales(scale.read()[part]) * global_scale
        if not np.all(np.isfinite(scales)) or np.any(scales < 0):
            yield f"{stem} has group scales that are not finite or below zero"
            return
        far += _compare_rows(packed.read()[part], scales, _floats(original, part), sums)
    if far:
        yield f"{stem} has {far} numbers further than half a step from the source"


def _compare_rows(
    packed: npt.NDArray[np.uint8], scales: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32], sums: _Sums
) -> int:
    """How many numbers are further off than half a step, clipped ones apart; adds to `sums`."""
    codes = nvfp4.unpack(packed).reshape(*scales.shape, nvfp4.GROUP)
    magnitude = nvfp4.E2M1[codes & 7]
    number = np.where(codes & 8, -magnitude, magnitude)
    with np.errstate(divide="ignore", invalid="ignore"):
        place = wanted.reshape(codes.shape) / scales[..., None]
    place = np.where(scales[..., None] > 0, place, 0)
    distance = np.abs(number - place) / nvfp4.half_step(magnitude)
    clipped = np.abs(place) > CLIPPED_FROM
    off = (distance > 1 + EDGE) & ~clipped
    sums.numbers += codes.size
    sums.clipped += int(clipped.sum())
    sums.worst = max(sums.worst, float(np.max(distance, where=~clipped, initial=0.0)))
    error = number * scales[..., None] - wanted.reshape(codes.shape)
    sums.square_error += float(np.sum(np.square(error, dtype=np.float64)))
    sums.square += float(np.sum(np.square(wanted, dtype=np.float64)))
    return int(off.sum())


def _floats(tensor: Tensor, part: slice) -> npt.NDArray[np.float32]:
    read = tensor.read()[part]
    return nvfp4.from_bf16(read) if tensor.dtype == "BF16" else read.astype(np.float32)


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same type, shape and bits."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    left, right = _flat(one), _flat(other)
    step = CHUNK * 4
    return all(np.array_equal(left[at : at + step], right[at : at + step]) for at in range(0, len(left), step))


def _flat(tensor: Tensor) -> npt.NDArray[Any]:
    return np.atleast_1d(tensor.read()).reshape(-1).view(np.uint8)


def _positive(tensor: Tensor) -> bool:
    values = np.atleast_1d(tensor.read()).astype(np.float64)
    return tensor.dtype == "F32" and bool(np.all(np.isfinite(values) & (values > 0)))


def _scalar(made: Checkpoint, layer: str) -> float:
    tensor = made.tensors.get(f"{layer}.weight_scale_2")
    return float(np.atleast_1d(tensor.read())[0]) if tensor else 0.0
