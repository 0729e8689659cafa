"""Training weights on disk between runs: every parameter in BF16, in files of at most 15 MB.

A set is `weights-NUMBER-PART-of-PARTS.npy`, and the newest whole one counts: whoever is killed while saving, or copies
a folder meanwhile, has the set before.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import torch

PART = 7_500_000
_NAME = re.compile(r"weights-(\d+)-(\d+)-of-(\d+)\.npy")


def sets(folder: Path) -> dict[int, list[Path]]:
    """The whole sets in `folder` by their number, each its files in order."""
    found: dict[int, dict[int, Path]] = {}
    wanted: dict[int, int] = {}
    for path in folder.glob("weights-*.npy"):
        if match := _NAME.fullmatch(path.name):
            number, part, parts = map(int, match.groups())
            found.setdefault(number, {})[part] = path
            wanted[number] = parts
    return {
        number: [parts[part] for part in sorted(parts)]
        for number, parts in sorted(found.items())
        if len(parts) == wanted[number]
    }


@torch.no_grad()
def save(model: torch.nn.Module, folder: Path) -> None:
    """Write the bits of all numbers, parameters in the order of their names, as the newest set; remove those before."""
    folder.mkdir(parents=True, exist_ok=True)
    values = [value.detach().flatten().cpu().to(torch.bfloat16) for _, value in sorted(model.named_parameters())]
    bits = torch.cat(values).view(torch.uint16).numpy()
    starts = range(0, len(bits), PART)
    number = 1 + max(sets(folder), default=0)
    for part, start in enumerate(starts, 1):
        path = folder / f"weights-{number:06}-{part}-of-{len(starts)}.npy"
        with path.with_suffix(".new").open("wb") as file:
            np.save(file, bits[start : start + PART])
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".new").replace(path)
    for path in folder.glob("weights-*"):
        if not path.name.startswith(f"weights-{number:06}-"):
            path.unlink()


@torch.no_grad()
def load(model: torch.nn.Module, folder: Path) -> None:
    """Read the newest whole set into a model of the same shape; ends with a sentence where there is none."""
    found = sets(folder)
    if not found:
        raise SystemExit(f"{folder} holds no whole set of weights: copy it again, or begin anew in another folder")
    try:
        # Read whole and copied into parameters that exist: nothing of the file stays mapped, and no device is named.
        parts = [np.load(path, allow_pickle=False) for path in found[max(found)]]
        flat = torch.from_numpy(np.concatenate(parts)).view(torch.bfloat16)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise SystemExit(f"the weights in {folder} are damaged ({error}): copy them again") from error
    wanted = sum(value.numel() for value in model.parameters())
    if wanted != len(flat):
        raise SystemExit(
            f"the weights in {folder} are of another shape: {len(flat):,} numbers, the model has {wanted:,}"
        )
    at = 0
    for _, value in sorted(model.named_parameters()):
        value.copy_(flat[at : at + value.numel()].view(value.shape))
        at += value.numel()
