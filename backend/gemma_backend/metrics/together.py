"""Several servers as one: what can be added is added, what cannot is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gemma_backend.types import Sample


def together(samples: Sequence[Sample]) -> Sample:
    """Return the sum of samples of different servers taken at about the same time.

    Rates, requests and cache capacity are added; the cache's share is weighted by capacity. A server that tells nothing
    at all is left out, and `note` says so. A figure that only some of the others tell is None, since a sum without the
    rest would be wrong; so are latencies, whose quantiles have no sum. Memory is the machine's: it is kept where only
    one of them tells it.
    """
    told = [sample for sample in samples if sample.host is not None]
    at = max((sample.at for sample in samples), default=0.0)
    count = len(samples)
    samples = [sample for sample in samples if sample.make]
    note = f"{len(samples)} of {count} servers tell their figures: the sum is of those."
    return Sample(
        at=at,
        generation_rate=_sum(samples, lambda sample: sample.generation_rate),
        prompt_rate=_sum(samples, lambda sample: sample.prompt_rate),
        running=_whole(samples, lambda sample: sample.running),
        waiting=_whole(samples, lambda sample: sample.waiting),
        kv_cache=_share(samples),
        kv_tokens=_whole(samples, lambda sample: sample.kv_tokens),
        preemptions=_whole(samples, lambda sample: sample.preemptions),
        host=told[0].host if len(told) == 1 else None,
        gpus=told[0].gpus if len(told) == 1 else (),
        note=note if len(samples) < count else "",
    )


def _sum(samples: Sequence[Sample], figure: Callable[[Sample], float | None]) -> float | None:
    values = [figure(sample) for sample in samples]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _whole(samples: Sequence[Sample], figure: Callable[[Sample], int | None]) -> int | None:
    total = _sum(samples, figure)
    return None if total is None else round(total)


def _share(samples: Sequence[Sample]) -> float | None:
    capacity = _whole(samples, lambda sample: sample.kv_tokens)
    used = _sum(
        samples,
        lambda sample: (
            None if sample.kv_cache is None or sample.kv_tokens is None else sample.kv_cache * sample.kv_tokens
        ),
    )
    return used / capacity if capacity and used is not None else None
