"""What came of one configuration: figures for every goal, or why it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gemma_backend.evaluate.tune.knobs import Change, Changes, Goal, changes

SLOWEST = 0.9
"""For memory and context, the share of the baseline's speed at one stream that must remain."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far prompt log probabilities moved from the baseline's, in nats a token: mean, largest, over how many.

    `shift` is the mean with its sign: below zero the texts became less likely. Rounding moves tokens both ways.
    """

    mean: float
    largest: float
    tokens: int
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of one trial: tokens a second of one stream and of `streams` together, seconds, bytes, tokens.

    `spread` is the range of the first two over their repeats, as a share of the median.
    """

    latency: float
    throughput: float
    streams: int
    ttft: float | None = None
    itl: float | None = None
    memory: int | None = None
    kv_tokens: int | None = None
    spread: float = 0.0

    def of(self, goal: Goal) -> float | None:
        """The figure of a goal, larger is better; None where it was not measured."""
        if goal == "latency":
            return self.latency
        if goal == "throughput":
            return self.throughput
        if goal == "context":
            return float(self.kv_tokens) if self.kv_tokens else None
        return 1e12 / self.memory if self.memory else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One trial; `seconds` is the whole of it and `start` how long its engine took to be ready.

    `logprobs` are the prompt log probabilities that the others are compared with (kept of the baseline only).
    """

    made: dict[str, Change]
    figures: Figures | None = None
    failure: str = ""
    start: float = 0.0
    seconds: float = 0.0
    drift: Drift | None = None
    logprobs: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def changes(self) -> Changes:
        """What was changed, in its one order."""
        return changes(self.made)


def baseline_of(outcomes: list[Outcome]) -> Outcome | None:
    """The trial of the profile as it is."""
    return next((one for one in outcomes if not one.made and one.figures is not None), None)


def allowed_drift(outcomes: list[Outcome], tolerance: float) -> float:
    """`tolerance`, or twice what two starts of the profile as it is differ by, where that is more.

    Kernels that are chosen by timing can differ from start to start, which moves random weights' output a great deal.
    """
    again = [one.drift.mean for one in outcomes if not one.made and one.drift is not None]
    return max(tolerance, 2 * max(again, default=0.0))


def eligible(outcome: Outcome, goal: Goal, baseline: Outcome | None, tolerance: float) -> bool:
    """Whether it may win: it worked, says the same as the baseline within `tolerance`, and kept its speed."""
    if outcome.figures is None or outcome.figures.of(goal) is None:
        return False
    if outcome.drift is not None and outcome.drift.mean > tolerance:
        return False
    if goal in ("memory", "context") and baseline is not None and baseline.figures is not None:
        return outcome.figures.latency >= SLOWEST * baseline.figures.latency
    return True


def typical(outcomes: list[Outcome], made: Changes, goal: Goal) -> float | None:
    """The mean figure of all trials of a configuration, None where there is none."""
    figures = [
        figure
        for one in outcomes
        if one.changes == made and one.figures is not None and (figure := one.figures.of(goal)) is not None
    ]
    return sum(figures) / len(figures) if figures else None


def times(outcomes: list[Outcome], made: Changes) -> int:
    """How often a configuration was measured."""
    return sum(one.changes == made and one.figures is not None for one in outcomes)


def best_of(outcomes: list[Outcome], goal: Goal, tolerance: float) -> Outcome | None:
    """The last trial of the eligible configuration with the largest figure, by the mean where it was tried again."""
    base, allowed = baseline_of(outcomes), allowed_drift(outcomes, tolerance)
    found = {one.changes: one for one in outcomes if eligible(one, goal, base, allowed)}
    return max(found.values(), key=lambda one: typical(outcomes, one.changes, goal) or 0.0, default=None)


def settings(flags: Mapping[str, object], made: Mapping[str, Change]) -> dict[str, object]:
    """Flags with changes made to them."""
    merged = dict(flags)
    for name, value in made.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged
