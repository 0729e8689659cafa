"""Whether a runtime's transformers reads a checkpoint's config.json, asked before a start that would take a minute."""

from __future__ import annotations

from pathlib import Path

from gemma_backend.checkpoint.reader import NEWER, need_of, unreadable
from gemma_backend.runtime.found import Runtime
from gemma_backend.runtime.packages import packages
from gemma_backend.types import EngineError


def refuse_unreadable(checkpoint: Path, runtime: Runtime) -> None:
    """EngineError, in a sentence, if `runtime` is sure to fail on the config.

    The runtime is asked only where one could fail: for a fraction of a second, in an image for a few.
    """
    wanted = need_of(checkpoint)
    if wanted is None or not wanted.certain:
        return
    held = packages(runtime)
    said = unreadable(held.versions.get("transformers") if held is not None else None, wanted)
    if said is not None:
        raise EngineError(f"{runtime.name} cannot serve {checkpoint.name}: {said}. {NEWER}")
