"""Training weights on disk between runs: every parameter in BF16, in files of at most 15 MB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

PART = 7_500_000


@torch.no_grad()
def save(model: torch.nn.Module, folder: Path) -> None:
    """Write `weights-0.npy`, `weights-1.npy`, ...: the bits of all numbers, parameters in the order of their names."""
    folder.mkdir(parents=True, exist_ok=True)
    values = [value.detach().flatten().cpu().to(torch.bfloat16) for _, value in sorted(model.named_parameters())]
    bits = torch.cat(values).view(torch.uint16).numpy()
    written = []
    for number, start in enumerate(range(0, len(bits), PART)):
        path = folder / f"weights-{number}.npy"
        with path.with_suffix(".new").open("wb") as file:
            np.save(file, bits[start : start + PART])
        written.append(path)
    for path in written:
        path.with_suffix(".new").replace(path)


@torch.no_grad()
def load(model: torch.nn.Module, folder: Path) -> None:
    """Read what `save` wrote into a model of the same shape."""
    files = sorted(folder.glob("weights-*.npy"), key=lambda path: int(path.stem.split("-")[1]))
    flat = torch.from_numpy(np.concatenate([np.load(path) for path in files])).view(torch.bfloat16)
    at = 0
    for _, value in sorted(model.named_parameters()):
        value.copy_(flat[at : at + value.numel()].view(value.shape))
        at += value.numel()
    if at != len(flat):
        raise ValueError(f"{folder} holds {len(flat):,} numbers, the model has {at:,}")
