"""Whether an NVFP4 checkpoint is its source, rounded: nothing else changed, lost, or further off than half a step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
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
# Numbers that a thread looks at together: bounds the memory to some 40 MB for each, whatever the size of the layer.
CHUNK = 1 << 20
# numpy lets go of Python's lock in its loops; beyond this the memory's speed is the limit.
THREADS = min(16, os.cpu_count() or 1)
# Value of each code, and one over half the distance to its farther neighbour.
VALUE = np.concatenate([nvfp4.E2M1, -nvfp4.E2M1])
PER_HALF_STEP = (1 / nvfp4.half_step(np.abs(VALUE))).astype(np.float32)


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
    far: int = 0

    def add(self, other: _Sums) -> None:
        """Count what another part of the work has counted."""
        self.numbers += other.numbers
        self.clipped += other.clipped
        self.worst = max(self.worst, other.worst)
        self.square_error += other.square_error
        self.square += other.square
        self.far += other.far


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
    with ThreadPoolExecutor(THREADS) as threads:
        for name, tensor in made.tensors.items():
            stem = name.removesuffix(".weight")
            if name.endswith(".weight") and stem in layers and name in source.tensors:
                problems += _compare_layer(made, source.tensors[name], stem, sums, threads)
            elif name in source.tensors:
                kept += 1
                if not _equal(tensor, source.tensors[name], threads):
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


def _compare_layer(made: Checkpoint, original: Tensor, stem: str, sums: _Sums, threads: Executor) -> Iterator[str]:
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
    global_scale = np.float32(top.read().reshape(-1)[0])
    codes, fp8 = packed.read(), scale.read()

    def compare(start: int) -> _Sums | None:
        part = slice(start, start + step)
        scales = nvfp4.scales(fp8[part]) * global_scale
        if not np.all(np.isfinite(scales)) or np.any(scales < 0):
            return None
        return _compare_rows(codes[part], scales, _floats(original, part))

    far = 0
    for found in threads.map(compare, range(0, rows, step)):
        if found is None:
            yield f"{stem} has group scales that are not finite or below zero"
            return
        sums.add(found)
        far += found.far
    if far:
        yield f"{stem} has {far} numbers further than half a step from the source"


def _compare_rows(
    packed: npt.NDArray[np.uint8], scales: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]
) -> _Sums:
    """What there is to count in some rows: numbers further off than half a step, clipped ones apart."""
    codes = nvfp4.unpack(packed).reshape(*scales.shape, nvfp4.GROUP)
    wanted = wanted.reshape(codes.shape)
    number = VALUE[codes]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        place = wanted / scales[..., None]
    # A group whose scale is zero holds zeros: anything else there was lost.
    place = np.where(scales[..., None] > 0, place, np.where(wanted == 0, np.float32(0), np.float32(5)))
    clipped = np.abs(place) > CLIPPED_FROM
    distance = np.abs(number - place)
    distance *= PER_HALF_STEP[codes]
    distance[clipped] = 0
    error = (number * scales[..., None] - wanted).reshape(-1)
    flat = wanted.reshape(-1)
    return _Sums(
        numbers=codes.size,
        clipped=int(np.count_nonzero(clipped)),
        worst=float(distance.max(initial=0.0)),
        square_error=float(np.dot(error, error)),
        square=float(np.dot(flat, flat)),
        far=int(np.count_nonzero(~(distance <= 1 + EDGE))),
    )


def _floats(tensor: Tensor, part: slice) -> npt.NDArray[np.float32]:
    read = tensor.read()[part]
    return nvfp4.from_bf16(read) if tensor.dtype == "BF16" else read.astype(np.float32)


def _equal(one: Tensor, other: Tensor, threads: Executor) -> bool:
    """Whether two tensors have the same type, shape and bits."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    left, right = _flat(one), _flat(other)
    step = CHUNK * 8
    return all(
        threads.map(lambda at: np.array_equal(left[at : at + step], right[at : at + step]), range(0, len(left), step))
    )


def _flat(tensor: Tensor) -> npt.NDArray[Any]:
    return np.atleast_1d(tensor.read()).reshape(-1).view(np.uint8)


def _positive(tensor: Tensor) -> bool:
    values = np.atleast_1d(tensor.read()).astype(np.float64)
    return tensor.dtype == "F32" and bool(np.all(np.isfinite(values) & (values > 0)))


def _scalar(made: Checkpoint, layer: str) -> float:
    tensor = made.tensors.get(f"{layer}.weight_scale_2")
    return float(np.atleast_1d(tensor.read())[0]) if tensor else 0.0
