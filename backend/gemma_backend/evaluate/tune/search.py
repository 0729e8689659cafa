"""Which configuration to try next: the one that is expected to bring most for the time that it takes.

Each change is taken to multiply the figure by a factor of its own. A Bayesian linear model of the logarithms begins
with the knobs' guesses and learns from every trial (Rasmussen and Williams, Gaussian Processes for Machine Learning,
2006, section 2.1); what is untried is ranked by expected improvement over the best so far (Jones, Schonlau and Welch
1998) for each second of restart and measurement. Since changes may not simply multiply, combinations stay uncertain
until they are tried, and where the time allows, everything is tried in the end.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gemma_backend.evaluate.tune.knobs import Change, Changes, Goal, Knob, changes
from gemma_backend.evaluate.tune.outcome import Outcome, allowed_drift, baseline_of, best_of, eligible, typical

MOST_TOGETHER = 4
"""Changes in one configuration that are thought of; more follow from the best so far."""
MOST_CONFIGURATIONS = 4096
INTERACTION = 0.04
"""Standard deviation of what two changes do together beyond their product, as a logarithm."""
NOISE = 0.01
WORTH = 1e-5
"""Expected improvement below which a trial is not worth its time."""
DEFAULT_START = {"cpu": (70.0, 120.0), "cuda": (90.0, 200.0)}
"""Seconds from command to ready with and without compiled graphs, before any was seen (docs/measurements.md)."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to try next: the changes, the improvement that is expected (as a logarithm), and the seconds it takes."""

    made: Changes
    gain: float
    seconds: float


class Search:
    """Proposes configurations; all that it knows of what was tried is the outcomes, so that a journal resumes it."""

    def __init__(
        self, knobs: Sequence[Knob], goal: Goal, base: dict[str, Change], *, device: str, tolerance: float,
        measuring: float,
    ) -> None:  # fmt: skip
        self._goal = goal
        self._tolerance = tolerance
        self._device = device
        self._measuring = measuring
        self._expected: dict[tuple[str, Change], float] = {}
        self._doubt: dict[tuple[str, Change], float] = {}
        self._values: dict[str, list[Change]] = {}
        self._compiling: set[str] = set()
        for knob in knobs:
            if knob.compiles:
                self._compiling.add(knob.name)
            for value in knob.values:
                if value == base.get(knob.name):
                    continue
                if (knob.name, value) not in self._expected:
                    self._values.setdefault(knob.name, []).append(value)
                self._expected[knob.name, value] = knob.expected.get(goal, 0.0)
                self._doubt[knob.name, value] = knob.doubt

    @property
    def size(self) -> int:
        """How many configurations there are at all."""
        return math.prod(len(values) + 1 for values in self._values.values())

    def next(self, outcomes: list[Outcome], seconds_left: float) -> Step | None:
        """The configuration to try next, None where nothing is worth its time or fits into what is left of it."""
        if baseline_of(outcomes) is None:
            return Step((), 0.0, self._cost((), outcomes))
        tried = {one.changes for one in outcomes}
        failed = [set(one.made.items()) for one in outcomes if one.figures is None and one.made]
        worked = {change for one in outcomes if one.figures is not None for change in one.changes}
        # Of several changes that failed together any may be at fault: each is first tried alone.
        suspected = {change for one in failed for change in one} - worked
        best = self._best(outcomes)
        steps = []
        model = _Model(self._expected, self._doubt, self._seen(outcomes), _noise(outcomes))
        for made in self._candidates(best):
            if made in tried or any(one <= set(made) for one in failed):
                continue
            if len(made) > 1 and not suspected.isdisjoint(made):
                continue
            mean, deviation = model.predicted(made)
            gain = _expected_improvement(mean, deviation, self._score(best, outcomes))
            seconds = self._cost(made, outcomes)
            if seconds <= seconds_left and gain > WORTH:
                steps.append(Step(made, gain, seconds))
        return max(
            steps, key=lambda step: (step.gain / max(step.seconds, 1.0), [str(one) for one in step.made]), default=None
        )

    def _best(self, outcomes: list[Outcome]) -> Outcome | None:
        return best_of(outcomes, self._goal, self._tolerance) or baseline_of(outcomes)

    def _score(self, outcome: Outcome | None, outcomes: list[Outcome]) -> float:
        """The logarithm of a configuration's figure over the baseline's."""
        if outcome is None:
            return 0.0
        figure, reference = (typical(outcomes, made, self._goal) for made in (outcome.changes, ()))
        return math.log(figure / reference) if figure and reference else 0.0

    def _seen(self, outcomes: list[Outcome]) -> list[tuple[Changes, float]]:
        base, allowed = baseline_of(outcomes), allowed_drift(outcomes, self._tolerance)
        found = []
        for one in outcomes:
            if one.made and eligible(one, self._goal, base, allowed):
                found.append((one.changes, self._score(one, outcomes)))
            elif one.made and one.figures is not None:
                # It says something else, or became too slow: as good as no gain, however fast it was.
                found.append((one.changes, -0.5))
        return found

    def _candidates(self, best: Outcome | None) -> Iterator[Changes]:
        options = [[(name, value) for value in values] for name, values in self._values.items()]
        if self.size <= MOST_CONFIGURATIONS:
            for chosen in itertools.product(*([None, *values] for values in options)):
                yield tuple(sorted((one for one in chosen if one is not None), key=lambda one: one[0]))
            return
        seen: set[Changes] = set()
        start = dict(best.made) if best is not None else {}
        for count in range(1, MOST_TOGETHER + 1):
            # Pairs of everything; of more only what is added to the best so far.
            if count <= 2:
                for group in itertools.combinations(options, count):
                    for chosen in itertools.product(*group):
                        seen.add(changes(dict(chosen)))
        for name, values in self._values.items():
            for value in (*values, None):
                made = {**start, name: value}
                if value is None:
                    made.pop(name)
                seen.add(changes(made))
        yield from sorted(seen, key=lambda made: (len(made), [str(one) for one in made]))

    def _group(self, made: Changes) -> Changes:
        """What decides whether graphs that were compiled before can be used."""
        return tuple((name, value) for name, value in made if name in self._compiling)

    def _cost(self, made: Changes, outcomes: list[Outcome]) -> float:
        warm, cold = DEFAULT_START[self._device]
        seen: set[Changes] = set()
        warm_starts: list[float] = []
        cold_starts: list[float] = []
        for one in outcomes:
            if one.figures is None:
                continue
            group = self._group(one.changes)
            (warm_starts if group in seen else cold_starts).append(one.start)
            seen.add(group)
        cold = sum(cold_starts) / len(cold_starts) if cold_starts else cold
        warm = sum(warm_starts) / len(warm_starts) if warm_starts else min(warm, cold)
        measured = [one.seconds - one.start for one in outcomes if one.figures is not None]
        measuring = sum(measured) / len(measured) if measured else self._measuring
        return (warm if self._group(made) in seen else cold) + measuring


class _Model:
    """Factors of changes as normal distributions, updated one trial at a time."""

    def __init__(
        self,
        expected: dict[tuple[str, Change], float],
        doubt: dict[tuple[str, Change], float],
        seen: list[tuple[Changes, float]],
        noise: float,
    ) -> None:
        import numpy

        self._noise = noise

        self._names = {one: index for index, one in enumerate(expected)}
        self._mean = numpy.array(list(expected.values()))
        self._covariance = numpy.diag(numpy.array([value * value for value in doubt.values()]))
        for made, score in seen:
            features = self._features(made)
            if not features.any():
                continue
            together = self._covariance @ features
            variance = features @ together + self._unexplained(made)
            self._mean = self._mean + together * (score - features @ self._mean) / variance
            self._covariance = self._covariance - numpy.outer(together, together) / variance

    def predicted(self, made: Changes) -> tuple[float, float]:
        """Mean and standard deviation of a configuration's score."""
        features = self._features(made)
        variance = float(features @ self._covariance @ features) + self._unexplained(made)
        return float(features @ self._mean), math.sqrt(variance)

    def _features(self, made: Changes):  # type: ignore[no-untyped-def]  # numpy's own type needs numpy at import
        import numpy

        found = numpy.zeros(len(self._names))
        for one in made:
            if one in self._names:
                found[self._names[one]] = 1.0
        return found

    def _unexplained(self, made: Changes) -> float:
        return self._noise**2 + INTERACTION**2 * max(0, len(made) - 1)


def _noise(outcomes: list[Outcome]) -> float:
    """The standard deviation of a measured logarithm: half of what repeats usually differ by."""
    return max(NOISE, 0.5 * statistics.median(one.figures.spread for one in outcomes if one.figures is not None))


def _expected_improvement(mean: float, deviation: float, best: float) -> float:
    if deviation <= 0:
        return max(0.0, mean - best)
    z = (mean - best) / deviation
    density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return (mean - best) * 0.5 * (1 + math.erf(z / math.sqrt(2))) + deviation * density
