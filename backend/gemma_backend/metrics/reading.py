"""What of a snapshot is kept: counters, gauges and histograms by the names the dashboard knows them by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gemma_backend.metrics.dialect import Dialect, dialect_of
from gemma_backend.metrics.parse import Snapshot, bucket_of, labels_of

COUNTERS = (
    "generation", "prompt", "prefix_queries", "prefix_hits", "preemptions", "finished", "mm_queries", "mm_hits",
    "drafted", "accepted", "steps",
)  # fmt: skip
GAUGES = ("running", "waiting", "kv_cache", "kv_tokens")
HISTOGRAMS = ("ttft", "itl", "e2e")

LARGEST = 1e18
"""Above this a value is no count of anything here, and sums of such values would be infinite."""

MAX_BUCKETS = 512
"""Buckets of one histogram that are read; vLLM's have about 20."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts of values up to each bound (seconds, ascending, the last one infinite), and their sum."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a server: series by their labels (one for each engine), under the names of Sample's fields.

    `started` is the server process's own start time in seconds since 1970, `cpu` the processor time that it has taken,
    None where it does not tell. `kv_width` and `kv_bytes` are as in Sample.
    """

    at: float
    server: str = ""
    started: float | None = None
    counters: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gauges: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    cpu: float | None = None
    kv_width: float | None = None
    kv_bytes: int | None = None
    histograms: Mapping[str, Mapping[str, Histogram]] = field(default_factory=dict)


def read(snapshot: Snapshot) -> Reading:
    """Return what the dashboard knows of `snapshot`; an empty reading where the server is of no known kind."""
    dialect = dialect_of(snapshot)
    if dialect is None:
        return Reading(snapshot.at)
    gauges = {name: _values(snapshot, getattr(dialect, name)) for name in GAUGES}
    if not gauges["kv_tokens"]:
        gauges["kv_tokens"] = _cache_numbers(snapshot, "kv_cache_size_tokens")
    sizes = _cache_numbers(snapshot, "kv_cache_memory_bytes")
    return Reading(
        at=snapshot.at,
        server=dialect.server,
        started=next((value for _, value in snapshot.of("process_start_time_seconds") if math.isfinite(value)), None),
        counters={name: _counters(snapshot, getattr(dialect, name)) for name in COUNTERS},
        gauges=gauges,
        cpu=next((value for _, value in snapshot.of("process_cpu_seconds_total") if 0 <= value <= LARGEST), None),
        kv_width=_cache_width(snapshot),
        kv_bytes=round(sum(sizes.values())) if sizes else None,
        histograms={name: _histograms(snapshot, dialect, name) for name in HISTOGRAMS},
    )


def _first(snapshot: Snapshot, names: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    return next((snapshot.of(name) for name in names if name in snapshot), ())


def _counters(snapshot: Snapshot, names: tuple[str, ...]) -> dict[str, float]:
    found = _first(snapshot, names)
    return {labels: value for labels, value in found if 0 <= value <= LARGEST}


def _values(snapshot: Snapshot, names: tuple[str, ...]) -> dict[str, float]:
    return {labels: value for labels, value in _first(snapshot, names) if 0 <= value <= LARGEST}


def _cache_numbers(snapshot: Snapshot, name: str) -> dict[str, float]:
    """Return a number of each vLLM engine's KV cache, as it says in a label (0.26 and later), by the series' labels.

    Blocks times block size, which earlier versions tell, is another number of tokens where layers have caches of
    several kinds.
    """
    found = {}
    for labels, _ in snapshot.of("vllm:cache_config_info"):
        text = labels_of(labels).get(name, "")
        # More digits than that are no number of tokens or bytes, and Python refuses to read some thousands.
        if text.isascii() and text.isdigit() and len(text) <= 15:
            found[labels] = float(text)
    return found


def _cache_width(snapshot: Snapshot) -> float | None:
    """Return the bytes of one number in vLLM's KV cache, None where its type is not told."""
    for labels, _ in snapshot.of("vllm:cache_config_info"):
        kind = labels_of(labels).get("cache_dtype", "")
        if kind.startswith(("fp8", "int8")):
            return 1.0
        if kind in ("auto", "bfloat16", "float16", "half"):
            return 2.0
    return None


def _histograms(snapshot: Snapshot, dialect: Dialect, name: str) -> dict[str, Histogram]:
    for family in getattr(dialect, name):
        buckets = snapshot.of(f"{family}_bucket")
        if buckets:
            return _assembled(buckets, dict(snapshot.of(f"{family}_sum")))
    return {}


def _assembled(buckets: tuple[tuple[str, float], ...], sums: Mapping[str, float]) -> dict[str, Histogram]:
    grouped: dict[str, dict[float, float]] = {}
    for labels, value in buckets:
        bucket = bucket_of(labels)
        if bucket is None or not 0 <= value <= LARGEST or math.isnan(bucket[1]):
            continue
        group = grouped.setdefault(bucket[0], {})
        if len(group) < MAX_BUCKETS:
            group[bucket[1]] = value
    found = {}
    for labels, group in grouped.items():
        bounds = tuple(sorted(group))
        if bounds[-1] == math.inf:
            total = sums.get(labels)
            sane = total if total is not None and math.isfinite(total) else None
            found[labels] = Histogram(bounds, tuple(group[bound] for bound in bounds), sane)
    return found
