"""Training weights on disk between runs: every parameter at 24 bits, in files of at most 15 MB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

PART = 15_000_000


@torch.no_grad()
def save(model: torch.nn.Module, folder: Path) -> None:
    """Write `weights-0.npy`, `weights-1.npy`, ...: sign, exponent and 15 bits of each number, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    flat = torch.cat([value.detach().float().flatten().cpu() for _, value in sorted(model.named_parameters())]).numpy()
    bits = ((flat.view(np.uint32).astype(np.uint64) + 128) >> 8).astype(np.uint32)
    packed = bits.view(np.uint8).reshape(-1, 4)[:, :3].reshape(-1)
    for number, start in enumerate(range(0, len(packed), PART)):
        np.save(folder / f"weights-{number}.npy", packed[start : start + PART])


@torch.no_grad()
def load(model: torch.nn.Module, folder: Path) -> None:
    """Read what `save` wrote into a model of the same shape."""
    files = sorted(folder.glob("weights-*.npy"), key=lambda path: int(path.stem.split("-")[1]))
    packed = np.concatenate([np.load(path) for path in files]).reshape(-1, 3)
    bits = np.zeros((len(packed), 4), np.uint8)
    bits[:, 1:] = packed
    flat = torch.from_numpy(bits.reshape(-1).view(np.float32).copy())
    at = 0
    for _, value in sorted(model.named_parameters()):
        value.copy_(flat[at : at + value.numel()].view(value.shape))
        at += value.numel()
    if at != len(flat):
        raise ValueError(f"{folder} holds {len(flat):,} numbers, the model has {at:,}")
