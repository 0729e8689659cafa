"""From tokens' log-probabilities and right or wrong answers to figures with intervals; pure functions.

Intervals of shares are Wilson's; the others are percentile bootstraps over whole texts, since the tokens of one text
are not independent (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """One token of a prompt as an endpoint sees it: its number, its log-probability, and those of the likeliest."""

    token: int
    logprob: float
    top: dict[int, float]

    @property
    def likeliest(self) -> int:
        """The number of the token that a greedy model would have put here."""
        return max(self.top, key=lambda token: (self.top[token], -token))


Text = tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with the ends of its 95% interval, and how many samples it comes from."""

    value: float
    low: float
    high: float
    count: int


def wilson(right: int, count: int) -> Figure:
    """A share of right answers, 0 to 1. ValueError without any."""
    if count < 1:
        raise ValueError("a share of nothing")
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    share, wide = right / count, z * z / count
    middle = (share + wide / 2) / (1 + wide)
    half = z / (1 + wide) * math.sqrt(share * (1 - share) / count + wide / (4 * count))
    return Figure(share, max(0.0, middle - half), min(1.0, middle + half), count)


def perplexity(texts: Sequence[Text]) -> Figure:
    """The exponential of the mean negative log-probability of the tokens."""
    sums = [(-sum(place.logprob for place in text), len(text)) for text in texts if text]
    return _resampled(sums, lambda total, count: math.exp(total / count))


def perplexity_ratio(ours: Sequence[Text], theirs: Sequence[Text]) -> Figure:
    """Our perplexity over theirs, of the same texts; 1 where they are alike."""
    sums = [
        (sum(place.logprob for place in b) - sum(place.logprob for place in a), len(a))
        for a, b in zip(ours, theirs, strict=True)
        if a
    ]
    return _resampled(sums, lambda total, count: math.exp(total / count))


def agreement(ours: Sequence[Text], theirs: Sequence[Text]) -> Figure:
    """The share of places where both would have gone on with the same token."""
    sums = [
        (float(sum(one.likeliest == other.likeliest for one, other in zip(a, b, strict=True))), len(a))
        for a, b in zip(ours, theirs, strict=True)
        if a
    ]
    return _resampled(sums, lambda total, count: total / count)


def divergence(ours: Sequence[Text], theirs: Sequence[Text]) -> Figure:
    """The mean KL divergence of our distribution from theirs, in nats a token, over the tokens that both list.

    What is left over counts as one token more, so the true divergence is at least this.
    """
    sums = [
        (sum(kl(other.top, one.top) for one, other in zip(a, b, strict=True)), len(a))
        for a, b in zip(ours, theirs, strict=True)
        if a
    ]
    return _resampled(sums, lambda total, count: total / count)


def kl(reference: dict[int, float], other: dict[int, float]) -> float:
    """Sum of p log(p/q) over the tokens in both (log-probabilities by token), the rest taken together; 0 or more."""
    shared = reference.keys() & other.keys()
    found = sum(math.exp(reference[token]) * (reference[token] - other[token]) for token in shared)
    rest, left = (max(1.0 - sum(math.exp(each[token]) for token in shared), 1e-9) for each in (reference, other))
    return max(0.0, found + rest * math.log(rest / left))


def same_tokens(ours: Sequence[Text], theirs: Sequence[Text]) -> bool:
    """Whether both endpoints cut the texts into the same tokens."""
    return len(ours) == len(theirs) and all(
        [place.token for place in a] == [place.token for place in b] for a, b in zip(ours, theirs, strict=True)
    )


def _resampled(sums: Sequence[tuple[float, int]], figure: Callable[[float, int], float]) -> Figure:
    totals, counts = (np.array(column, float) for column in zip(*sums, strict=True))
    chosen = np.random.default_rng(0).integers(0, len(sums), (RESAMPLES, len(sums)))
    values = np.array([figure(float(totals[row].sum()), int(counts[row].sum())) for row in chosen])
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(figure(float(totals.sum()), int(counts.sum())), float(low), float(high), int(counts.sum()))
