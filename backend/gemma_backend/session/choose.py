"""Which profile to start: the one that was chosen, or on a machine where nobody has chosen one, the one that fits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

from gemma_backend.config.profiles import Profile, load_profile
from gemma_backend.config.settings import Settings, load
from gemma_backend.session.visible import VARIABLE, most_free, other_gpus, visible, wanted
from gemma_backend.types import GpuMemory

GIB = 1 << 30
# The checkpoint's 7.3 GiB of weights, what CUDA and vLLM take besides, and two whole contexts.
WORKSTATION_FREE = 12 * GIB
# Without the per-layer table 3 GiB of weights remain, without the towers 2.
SMALL_FREE = 4 * GIB
# vLLM's Marlin kernels, which NVFP4 weights run on before Blackwell, start with Turing.
MARLIN_CAPABILITY = (7, 5)

Fallback = Literal["pocket", "cpu"]


def chosen_profile(name: str, settings: Settings | None = None) -> tuple[Profile, str]:
    """Return the profile `name`, for `auto` the machine's default, and why in a sentence ("" where it was asked for).

    Looking at the GPUs takes some milliseconds. Raises UsageError for a profile or a GPU that does not exist.
    """
    settings = settings or load().settings
    why = ""
    if name == "auto":
        from gemma_backend.metrics.gpu import gpus

        others = other_gpus()
        name, why = default_profile(gpus(), gpu=settings.gpu, without_gpu=settings.without_gpu, others=others)
    profile = load_profile(name)
    return (profile if settings.gpu is None else profile.model_copy(update={"gpu": settings.gpu})), why


def default_profile(
    gpus: Sequence[GpuMemory],
    *,
    gpu: int | None = None,
    environment: Mapping[str, str] | None = None,
    without_gpu: Fallback = "pocket",
    others: Sequence[str] = (),
) -> tuple[str, str]:
    """Return the name of the profile for a machine with `gpus`, and why in a sentence.

    `gpu` is the number of the one to use, `environment` holds CUDA_VISIBLE_DEVICES (this process's if None), `others`
    are GPUs of other makers in words, `without_gpu` is what runs where no GPU fits. UsageError for a `gpu` that is not
    there.
    """
    environment = os.environ if environment is None else environment
    usable = wanted(gpus, gpu) if gpu is not None else visible(gpus, environment)
    instead = (
        "the full model runs on the CPU." if without_gpu == "cpu" else "the bundled pocket checkpoint runs on the CPU."
    )
    if not usable:
        return without_gpu, f"{_none_found(gpus, environment, others)}, so {instead}"
    able = [one for one in usable if one.compute_capability is None or one.compute_capability >= MARLIN_CAPABILITY]
    if not able:
        return without_gpu, f"{usable[0].name} is too old for NVFP4 weights in vLLM, so {instead}"
    best = most_free(able)
    assert best is not None
    if best.unified:
        return "dgx-spark", f"{best.name} shares the host's memory, of which a tenth is taken."
    if best.free is None:
        return without_gpu, f"{best.name} does not tell how much memory is free, so {instead}"
    told = f"{best.name} has {best.free / GIB:.1f} GiB of memory free"
    if best.free >= WORKSTATION_FREE:
        return "workstation", f"{told}; the full model needs 12."
    if best.free >= SMALL_FREE:
        return "small-gpu", f"{told}: the per-layer embedding table stays in host memory, since the whole needs 12."
    return without_gpu, f"{told} and the full model needs 4, so {instead}"


def _none_found(gpus: Sequence[GpuMemory], environment: Mapping[str, str], others: Sequence[str]) -> str:
    if gpus:
        return f"{VARIABLE}={environment.get(VARIABLE)} leaves no GPU to use"
    if others:
        return f"No NVIDIA GPU was found (but {' and '.join(others)}, for which there is no runtime here)"
    return "No NVIDIA GPU was found"
