"""What is known of the server that is measured, for a report."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.endpoint.address import is_local, place
from gemma_backend.evaluate.bench.records import Target
from gemma_backend.metrics.gpu import gpus

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.engine.record import Record
    from gemma_backend.types import Endpoint

# vllm/v1/worker: both model runners write it, one of them without "memory" in some versions.
_LOADED = re.compile(rb"Model loading took (\d+(?:\.\d+)?) GiB")
_LOG_BYTES = 4 << 20


def target_of(
    endpoint: Endpoint, model: str, version: str | None, profile: Profile | None, record: Record | None
) -> Target:
    """Return what to write into a report; `record` is that of an engine of ours, where it is one."""
    here = is_local(endpoint)
    return Target(
        url=place(endpoint) if record is None else f"profile {record.profile}",
        model=model,
        server=f"vLLM {version}" if version else "",
        profile=profile.name if profile is not None else "",
        flags=dict(profile.flags) if profile is not None else {},
        gpus=tuple(gpu.name for gpu in gpus()) if here else (),
        processors=os.cpu_count() if here else None,
        checkpoint_bytes=_size(Path(record.checkpoint)) if record is not None else None,
        weights_bytes=_weights(record.log) if record is not None else None,
    )


def _size(folder: Path) -> int | None:
    sizes = [path.stat().st_size for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []
    return sum(sizes) or None


def _weights(log: Path) -> int | None:
    """Bytes that the engine's log says its weights take."""
    try:
        with log.open("rb") as file:
            found = _LOADED.search(file.read(_LOG_BYTES))
    except OSError:
        return None
    return round(float(found[1]) * (1 << 30)) if found else None
