"""What is known of an engine besides its samples: what its memory holds, and how fast its memory could be read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemma_backend.checkpoint.header import Checkpoint, read_checkpoint
from gemma_backend.config.paths import ensure, state_dir
from gemma_backend.metrics.bandwidth import bandwidth_of
from gemma_backend.metrics.limit import TokenBytes, cache_bytes, explained, fastest, token_bytes, unpacked_bytes
from gemma_backend.types import GemmaError, GpuMemory, Sample

GIB = 1 << 30
LOG_BYTES = 4 << 20
"""How much of a log is looked through; a start writes some 60 kB."""
# vllm/v1/worker: gpu_worker.py, gpu_model_runner.py and gpu/model_runner.py of 0.19 to 0.33.
_WEIGHTS = re.compile(r"Model loading took (\d+(?:\.\d+)?) GiB")
_CACHE = re.compile(r"(?:Available KV cache memory: |Explicitly set \()(\d+(?:\.\d+)?)(?:/[\d.]+\))? GiB")
_GRAPHS = re.compile(r"Graph capturing finished in \d+(?:\.\d+)? secs?, took (\d+(?:\.\d+)?) GiB")
# Written by our own plugin when the per-layer embedding table stays in host memory.
_TABLE = re.compile(r"per-layer embedding table is in host memory: (\d+(?:\.\d+)?) GiB")


@dataclass(frozen=True, slots=True)
class MemoryParts:
    """Bytes that an engine's parts take, None for what is not known; `table` is what it keeps in host memory."""

    weights: int | None = None
    kv_cache: int | None = None
    graphs: int | None = None
    table: int | None = None

    def split(self, used: int, kv_cache: int | None = None) -> tuple[tuple[str, int], ...]:
        """Return names and bytes that add up to `used`, the rest as `other`; () where nothing but the sum is known."""
        parts = {"weights": self.weights, "KV": self.kv_cache or kv_cache, "graphs": self.graphs}
        known = [(name, size) for name, size in parts.items() if size]
        rest = used - sum(size for _, size in known)
        # What was planned may not be resident yet: then a split would be a guess.
        if not known or rest < 0:
            return ()
        return (*known, ("other", rest))


def read_parts(text: str) -> MemoryParts:
    """Read an engine's log; of several starts or workers in it the last counts."""

    def last(pattern: re.Pattern[str]) -> int | None:
        found = pattern.findall(text)
        return round(float(found[-1]) * GIB) if found else None

    return MemoryParts(last(_WEIGHTS), last(_CACHE), last(_GRAPHS), last(_TABLE))


@dataclass(frozen=True, slots=True)
class Limit:
    """How near an engine comes to what its memory allows; `share` is None while nothing is generated."""

    rate: float
    share: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one engine; `on_gpu` tells whose memory `parts` are.

    `bandwidth` is that of all devices which read the weights together, in bytes a second.
    """

    parts: MemoryParts = MemoryParts()
    on_gpu: bool = False
    read: TokenBytes | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    bandwidth: float | None = None
    measured: bool = False
    device: str = ""
    why_not: str = ""

    def limit(self, sample: Sample) -> Limit | None:
        """Return the limit under the load of `sample`, None where checkpoint or bandwidth are not known."""
        if self.read is None or self.bandwidth is None:
            return None
        streams = max(1, sample.running or 0)
        speculating = sample.accepted is not None
        if sample.generation_rate and sample.steps and not speculating:
            # At the end of a burst fewer requests run than made the tokens that are told.
            streams = max(streams, math.ceil(sample.generation_rate / sample.steps - 1e-6))
        context = 0
        if sample.kv_cache is not None and sample.kv_tokens:
            context = round(sample.kv_cache * sample.kv_tokens / streams)
        cache = cache_bytes(self.config, context, sample.kv_width or 2.0)
        read = TokenBytes(self.read.weights, self.read.row, cache, self.read.row_from_host)
        most = fastest(read, self.bandwidth, streams)
        rate = sample.generation_rate
        # More than all there is means that something else is counted than what is read for.
        rate = rate if rate and rate <= most else None
        said = explained(
            rate, read, self.bandwidth, self.device, streams, measured=self.measured, speculating=speculating
        )
        return Limit(most, rate / most if rate else None, said)


def facts_of(
    checkpoint: Path | None,
    log: Path | None,
    gpus: Iterable[GpuMemory],
    *,
    on_gpu: bool,
    table_on_host: bool = False,
    devices: int = 1,
) -> Facts:
    """Return what can be known of an engine; it reads the log and the checkpoint's headers, so call it in a thread.

    `devices` is how many read a share of the weights each (tensor parallelism).
    """
    parts = read_parts(_start_of(log)) if log is not None else MemoryParts()
    found = _checkpoint(checkpoint)
    if found is not None and not on_gpu and parts.weights is None:
        parts = MemoryParts(sum(map(unpacked_bytes, found.tensors.values())), parts.kv_cache, parts.graphs)
    name = next((gpu.name for gpu in gpus), "") if on_gpu else processor_name()
    measured = measured_bandwidths().get(name)
    stated = bandwidth_of(name) if on_gpu else None
    bandwidth = measured if measured is not None else stated
    why_not = ""
    if found is None:
        why_not = "the checkpoint's files are not here"
    elif bandwidth is None:
        why_not = (
            f"the memory bandwidth of {name or 'this device'} is not known: `gemma-tui bench --bandwidth` measures it"
        )
    return Facts(
        parts=parts,
        on_gpu=on_gpu,
        read=token_bytes(found, table_on_host=table_on_host, unpacked=not on_gpu) if found is not None else None,
        config=found.config if found is not None else {},
        bandwidth=None if bandwidth is None else bandwidth * devices,
        measured=measured is not None,
        device=name.removeprefix("NVIDIA ") if on_gpu else "this processor",
        why_not=why_not,
    )


def processor_name() -> str:
    """What this machine's processor calls itself, with the number of its cores that may be used."""
    import os

    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Processor")))
    return f"{next(named, 'processor')}, {count} cores"


def measured_bandwidths() -> dict[str, float]:
    """Return the bytes a second that were measured here, by the device's name."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float) and value > 0}


def remember_bandwidth(name: str, value: float) -> None:
    """Keep a measured value for the dashboard."""
    ensure(state_dir())
    _file().write_text(json.dumps(measured_bandwidths() | {name: value}, indent=1), encoding="utf-8")


def _file() -> Path:
    return state_dir() / "bandwidth.json"


def _checkpoint(folder: Path | None) -> Checkpoint | None:
    if folder is None:
        return None
    try:
        return read_checkpoint(folder)
    except (GemmaError, OSError):
        return None


def _start_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            return file.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
