"""Two readings -> tokens a second and quantiles, through restarts, gaps and what is no number."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gemma_backend.metrics.parse import Snapshot
from gemma_backend.metrics.reading import Histogram, Reading, read
from gemma_backend.types import Quantiles, Sample


def rates(old: Snapshot, new: Snapshot) -> Sample:
    """Return what happened between two snapshots; see `sample`."""
    return sample(read(old), read(new))


def sample(old: Reading | None, new: Reading, since: Reading | None = None) -> Sample:
    """Return the state at `new`, rates since `old`, and latencies since `since` (else `old`).

    Several engines behind one server are summed, their KV cache share is averaged. Whatever the server does not tell,
    or cannot be told from these readings, is None.
    """
    gauges = new.gauges
    running, waiting = _sum(gauges.get("running")), _sum(gauges.get("waiting"))
    share, tokens = gauges.get("kv_cache"), _sum(gauges.get("kv_tokens"))
    preemptions = new.counters.get("preemptions")
    return Sample(
        at=new.at,
        generation_rate=_rate("generation", old, new),
        prompt_rate=_rate("prompt", old, new),
        running=None if running is None else round(running),
        waiting=None if waiting is None else round(waiting),
        kv_cache=_share(share),
        kv_tokens=None if tokens is None else round(tokens),
        prefix_hit_rate=_hit_rate(since or old, new),
        preemptions=round(sum(preemptions.values())) if preemptions else None,
        ttft=_latency("ttft", since or old, new),
        itl=_latency("itl", since or old, new),
        e2e=_latency("e2e", since or old, new),
    )


def _sum(values: tuple[float, ...] | None) -> float | None:
    return sum(values) if values else None


def _share(values: tuple[float, ...] | None) -> float | None:
    # A share above one is no share: some server means percent, or something else.
    return sum(values) / len(values) if values and max(values) <= 1.0 else None


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


def _hit_rate(old: Reading | None, new: Reading) -> float | None:
    asked, hit = increase("prefix_queries", old, new), increase("prefix_hits", old, new)
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
