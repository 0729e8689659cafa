"""Whether the work can be done here: room on disk and in memory, the target, the tokenizer, and their refusals."""

from __future__ import annotations

import shutil
from pathlib import Path

from gemma_backend.quantize.plan import Plan, has_tokenizer
from gemma_backend.types import BadInput

GB = 1e9


def free_memory() -> int | None:
    """Bytes that programs can still take without swapping, None where the system does not tell (Linux does)."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return int(kilobytes) * 1024 if kilobytes else None


def refuse_target(source: Path, target: Path) -> None:
    """BadInput, in a sentence, if `target` can't become a checkpoint made from `source`."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BadInput(f"{target} is a file: give a folder that does not exist yet.")
    if target.is_dir() and any(target.iterdir()):
        raise BadInput(f"{target} is not empty: give a folder that does not exist yet, or empty this one.")
    if target.resolve().is_relative_to(source.resolve()):
        raise BadInput(f"{target} lies inside the source checkpoint: give a folder elsewhere.")


def refuse_tokenizer(plan: Plan) -> None:
    """BadInput if texts have to be shown to a model that brings no tokenizer."""
    if plan.options.calibrates and not has_tokenizer(plan.source):
        raise BadInput(f"{plan.source} holds no tokenizer, which calibrating needs: copy tokenizer.json into it.")


def refuse_room(plan: Plan, target: Path, *, memory: int | None = None, disk: int | None = None) -> None:
    """BadInput if disk or memory can't hold the work; `memory` and `disk` are what is free, in bytes."""
    parent = next(folder for folder in (target.resolve(), *target.resolve().parents) if folder.is_dir())
    disk = shutil.disk_usage(parent).free if disk is None else disk
    if disk < plan.disk:
        raise BadInput(
            f"Quantising needs {plan.disk / GB:.1f} GB of disk for {target} and {disk / GB:.1f} GB are free: free some "
            "or give a folder on another disk."
        )
    memory = free_memory() if memory is None else memory
    if memory is not None and memory < plan.memory:
        raise BadInput(
            f"Quantising needs about {plan.memory / GB:.1f} GB of memory and {memory / GB:.1f} GB are free: close "
            "other programs or use a larger machine."
        )
