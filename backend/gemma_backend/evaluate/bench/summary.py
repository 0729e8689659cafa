"""From requests to the figures of the field: quantiles, throughput, goodput; pure functions on records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gemma_backend.evaluate.bench.records import Asked, Round

LATENCIES: Mapping[str, Callable[[Asked], Sequence[float]]] = {
    "ttft": lambda asked: () if asked.ttft is None else (asked.ttft,),
    "itl": lambda asked: asked.itl,
    "tpot": lambda asked: () if asked.tpot is None else (asked.tpot,),
    "e2e": lambda asked: () if asked.e2e is None else (asked.e2e,),
}
"""Each latency's values in one request, in seconds."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and quantiles of a latency in seconds, None where nothing was measured."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """One round in figures: rates a second over the whole round, latencies in seconds, counts.

    `stream_rate` is what one stream sees once its first token is there: one over the mean TPOT. `goodput` are requests
    a second that kept the service level, None where none was given.
    """

    requests: int
    failed: int
    seconds: float
    output_rate: float
    prompt_rate: float | None
    request_rate: float
    stream_rate: float | None
    goodput: float | None
    prompt_tokens: float | None
    output_tokens: float | None
    tokens_a_piece: float | None
    ttft: Spread
    itl: Spread
    tpot: Spread
    e2e: Spread


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value at `share` (0 to 1) of ascending values, between two neighbours by proportion, as numpy's default."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Sequence[float]) -> Spread:
    """Mean and quantiles of values in any order."""
    if not values:
        return Spread()
    ordered = sorted(values)
    return Spread(sum(ordered) / len(ordered), *(quantile(ordered, share) for share in (0.5, 0.9, 0.95, 0.99)))


def summarise(one: Round, goodput: Mapping[str, float] | None = None) -> Summary:
    """Return the figures of a round; `goodput` gives the service level in seconds by the names of LATENCIES."""
    good = [asked for asked in one.asked if not asked.error]
    seconds = max(one.seconds, 1e-9)
    latencies = {name: spread([value for asked in good for value in of(asked)]) for name, of in LATENCIES.items()}
    output = sum(asked.output_tokens for asked in good)
    prompts = [asked.prompt_tokens for asked in good if asked.prompt_tokens is not None]
    pieces = sum(asked.pieces for asked in good)
    tpot = latencies["tpot"].mean
    return Summary(
        requests=len(good),
        failed=len(one.asked) - len(good),
        seconds=one.seconds,
        output_rate=output / seconds,
        prompt_rate=sum(prompts) / seconds if prompts and len(prompts) == len(good) else None,
        request_rate=len(good) / seconds,
        stream_rate=1 / tpot if tpot else None,
        goodput=sum(kept(asked, goodput) for asked in good) / seconds if goodput else None,
        prompt_tokens=sum(prompts) / len(prompts) if prompts else None,
        output_tokens=output / len(good) if good else None,
        tokens_a_piece=output / pieces if pieces else None,
        ttft=latencies["ttft"],
        itl=latencies["itl"],
        tpot=latencies["tpot"],
        e2e=latencies["e2e"],
    )


def kept(asked: Asked, level: Mapping[str, float]) -> bool:
    """Whether a request stayed within every limit of a service level; for gaps their mean counts, as for TPOT."""
    for name, limit in level.items():
        values = LATENCIES[name](asked)
        if values and sum(values) / len(values) > limit:
            return False
    return True
