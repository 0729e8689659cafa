"""Whether a checkpoint's files are whole and sound: index against files, sizes, checksums, scales."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gemma_backend.checkpoint import nvfp4
from gemma_backend.checkpoint.header import Tensor, read_header
from gemma_backend.checkpoint.parts import is_scale
from gemma_backend.types import BadInput

INDEX = "model.safetensors.index.json"
_CHUNK = 1 << 22
# The hub's cache names a large file by the SHA-256 of its contents.
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at and what is wrong, each problem a sentence."""

    files: int
    tensors: int
    nbytes: int
    scales: int
    checksums: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check(folder: Path, *, checksums: bool = True, progress: Callable[[float], None] = lambda _: None) -> Checked:
    """Check the checkpoint in `folder`; with `checksums` every byte of files from the hub's cache is read.

    `progress` is told the part of the bytes that was read, 0 to 1.
    """
    problems: list[str] = []
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        problems.append(f"{folder} holds no weights files (*.safetensors).")
    problems += _config(folder)
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            held = read_header(file)
        except BadInput as error:
            problems.append(str(error))
            continue
        problems += [f"{name} is in {file.name} and in {tensors[name].file.name}." for name in held if name in tensors]
        problems += _size(file, held)
        tensors |= held
    problems += _index(folder, tensors)
    scales = [tensor for name, tensor in tensors.items() if is_scale(name)]
    for tensor in scales:
        problems += _scale(tensor)
    summed = 0
    if checksums:
        summed, wrong = _checksums(files, progress)
        problems += wrong
    size = sum(tensor.nbytes for tensor in tensors.values())
    return Checked(len(files), len(tensors), size, len(scales), summed, tuple(problems))


def _config(folder: Path) -> Iterator[str]:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except FileNotFoundError:
        yield f"{folder} holds no config.json."
    except (OSError, ValueError, RecursionError):
        yield "config.json can't be read as JSON."
    else:
        if not isinstance(config, dict):
            yield "config.json holds no JSON object."


def _size(file: Path, held: dict[str, Tensor]) -> Iterator[str]:
    """A file's tensors fill it without gaps or overlaps (safetensors' own rule)."""
    spans = sorted((tensor.start, tensor.stop, name) for name, tensor in held.items())
    for (_, stop, name), (start, _, follower) in pairwise(spans):
        if start != stop:
            yield f"{follower} in {file.name} does not begin where {name} ends."
            return
    extra = file.stat().st_size - max((stop for _, stop, _ in spans), default=0)
    if spans and extra:
        yield f"{file.name} is {extra:,} bytes longer than its header says."


def _index(folder: Path, tensors: dict[str, Tensor]) -> Iterator[str]:
    path = folder / INDEX
    if not path.is_file():
        return
    try:
        index: dict[str, Any] = json.loads(path.read_text("utf-8"))
        named = {str(name): str(file) for name, file in index["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield f"{INDEX} is damaged."
        return
    for file in sorted({file for file in named.values() if not (folder / file).is_file()}):
        yield f"{INDEX} names {file}, which is not there."
    for name, file in named.items():
        tensor = tensors.get(name)
        if tensor is None and (folder / file).is_file():
            yield f"{INDEX} names {name}, which {file} does not hold."
        elif tensor is not None and tensor.file.name != file:
            yield f"{INDEX} says that {name} is in {file}, but it is in {tensor.file.name}."
    for name in sorted(tensors.keys() - named.keys()):
        yield f"{name} is missing from {INDEX}, so nothing would read it."
    metadata = index.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    size = sum(tensor.nbytes for tensor in tensors.values())
    if isinstance(total, int) and total != size and named.keys() == tensors.keys():
        yield f"{INDEX} says that the tensors have {total:,} bytes in all, but they have {size:,}."


def _scale(tensor: Tensor) -> Iterator[str]:
    """A scale that is no number, or zero, which makes all its numbers so."""
    bits = tensor.read()
    if tensor.dtype == "F8_E4M3":
        values = nvfp4.scales(bits)
    elif tensor.dtype == "BF16":
        values = nvfp4.from_bf16(bits)
    elif tensor.dtype in ("F16", "F32", "F64"):
        values = np.asarray(bits)
    else:
        return
    unknown, zero = int((~np.isfinite(values)).sum()), int((values == 0).sum())
    if unknown:
        yield f"{tensor.name} holds {unknown:,} scales that are no numbers (NaN or infinite)."
    if zero:
        yield f"{tensor.name} holds {zero:,} scales that are zero."


def _checksums(files: list[Path], progress: Callable[[float], None]) -> tuple[int, list[str]]:
    """How many files have a known checksum, and which of them differ."""
    known = [(file, file.resolve().name) for file in files if file.is_symlink() and file.is_file()]
    known = [(file, name) for file, name in known if _SHA256.fullmatch(name)]
    total, done = sum(file.stat().st_size for file, _ in known), 0
    problems = []
    for file, name in known:
        digest = hashlib.sha256()
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                progress(done / total)
        if digest.hexdigest() != name:
            problems.append(f"{file.name} is damaged: its checksum differs from the model hub's.")
    return len(known), problems
