"""What the dashboard shows at one moment; None always means "not available", never zero."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Quantiles of a latency over the last window, in seconds."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    mean: float | None = None


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """One GPU: bytes, watts, degrees Celsius, MHz and a share from 0 to 1.

    On unified memory (DGX Spark) `total` and `used` are those of the host and `unified` is true.
    """

    index: int
    name: str
    uuid: str
    total: int | None = None
    used: int | None = None
    free: int | None = None
    unified: bool = False
    utilisation: float | None = None
    power: float | None = None
    temperature: float | None = None
    clock: int | None = None
    compute_capability: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Host memory in bytes; `engine` is the resident memory of the engine's whole process tree."""

    total: int
    available: int
    engine: int | None = None
    engine_cpu: float | None = None


@dataclass(frozen=True, slots=True)
class Replica:
    """One engine of a server that runs several (vLLM's data parallelism); `name` is its label there."""

    name: str
    generation_rate: float | None = None
    prompt_rate: float | None = None
    running: int | None = None
    waiting: int | None = None
    kv_cache: float | None = None
    kv_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class OwnRow:
    """One request that this program sent: `state` is waiting, streaming, done or failed; seconds, tokens a second."""

    state: str
    age: float
    ttft: float | None = None
    rate: float | None = None
    tokens: int = 0
    prompt_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at an engine: tokens a second, requests, KV cache share (0 to 1), latencies, memory.

    `at` is a monotonic time in seconds. `kv_width` are bytes of a number in the KV cache and `kv_bytes` the cache's
    size, where the server tells. `accepted` is the share of speculated tokens that were right, `api_cpu` the cores that
    the server's own process keeps busy, `steps` the engine's iterations a second.
    """

    at: float
    generation_rate: float | None = None
    prompt_rate: float | None = None
    running: int | None = None
    waiting: int | None = None
    kv_cache: float | None = None
    kv_tokens: int | None = None
    prefix_hit_rate: float | None = None
    preemptions: int | None = None
    ttft: Quantiles = Quantiles()
    itl: Quantiles = Quantiles()
    e2e: Quantiles = Quantiles()
    host: HostMemory | None = None
    gpus: tuple[GpuMemory, ...] = ()
    note: str = ""
    make: str = ""
    request_rate: float | None = None
    mm_hit_rate: float | None = None
    accepted: float | None = None
    api_cpu: float | None = None
    steps: float | None = None
    kv_width: float | None = None
    kv_bytes: int | None = None
    replicas: tuple[Replica, ...] = ()
    own: tuple[OwnRow, ...] = ()
