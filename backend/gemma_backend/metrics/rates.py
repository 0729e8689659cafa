"""Two readings -> tokens a second and quantiles, through restarts, gaps and what is no number."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gemma_backend.metrics.parse import Snapshot, labels_of
from gemma_backend.metrics.reading import Histogram, Reading, read
from gemma_backend.types import Quantiles, Replica, Sample

MOST_REPLICAS = 64
"""Engines of one server that are shown apart; a hostile page could name any number."""


def rates(old: Snapshot, new: Snapshot) -> Sample:
    """Return what happened between two snapshots; see `sample`."""
    return sample(read(old), read(new))


def sample(old: Reading | None, new: Reading, since: Reading | None = None) -> Sample:
    """Return the state at `new`, rates since `old`, and latencies since `since` (else `old`).

    Several engines behind one server are summed, their KV cache share is averaged. Whatever the server does not tell,
    or cannot be told from these readings, is None.
    """
    gauges = new.gauges
    preemptions = new.counters.get("preemptions")
    window = since or old
    return Sample(
        at=new.at,
        generation_rate=_rate("generation", old, new),
        prompt_rate=_rate("prompt", old, new),
        running=_rounded(_sum(gauges.get("running"))),
        waiting=_rounded(_sum(gauges.get("waiting"))),
        kv_cache=_share(gauges.get("kv_cache")),
        kv_tokens=_rounded(_sum(gauges.get("kv_tokens"))),
        prefix_hit_rate=_portion("prefix_hits", "prefix_queries", window, new),
        preemptions=round(sum(preemptions.values())) if preemptions else None,
        ttft=_latency("ttft", window, new),
        itl=_latency("itl", window, new),
        e2e=_latency("e2e", window, new),
        make=new.server,
        request_rate=_rate("finished", window, new),
        mm_hit_rate=_portion("mm_hits", "mm_queries", window, new),
        accepted=_portion("accepted", "drafted", window, new),
        api_cpu=_busy(old, new),
        steps=_rate("steps", old, new),
        kv_width=new.kv_width,
        kv_bytes=new.kv_bytes,
        replicas=_replicas(old, new),
    )


def _sum(values: Mapping[str, float] | None) -> float | None:
    return sum(values.values()) if values else None


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _share(values: Mapping[str, float] | None) -> float | None:
    # A share above one is no share: some server means percent, or something else.
    return sum(values.values()) / len(values) if values and max(values.values()) <= 1.0 else None


def _busy(old: Reading | None, new: Reading) -> float | None:
    """Return the cores that the server's own process kept busy."""
    if old is None or old.cpu is None or new.cpu is None or restarted(old, new) or new.at <= old.at:
        return None
    return (new.cpu - old.cpu) / (new.at - old.at) if new.cpu >= old.cpu else None


def _engine_of(labels: str) -> str | None:
    return labels_of(labels).get("engine")


def _replicas(old: Reading | None, new: Reading) -> tuple[Replica, ...]:
    """Return each engine of a server that has several, told apart by their label; () where there is one."""
    running = new.gauges.get("running") or new.counters.get("generation", {})
    if len(running) < 2:
        return ()
    names = sorted({name for labels in running if (name := _engine_of(labels)) is not None}, key=_by_number)
    if len(names) < 2:
        return ()
    apart = {name: _of_engine(old, name) for name in names} if old is not None else {}
    found = []
    for name in names:
        mine, before = _of_engine(new, name), apart.get(name)
        gauges = {key: _sum(values) for key, values in mine.gauges.items()}
        found.append(
            Replica(
                name[:20],
                generation_rate=_rate("generation", before, mine),
                prompt_rate=_rate("prompt", before, mine),
                running=_rounded(gauges.get("running")),
                waiting=_rounded(gauges.get("waiting")),
                kv_cache=_share(mine.gauges.get("kv_cache")),
                kv_tokens=_rounded(gauges.get("kv_tokens")),
            )
        )
    return tuple(found[:MOST_REPLICAS])


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() and len(name) < 10 else (1 << 40, name)


def _of_engine(reading: Reading, name: str) -> Reading:
    """Return what `reading` tells of one engine."""

    def mine(values: Mapping[str, float]) -> dict[str, float]:
        return {labels: value for labels, value in values.items() if _engine_of(labels) == name}

    return Reading(
        reading.at,
        reading.server,
        reading.started,
        {key: mine(reading.counters.get(key, {})) for key in ("generation", "prompt")},
        {key: mine(values) for key, values in reading.gauges.items()},
    )


def restarted(old: Reading, new: Reading) -> bool:
    """Say whether the server's process is another one than before, whatever its counters say."""
    return old.started is not None and new.started is not None and old.started != new.started


def increase(name: str, old: Reading | None, new: Reading) -> float | None:
    """Return by how much a counter grew, over the series that both readings have; None where there are none.

    A series that fell began again from zero, so what it shows is what it grew by since.
    """
    if old is None:
        return None
    before, after = old.counters.get(name, {}), new.counters.get(name, {})
    both = before.keys() & after.keys()
    if not both:
        return None
    anew = restarted(old, new)
    return sum(after[key] if anew or after[key] < before[key] else after[key] - before[key] for key in both)


def _rate(name: str, old: Reading | None, new: Reading) -> float | None:
    grown = increase(name, old, new)
    seconds = new.at - old.at if old is not None else 0.0
    return None if grown is None or seconds <= 0 else grown / seconds


def _portion(part: str, whole: str, old: Reading | None, new: Reading) -> float | None:
    """Return how much of one counter's increase another's is, None where nothing came or they contradict."""
    asked, hit = increase(whole, old, new), increase(part, old, new)
    return hit / asked if asked and hit is not None and 0 <= hit <= asked else None


def _latency(name: str, old: Reading | None, new: Reading) -> Quantiles:
    if old is None:
        return Quantiles()
    before, after = old.histograms.get(name, {}), new.histograms.get(name, {})
    grown = grown_by(before, after, anew=restarted(old, new))
    return Quantiles() if grown is None else quantiles(grown)


def grown_by(before: Mapping[str, Histogram], after: Mapping[str, Histogram], *, anew: bool) -> Histogram | None:
    """Return what came into the histograms of all engines between two readings, None where nothing can be said.

    Only series of both readings count, and only those with the first one's bounds: bounds that changed mean that the
    server was configured anew.
    """
    bounds: tuple[float, ...] = ()
    counts: list[float] = []
    total: float | None = 0.0
    for labels, new in after.items():
        old = before.get(labels)
        if old is None or old.bounds != new.bounds or (bounds and new.bounds != bounds):
            continue
        fresh = anew or new.counts[-1] < old.counts[-1]
        grown = new.counts if fresh else tuple(b - a for a, b in zip(old.counts, new.counts, strict=True))
        counts = [a + b for a, b in zip(counts, grown, strict=True)] if counts else list(grown)
        bounds = new.bounds
        if total is None or new.total is None or (old.total is None and not fresh):
            total = None
        else:
            total += new.total - (0.0 if fresh else old.total or 0.0)
    return Histogram(bounds, tuple(counts), total) if counts else None


def quantiles(histogram: Histogram) -> Quantiles:
    """Return p50, p95, p99 and mean in the unit of the bounds, None for all where the histogram is empty.

    As in Prometheus' `histogram_quantile`: even spread within a bucket, whose lower bound is zero in the first; in
    the infinite bucket the largest finite bound, since more is not known.
    """
    count = histogram.counts[-1]
    if count <= 0:
        return Quantiles()
    mean = None if histogram.total is None or histogram.total < 0 else histogram.total / count
    return Quantiles(_quantile(histogram, 0.5), _quantile(histogram, 0.95), _quantile(histogram, 0.99), mean)


def _quantile(histogram: Histogram, share: float) -> float | None:
    wanted = share * histogram.counts[-1]
    below = lower = 0.0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
        if count >= wanted and count > below:
            if bound == math.inf:
                return lower if lower > 0 else None
            if bound <= 0:
                return bound
            # Rounding may carry it past the bound.
            return min(bound, lower + (bound - lower) * (wanted - below) / (count - below))
        below, lower = max(below, count), bound
    return None
