"""The profile as it is run on this machine: which GPU, and what `auto` comes to with the memory that is free."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.checkpoint.fit import Card, Plan, fit, is_auto
from gemma_backend.checkpoint.header import Checkpoint, read_checkpoint
from gemma_backend.config.profiles import Profile
from gemma_backend.session.visible import VARIABLE, most_free, visible, wanted
from gemma_backend.types import EngineError, GpuMemory

if TYPE_CHECKING:
    from gemma_backend.runtime.found import Runtime

GIB = 1 << 30
# What an engine's processes take of the host's memory besides a table that is kept there.
HOST_PROCESSES = 3 * GIB
# vLLM keeps these on small steps whatever their memory: A100 by name, GB10 by capability (engine/arg_utils.py).
SMALL_STEPS = ("A100",)
GB10 = (12, 1)
PUBLISHED_WHY = "No GPU tells here how much memory is free, so the published options are taken."
# vLLM knows `auto` itself for these.
_OWN_AUTO = ("dtype", "kv-cache-dtype", "load-format", "tokenizer-mode")


def planner(runtime: Runtime, checkpoint: Path) -> Callable[[Profile], tuple[Profile, str]]:
    """What an engine asks just before it is spawned: `fitted` for this runtime and checkpoint."""
    return lambda profile: fitted(profile, runtime, checkpoint)


def fitted(profile: Profile, runtime: Runtime, checkpoint: Path) -> tuple[Profile, str]:
    """Return `profile` with its GPU named and nothing left at `auto`, and what was planned in words ("" if nothing).

    Blocks for some 100 ms. Raises EngineError where the checkpoint cannot fit, UsageError for a GPU that is not there.
    """
    if runtime.device == "cpu":
        if not is_auto(profile.flags, profile.media) and profile.media == "on":
            return profile, ""
        return _laid_over(profile, _on_cpu(profile, read_checkpoint(checkpoint)))
    from gemma_backend.metrics.gpu import gpus

    every = gpus()
    chosen = chosen_gpu(every, profile)
    if chosen is not None and len(every) > 1 and not _spread(profile) and VARIABLE not in profile.environment:
        # By UUID: CUDA numbers GPUs by speed, NVML by their place on the bus.
        named = {VARIABLE: chosen.uuid} if chosen.uuid else {}
        profile = profile.model_copy(update={"environment": {**named, **profile.environment}})
    if not is_auto(profile.flags, profile.media) and profile.media == "on":
        return profile, ""
    if chosen is None or chosen.total is None or chosen.free is None:
        return published(profile)
    return _laid_over(profile, planned(profile, read_checkpoint(checkpoint), card_of(chosen)))


def chosen_gpu(gpus: tuple[GpuMemory, ...], profile: Profile) -> GpuMemory | None:
    """The GPU that an engine of `profile` runs on: the one that it names, else of those left the one with most room."""
    environment = {**os.environ, **profile.environment}
    return most_free(visible(gpus, environment) if profile.gpu is None else wanted(gpus, profile.gpu))


def card_of(gpu: GpuMemory) -> Card:
    """A GPU as the planner sees it; its total and free memory must be known."""
    assert gpu.total is not None
    assert gpu.free is not None
    large = gpu.compute_capability != GB10 and not any(name in gpu.name for name in SMALL_STEPS)
    return Card(gpu.total, gpu.free, gpu.name, gpu.unified, large)


def planned(profile: Profile, checkpoint: Checkpoint, card: Card, *, host: bool = True) -> Plan:
    """How a profile's checkpoint is served on `card`; with `host` the host's free memory is looked at, too."""
    from gemma_backend.metrics.host import host_memory

    memory = host_memory() if host else None
    return fit(
        checkpoint,
        profile.flags,
        card,
        table_on_host=profile.per_layer_table == "host",
        media=profile.media,
        host_free=memory.available - HOST_PROCESSES if memory is not None else None,
    )


def _on_cpu(profile: Profile, checkpoint: Checkpoint) -> Plan:
    from gemma_backend.metrics.host import host_memory

    memory = host_memory()
    if memory is None:
        raise EngineError("This system does not tell how much memory is free: set max-model-len to a number.")
    return planned_on_cpu(profile, checkpoint, Card(memory.total, memory.available, "the host"))


def planned_on_cpu(profile: Profile, checkpoint: Checkpoint, card: Card) -> Plan:
    """How a profile's checkpoint is served on the CPU with the host's memory `card`."""
    space = profile.environment.get("VLLM_CPU_KVCACHE_SPACE", "1")
    try:
        cache = round(float(space) * GIB)
    except ValueError:
        raise EngineError(f"VLLM_CPU_KVCACHE_SPACE={space} is no number of GiB: mend it in the profile.") from None
    return fit(checkpoint, profile.flags, card, media=profile.media, device="cpu", cache_bytes=cache)


def _laid_over(profile: Profile, plan: Plan) -> tuple[Profile, str]:
    if not plan.fits:
        raise EngineError(f"{plan.verdict} Numbers in the profile's flags instead of `auto` are tried as they are.")
    update = {"flags": {**profile.flags, **plan.flags}}
    return profile.model_copy(update=update), " ".join((plan.verdict, *plan.notes))


def published(profile: Profile) -> tuple[Profile, str]:
    """`profile` with its published options where no memory can be read, and why.

    One without any gets the published share and the checkpoint's own context.
    """
    if profile.published:
        return profile.model_copy(update={"flags": {**profile.published, **_without_media(profile)}}), PUBLISHED_WHY
    flags = {name: value for name, value in profile.flags.items() if value != "auto" or name in _OWN_AUTO}
    if profile.flags.get("gpu-memory-utilization") == "auto":
        flags["gpu-memory-utilization"] = 0.30
    flags |= _without_media(profile)
    words = "The GPU does not tell how much memory is free, so the published share of 0.30 is taken."
    return profile.model_copy(update={"flags": flags}), words


def _without_media(profile: Profile) -> dict[str, bool]:
    return {"language-model-only": True} if profile.media == "off" else {}


def _spread(profile: Profile) -> bool:
    """Whether the engine runs on several GPUs."""
    names = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")
    return any(str(profile.flags.get(name, 1)) != "1" for name in names)
