"""The course of each figure: an hour by the second and a day by the minute, in memory that does not grow."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping

from gemma_backend.types import Sample

SECONDS = 3600
MINUTES = 1440


def _gpu_used(sample: Sample) -> float | None:
    used = [gpu.used for gpu in sample.gpus if gpu.used is not None]
    return float(sum(used)) if used else None


def _gpu_busy(sample: Sample) -> float | None:
    busy = [gpu.utilisation for gpu in sample.gpus if gpu.utilisation is not None]
    return sum(busy) / len(busy) if busy else None


def _gpu_power(sample: Sample) -> float | None:
    power = [gpu.power for gpu in sample.gpus if gpu.power is not None]
    return sum(power) if power else None


FIGURES: Mapping[str, Callable[[Sample], float | None]] = {
    "generation": lambda sample: sample.generation_rate,
    "prompt": lambda sample: sample.prompt_rate,
    "running": lambda sample: sample.running,
    "waiting": lambda sample: sample.waiting,
    "kv_cache": lambda sample: sample.kv_cache,
    "preemptions": lambda sample: sample.preemptions,
    "prefix_hits": lambda sample: sample.prefix_hit_rate,
    "ttft": lambda sample: sample.ttft.p50,
    "itl": lambda sample: sample.itl.p50,
    "e2e": lambda sample: sample.e2e.p50,
    "engine_memory": lambda sample: sample.host.engine if sample.host else None,
    "engine_cpu": lambda sample: sample.host.engine_cpu if sample.host else None,
    "host_memory": lambda sample: sample.host.total - sample.host.available if sample.host else None,
    "gpu_memory": _gpu_used,
    "gpu_busy": _gpu_busy,
    "gpu_power": _gpu_power,
}
"""What is kept of a sample, by name; rates a second, shares from 0 to 1, seconds and bytes as in Sample."""


class Ring:
    """The last `size` values of one figure, with gaps; four bytes each."""

    def __init__(self, size: int) -> None:
        self._values = array("f", [math.nan]) * size
        self._next = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, value: float | None) -> None:
        """Add a value, None for a gap; the oldest makes room."""
        try:
            self._values[self._next] = math.nan if value is None else value
        except OverflowError:
            self._values[self._next] = math.nan
        self._next = (self._next + 1) % len(self._values)
        self._count = min(self._count + 1, len(self._values))

    def last(self, count: int) -> list[float | None]:
        """Return the newest `count` values, oldest first, fewer where there are no more."""
        count = min(count, self._count)
        start = self._next - count
        found = self._values[start : self._next] if start >= 0 else self._values[start:] + self._values[: self._next]
        return [None if math.isnan(value) else value for value in found]


class History:
    """The course of all figures, about 340 kB; `added` counts every sample there ever was, gaps included.

    `interval` are the seconds between two samples.
    """

    def __init__(self, interval: float = 1.0) -> None:
        self.interval = interval
        self.added = 0
        self.minutes_added = 0
        self._seconds = {name: Ring(SECONDS) for name in FIGURES}
        self._minutes = {name: Ring(MINUTES) for name in FIGURES}
        self._minute: int | None = None
        self._at: float | None = None
        self._sums: dict[str, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._seconds["generation"])

    def add(self, sample: Sample) -> None:
        """Keep `sample`; samples are expected every `interval`, and what did not come in time leaves a gap."""
        if self._at is not None:
            missed = min(round((sample.at - self._at) / self.interval) - 1, SECONDS)
            for _ in range(missed):
                self.added += 1
                for ring in self._seconds.values():
                    ring.add(None)
        self._at = sample.at
        minute = int(sample.at // 60)
        if self._minute is not None and minute != self._minute:
            # Minutes that saw no sample are gaps; no more of them than there is room for.
            self._close_minute(gaps=max(0, min(minute - self._minute - 1, MINUTES)))
        self._minute = minute
        self.added += 1
        for name, figure in FIGURES.items():
            value = figure(sample)
            self._seconds[name].add(value)
            if value is not None:
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = total + value, count + 1

    def last(self, name: str, count: int = SECONDS) -> list[float | None]:
        """Return the newest `count` samples of a figure, oldest first, None where it was not available."""
        return self._seconds[name].last(count)

    def minutes(self, name: str, count: int = MINUTES) -> list[float | None]:
        """Return the means of the newest `count` whole minutes of a figure, oldest first."""
        return self._minutes[name].last(count)

    def _close_minute(self, gaps: int) -> None:
        self.minutes_added += 1 + gaps
        for name, ring in self._minutes.items():
            total, count = self._sums.get(name, (0.0, 0))
            ring.add(total / count if count else None)
            for _ in range(gaps):
                ring.add(None)
        self._sums.clear()
