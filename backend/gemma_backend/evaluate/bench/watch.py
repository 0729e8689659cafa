"""What the server and its machine show while a round runs."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from gemma_backend.evaluate.bench.records import ServerLoad
from gemma_backend.metrics.poll import Poller
from gemma_backend.types import Endpoint, Sample


class Watch:
    """Samples the server once a second between `begin` and `end`; what it does not tell is None."""

    def __init__(self, endpoint: Endpoint, pid: int | None = None) -> None:
        self._endpoint = endpoint
        self._pid = pid
        self._samples: list[Sample] = []
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Start to look."""
        self._samples = []
        self._task = asyncio.create_task(self._look())

    async def end(self) -> ServerLoad:
        """Stop, and return what was seen."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        return summed_up(self._samples)

    async def _look(self) -> None:
        async with aclosing(Poller(self._endpoint, self._pid).samples()) as samples:
            async for sample in samples:
                self._samples.append(sample)


def summed_up(samples: list[Sample]) -> ServerLoad:
    """Peaks, means and increases over `samples`."""
    shares = [sample.kv_cache for sample in samples if sample.kv_cache is not None]
    hits = [sample.prefix_hit_rate for sample in samples if sample.prefix_hit_rate is not None]
    preempted = [sample.preemptions for sample in samples if sample.preemptions is not None]
    used = [sum(gpu.used for gpu in sample.gpus if gpu.used is not None) for sample in samples if sample.gpus]
    power = [sum(gpu.power for gpu in sample.gpus if gpu.power is not None) for sample in samples if sample.gpus]
    engine = [sample.host.engine for sample in samples if sample.host is not None and sample.host.engine is not None]
    return ServerLoad(
        kv_cache_peak=max(shares, default=None),
        prefix_hit_rate=hits[-1] if hits else None,
        preemptions=max(0, preempted[-1] - preempted[0]) if preempted else None,
        gpu_memory_peak=max(used, default=0) or None,
        gpu_power_mean=round(sum(power) / len(power), 1) if any(power) else None,
        engine_memory_peak=max(engine, default=None),
    )
