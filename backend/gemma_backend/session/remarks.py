"""What becomes of a checkpoint's FP4 weights on this machine's GPU, said where vLLM does not say it or misleads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.checkpoint.fp4 import Fp4, look_at
from gemma_backend.engine.command import version_tuple
from gemma_backend.engine.fp4_backend import FLAG, MARLIN, VARIABLE, guesses_wrong
from gemma_backend.engine.notes import of_weights
from gemma_backend.session.planning import chosen_gpu
from gemma_backend.types import UsageError

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.runtime.found import Runtime

Capability = tuple[int, int] | None


def remarks(runtime: Runtime, checkpoint: Path) -> Callable[[Profile], tuple[str, ...]]:
    """What an engine asks once it was spawned: `of_kernels` for this runtime and checkpoint; blocks for some 100 ms."""

    def asked(profile: Profile) -> tuple[str, ...]:
        if runtime.device == "cpu" or (weights := look_at(checkpoint)) is None:
            return ()
        from gemma_backend.metrics.gpu import gpus

        try:
            chosen = chosen_gpu(gpus(), profile)
        except UsageError:
            # The engine runs already, and on another GPU than is asked for now.
            return ()
        return of_kernels(profile, weights, runtime.version, [chosen.compute_capability] if chosen is not None else [])

    return asked


def of_kernels(
    profile: Profile, weights: Fp4 | None, version: str, capabilities: Iterable[Capability]
) -> tuple[str, ...]:
    """Sentences on the kernels that this vLLM takes for `weights` on GPUs with these compute capabilities; pure."""
    asked = str(profile.flags.get(FLAG) or profile.environment.get(VARIABLE) or "")
    told = []
    if not asked and guesses_wrong(weights, version_tuple(version)):
        told.append(f"vLLM {version} would take its weight-only FP4 for W4A4, so Marlin kernels are asked for.")
    return (*told, *of_weights(weights, capabilities, marlin=asked.lower() == MARLIN))
