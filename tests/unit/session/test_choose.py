"""The default profile for a machine."""

from __future__ import annotations

import pytest

from gemma_backend.session.choose import default_profile
from gemma_backend.types import GpuMemory

GIB = 1 << 30


def gpu(free: float | None, capability: tuple[int, int] | None = (8, 9), name: str = "RTX") -> GpuMemory:
    """A card with `free` GiB."""
    return GpuMemory(0, name, "uuid", free=None if free is None else int(free * GIB), compute_capability=capability)


@pytest.mark.parametrize(
    ("gpus", "name", "why"),
    [
        ((), "pocket", "No NVIDIA GPU"),
        ((gpu(12),), "workstation", "12.0 GiB"),
        ((gpu(11.99),), "pocket", "needs 12"),
        ((gpu(4), gpu(80, name="H100")), "workstation", "H100"),
        ((gpu(None),), "pocket", "does not tell"),
        ((gpu(24, (7, 0), "V100"),), "pocket", "V100 is too old"),
        ((gpu(24, (7, 0), "V100"), gpu(16, (7, 5), "T4")), "workstation", "T4"),
        ((gpu(24, None),), "workstation", "24.0 GiB"),
    ],
)
def test_the_default_follows_the_gpu(gpus: tuple[GpuMemory, ...], name: str, why: str) -> None:
    chosen, reason = default_profile(gpus)
    assert chosen == name
    assert why in reason
    assert reason.endswith(".")
