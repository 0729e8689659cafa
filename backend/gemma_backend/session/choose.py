"""Which profile to start: the one that was chosen, or on a machine where nobody has chosen one, the one that fits."""

from __future__ import annotations

from collections.abc import Sequence

from gemma_backend.config.profiles import Profile, load_profile
from gemma_backend.types import GpuMemory

GIB = 1 << 30
# The checkpoint's 7.4 GiB of weights, CUDA context and graphs, and a KV cache worth having.
WORKSTATION_FREE = 12 * GIB
# vLLM's Marlin kernels, which NVFP4 weights run on before Blackwell, start with Turing.
MARLIN_CAPABILITY = (7, 5)


def chosen_profile(name: str) -> tuple[Profile, str]:
    """Return the profile `name`, for `auto` the machine's default, and why in a sentence ("" where it was asked for).

    Looking at the GPUs takes some milliseconds. Raises UsageError for a profile that does not exist.
    """
    if name != "auto":
        return load_profile(name), ""
    from gemma_backend.metrics.gpu import gpus

    name, why = default_profile(gpus())
    return load_profile(name), why


def default_profile(gpus: Sequence[GpuMemory]) -> tuple[str, str]:
    """Return the name of the profile for a machine with `gpus`, and why in a sentence."""
    if not gpus:
        return "pocket", "No NVIDIA GPU was found, so the bundled pocket checkpoint runs on the CPU."
    able = [gpu for gpu in gpus if gpu.compute_capability is None or tuple(gpu.compute_capability) >= MARLIN_CAPABILITY]
    if not able:
        return (
            "pocket",
            f"{gpus[0].name} is too old for NVFP4 weights in vLLM, so the pocket checkpoint runs on the CPU.",
        )
    best = max(able, key=lambda gpu: gpu.free or 0)
    if best.free is None:
        return "pocket", f"{best.name} does not tell how much memory is free, so the pocket checkpoint runs on the CPU."
    if best.free >= WORKSTATION_FREE:
        return "workstation", f"{best.name} has {best.free / GIB:.1f} GiB of memory free; the full model needs 12."
    return (
        "pocket",
        f"{best.name} has {best.free / GIB:.1f} GiB of memory free and the full model needs 12, so the bundled pocket "
        "checkpoint runs on the CPU.",
    )
