"""What a checkpoint folder holds, read from its safetensors headers and config.json, and its tensors as arrays."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemma_backend.types import BadInput

if TYPE_CHECKING:
    import numpy.typing as npt

# Bytes of one element of each type that the format knows (safetensors/src/tensor.rs).
WIDTH = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
# numpy's type for the bits: FP8 and BF16 have none of their own and come as unsigned integers of their width.
_BITS = {
    "BOOL": "?",
    "U8": "<u1",
    "I8": "<i1",
    "F8_E4M3": "<u1",
    "F8_E5M2": "<u1",
    "F8_E8M0": "<u1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "BF16": "<u2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}
# The limit of the safetensors library; a larger one is no header.
MAX_HEADER = 100_000_000


@dataclass(frozen=True)
class Tensor:
    """One tensor: `dtype` in safetensors' spelling, `start` and `stop` in bytes from the beginning of `file`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        """Size in the file."""
        return self.stop - self.start

    @property
    def numel(self) -> int:
        """Number of elements, packed ones counted as stored."""
        return math.prod(self.shape)

    def read(self) -> npt.NDArray[Any]:
        """The elements, mapped from the file; FP8 and BF16 as unsigned integers of their bits. BadInput if cut off."""
        # The screen reads headers alone, and numpy would cost it 11 MB.
        import numpy as np

        try:
            if self.file.stat().st_size < self.stop:
                raise BadInput(f"{self.file.name} ends before {self.name}: copy or download it again.")
            if not self.nbytes:
                return np.zeros(self.shape, _BITS[self.dtype])
            return np.memmap(self.file, _BITS[self.dtype], "r", self.start, self.shape or (1,)).reshape(self.shape)
        except OSError as error:
            raise BadInput(f"{self.file} can't be read: {error.strerror}.") from error


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder: its config and its tensors by name, in the order of their names."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def nbytes(self) -> int:
        """Size of all tensors together."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def architecture(self) -> str:
        """The model class that config.json names first, "" if none."""
        names = self.config.get("architectures")
        return str(names[0]) if isinstance(names, list) and names else ""

    @property
    def text(self) -> Mapping[str, Any]:
        """The language model's part of the config, which is the whole of it where there is no other."""
        return text_config(self.config)

    @property
    def quantization(self) -> str:
        """The `quant_algo` or method of a quantised checkpoint, "" for one that is not."""
        found = self.config.get("quantization_config")
        found = found if isinstance(found, dict) else {}
        inner = found.get("quantization") if isinstance(found.get("quantization"), dict) else {}
        return str(found.get("quant_algo") or (inner or {}).get("quant_algo") or found.get("quant_method") or "")


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The language model's part of a config.json, which is the whole of it where there is no other."""
    found = config.get("text_config")
    return found if isinstance(found, dict) and found else config


def read_header(path: Path) -> dict[str, Tensor]:
    """Tensors of one safetensors file by name. BadInput, in a sentence, for a file that is none or is damaged."""
    try:
        size = path.stat().st_size if path.is_file() else 0
        if size < 8:
            raise BadInput(f"{path} is cut off or no safetensors file: copy or download it again.")
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > min(MAX_HEADER, size - 8):
                raise BadInput(f"{path} is cut off or no safetensors file: copy or download it again.")
            raw = json.loads(file.read(length))
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The header of {path} is damaged: copy or download the file again.") from error
    try:
        made = {name: tensor_of(path, name, entry, 8 + length) for name, entry in raw.items() if name != "__metadata__"}
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise BadInput(f"The header of {path} is damaged ({error}): copy or download the file again.") from error
    if max((tensor.stop for tensor in made.values()), default=0) > size:
        raise BadInput(f"{path} is cut off: copy or download it again.")
    return made


def tensor_of(path: Path, name: str, entry: Mapping[str, Any], offset: int) -> Tensor:
    """A tensor from its entry in a header, `offset` being where data begins; whatever is wrong there raises."""
    dtype, shape = str(entry["dtype"]), tuple(int(side) for side in entry["shape"])
    start, stop = (int(place) for place in entry["data_offsets"])
    if dtype not in WIDTH:
        raise ValueError(f"{name} has the unknown type {dtype}")
    if start < 0 or min(shape, default=0) < 0 or stop - start != math.prod(shape) * WIDTH[dtype]:
        raise ValueError(f"{name} has a size that does not fit its shape")
    return Tensor(name, dtype, shape, path, offset + start, offset + stop)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Config and tensors of a checkpoint folder, whatever its number of shards. BadInput if it is not whole."""
    config_file = folder / "config.json"
    try:
        config = json.loads(config_file.read_text("utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{folder} holds no config.json, so it is no checkpoint: give the folder that has it.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{config_file} can't be read as JSON: copy or download the checkpoint again.") from error
    if not isinstance(config, dict):
        raise BadInput(f"{config_file} holds no JSON object: copy or download the checkpoint again.")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BadInput(f"{folder} lacks weights files (*.safetensors): copy or download the checkpoint again.")
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= read_header(file)
    missing = _named_by_index(folder) - set(tensors)
    if missing:
        raise BadInput(f"{folder} lacks {len(missing)} tensors that its index names: copy or download it again.")
    return Checkpoint(folder, config, dict(sorted(tensors.items())))


def _named_by_index(folder: Path) -> set[str]:
    path = folder / "model.safetensors.index.json"
    if not path.is_file():
        return set()
    try:
        return set(json.loads(path.read_text("utf-8"))["weight_map"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(f"{path} is damaged: copy or download the checkpoint again.") from error
