"""Which of a machine's GPUs an engine may use: CUDA_VISIBLE_DEVICES, and the one that a person names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gemma_backend.types import GpuMemory, UsageError

VARIABLE = "CUDA_VISIBLE_DEVICES"
# PCI vendors of other GPUs, and the class of display controllers (the PCI ID repository).
_VENDORS = {"0x1002": "an AMD GPU", "0x8086": "an Intel GPU"}
_DISPLAY = "0x03"


def visible(gpus: Sequence[GpuMemory], environment: Mapping[str, str]) -> tuple[GpuMemory, ...]:
    """Those of `gpus` that CUDA_VISIBLE_DEVICES leaves, in its order; all where it is not set.

    Entries are numbers in the order of the PCI bus, which is NVML's, or UUIDs that may be cut short. As CUDA reads
    it, the list ends at the first entry that names no GPU.
    """
    given = environment.get(VARIABLE)
    if given is None:
        return tuple(gpus)
    found: list[GpuMemory] = []
    for word in given.split(","):
        gpu = _named(gpus, word.strip())
        if gpu is None or gpu in found:
            break
        found.append(gpu)
    return tuple(found)


def _named(gpus: Sequence[GpuMemory], word: str) -> GpuMemory | None:
    if word.isdigit():
        return next((gpu for gpu in gpus if gpu.index == int(word)), None)
    # A slice of a GPU (MIG) is named by a UUID of its own, which tells nothing about memory here.
    fitting = [gpu for gpu in gpus if len(word) > len("GPU-") and gpu.uuid.startswith(word)]
    return fitting[0] if len(fitting) == 1 else None


def wanted(gpus: Sequence[GpuMemory], number: int | None) -> tuple[GpuMemory, ...]:
    """`gpus`, or of them the one with the number that nvidia-smi shows; UsageError where there is none."""
    if number is None:
        return tuple(gpus)
    found = tuple(gpu for gpu in gpus if gpu.index == number)
    if not found:
        there = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in gpus) or "none"
        raise UsageError(f"there is no GPU {number} here; there are: {there}.")
    return found


def most_free(gpus: Sequence[GpuMemory]) -> GpuMemory | None:
    """The GPU with most free memory, the first of equals; None where there is none."""
    return max(gpus, key=lambda gpu: gpu.free or 0, default=None)


def other_gpus(devices: Path = Path("/sys/bus/pci/devices")) -> tuple[str, ...]:
    """GPUs of other makers, each in words once, as the kernel lists them."""
    found = set()
    try:
        for folder in devices.iterdir():
            if (folder / "class").read_text().startswith(_DISPLAY):
                found.add(_VENDORS.get((folder / "vendor").read_text().strip(), ""))
    except OSError:
        return ()
    return tuple(sorted(found - {""}))
