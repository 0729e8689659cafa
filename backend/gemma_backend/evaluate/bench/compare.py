"""Two benchmarks against each other: how much each figure changed, and what could be chance.

Intervals are percentile bootstraps (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): whole
repeats are drawn anew, then requests within each, since what one repeat shares (a busy machine) is no news.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gemma_backend.evaluate.bench.records import Asked, Report, Round
from gemma_backend.evaluate.bench.summary import LATENCIES
from gemma_backend.evaluate.bench.tables import milliseconds, rate, table
from gemma_backend.types import BadInput

if TYPE_CHECKING:
    from numpy.random import Generator

DRAWS = 2000
CONFIDENCE = 0.95
FIGURES: Mapping[str, str] = {
    "output_rate": "generation, tok/s",
    "ttft": "TTFT median, ms",
    "itl": "ITL median, ms",
    "tpot": "TPOT median, ms",
    "e2e": "E2E median, ms",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of two reports under the same load; `ratio` is B over A, `low` and `high` its 95% interval."""

    load: str
    figure: str
    a: float
    b: float
    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `no difference shown` where the interval holds 1."""
        if self.low <= 1.0 <= self.high:
            return "no difference shown"
        return "better" if (self.ratio > 1.0) == (self.figure == "output_rate") else "worse"


def compare(a: Report, b: Report, *, seed: int = 0) -> list[Change]:
    """Return the change of every figure for each load that both reports have; raises BadInput where there is none."""
    import numpy

    loads = [load for load in _rounds(a) if load in _rounds(b)]
    if not loads:
        raise BadInput("The two results have no load in common: run both with the same --concurrency or --rate.")
    chance = numpy.random.default_rng(seed)
    found = []
    for load in loads:
        ones, others = _rounds(a)[load], _rounds(b)[load]
        for figure in FIGURES:
            parts_a, parts_b = ([_values(one, figure) for one in rounds] for rounds in (ones, others))
            if not all(len(part) for part in (*parts_a, *parts_b)):
                continue
            before, after = _statistic(parts_a, figure), _statistic(parts_b, figure)
            if before <= 0 or after <= 0:
                # Everything came at once: there is nothing to compare.
                continue
            with numpy.errstate(divide="ignore", invalid="ignore"):
                drawn = _drawn(parts_b, figure, chance) / _drawn(parts_a, figure, chance)
            edge = (1 - CONFIDENCE) / 2
            low, high = numpy.nanquantile(drawn, [edge, 1 - edge])
            found.append(Change(load, figure, before, after, after / before, float(low), float(high)))
    return found


def _rounds(report: Report) -> dict[str, list[Round]]:
    found: dict[str, list[Round]] = {}
    for one in report.rounds:
        if any(not asked.error for asked in one.asked):
            found.setdefault(one.load, []).append(one)
    return found


def _good(one: Round) -> list[Asked]:
    return [asked for asked in one.asked if not asked.error]


def _statistic(parts: Sequence[Any], figure: str) -> float:
    """A figure from each repeat's values: the mean of their rates, or the median of all requests."""
    import numpy

    if figure == "output_rate":
        return float(numpy.mean([part[:, 0].sum() / part[:, 1].sum() for part in parts]))
    return float(numpy.median(numpy.concatenate(parts)))


def _drawn(parts: Sequence[Any], figure: str, chance: Generator) -> Any:
    """DRAWS values of a figure, each from repeats and requests drawn anew."""
    import numpy

    longest = max(len(part) for part in parts)
    slots = []
    for picks in chance.integers(len(parts), size=(len(parts), DRAWS)):
        # Repeats need not have as many requests as one another: what is missing is no number.
        slot = numpy.full((DRAWS, longest, *parts[0].shape[1:]), numpy.nan)
        for number, part in enumerate(parts):
            rows = numpy.flatnonzero(picks == number)
            slot[rows, : len(part)] = part[chance.integers(len(part), size=(len(rows), len(part)))]
        slots.append(slot)
    if figure == "output_rate":
        sums = [numpy.nansum(slot, axis=1) for slot in slots]
        return numpy.mean([each[:, 0] / each[:, 1] for each in sums], axis=0)
    together = numpy.concatenate(slots, axis=1)
    even = all(len(part) == longest for part in parts)
    return numpy.median(together, axis=1) if even else numpy.nanmedian(together, axis=1)


def _values(one: Round, figure: str) -> Any:
    """What is drawn from: tokens and seconds of each request, or one latency each (of its gaps the median).

    A request's seconds are its share of the round's, so that all requests together give the round's own rate.
    """
    import numpy

    good = _good(one)
    if figure == "output_rate":
        scale = one.seconds / max(sum(asked.e2e or 0.0 for asked in good), 1e-9)
        return numpy.array([(asked.output_tokens, (asked.e2e or 0.0) * scale) for asked in good])
    values = [LATENCIES[figure](asked) for asked in good]
    return numpy.array([numpy.median(each) for each in values if len(each)])


def text(changes: Sequence[Change]) -> str:
    """The changes for a terminal, a block for each load."""
    said: list[str] = []
    load = None
    for change in changes:
        if change.load != load:
            load = change.load
            said += ["", load, f"  {'':<20}{'A':>10}{'B':>10}{'B/A':>8}   95% interval"]
        said.append(
            f"  {FIGURES[change.figure]:<20}{_value(change, change.a):>10}{_value(change, change.b):>10}"
            f"{change.ratio:>8.3f}   {change.low:.3f} to {change.high:.3f}  {change.verdict}"
        )
    return "\n".join(said[1:])


def markdown(changes: Sequence[Change]) -> str:
    """The changes as a Markdown table."""
    rows = [
        [change.load, FIGURES[change.figure], _value(change, change.a), _value(change, change.b),
         f"{change.ratio:.3f}", f"{change.low:.3f} to {change.high:.3f}", change.verdict]
        for change in changes
    ]  # fmt: skip
    return "\n".join(table(["load", "figure", "A", "B", "B/A", "95% interval", ""], rows)) + "\n"


def _value(change: Change, value: float) -> str:
    return rate(value) if change.figure == "output_rate" else milliseconds(value)
