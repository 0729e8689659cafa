"""A whole search: baseline, trials by their worth, confirmation of the winner, within a budget of time."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.evaluate.tune.journal import Head, Journal
from gemma_backend.evaluate.tune.knobs import Goal, Knob, worded
from gemma_backend.evaluate.tune.outcome import Outcome, baseline_of, best_of, times
from gemma_backend.evaluate.tune.search import Search, Step
from gemma_backend.evaluate.tune.trial import Load, described, run_trial
from gemma_backend.metrics.gpu import gpus
from gemma_backend.types import EngineError

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.runtime.found import Runtime


@dataclass(frozen=True, slots=True)
class Plan:
    """What to search and for how long; `budget` in seconds, `tolerance` in nats a token, `trace` a folder."""

    profile: Profile
    runtime: Runtime
    checkpoint: Path
    goal: Goal
    knobs: tuple[Knob, ...]
    load: Load
    budget: float
    tolerance: float
    journal: Path
    fresh: bool = False
    trace: Path | None = None
    explore: bool = True
    confirm: bool = True

    @property
    def device(self) -> str:
        """`cuda` or `cpu`, which decides what restarts are expected to cost."""
        return "cpu" if self.runtime.device == "cpu" else "cuda"

    def search(self) -> Search:
        """The search over this plan's knobs."""
        flags = {**self.profile.flags, **{f"env:{name}": value for name, value in self.profile.environment.items()}}
        return Search(
            self.knobs,
            self.goal,
            dict(flags),
            device=self.device,
            tolerance=self.tolerance,
            measuring=self.load.seconds(self.device),
        )


@dataclass(frozen=True, slots=True)
class Told:
    """What a person may want to know while it runs: `line` is worth keeping, else it is only of the moment."""

    text: str
    line: bool = True


Tell = Callable[[Told], None]


def opened(plan: Plan) -> Journal:
    """The plan's journal, with what was tried before under the same conditions."""
    load = plan.load
    head = Head(
        profile=plan.profile.name,
        flags=dict(plan.profile.flags),
        environment=dict(plan.profile.environment),
        checkpoint=str(plan.checkpoint),
        vllm=plan.runtime.version,
        gpus=tuple(gpu.name for gpu in gpus()),
        processors=os.cpu_count() or 1,
        load={"prompt": load.prompt_tokens, "output": load.output_tokens, "streams": load.streams},
    )
    return Journal.opened(plan.journal, head, fresh=plan.fresh)


async def tune(plan: Plan, journal: Journal, tell: Tell) -> Outcome | None:
    """Search until the budget is used up or nothing is worth trying; the winner, None where nothing beat the baseline.

    Every trial is in the journal when it is done. Raises EngineError where the profile as it is does not run. Being
    cancelled it stops the engine of the moment first.
    """
    until = time.monotonic() + plan.budget
    search = plan.search()
    if journal.resumed and journal.outcomes:
        tell(Told(f"{len(journal.outcomes)} trials are known from {journal.path}."))
    tell(Told(f"{search.size:,} configurations; {plan.budget / 60:.0f} minutes."))
    while (step := search.next(journal.outcomes, until - time.monotonic() - _reserve(plan, journal))) is not None:
        outcome = await _tried(plan, journal, step, tell)
        if not step.made and outcome.figures is None:
            raise EngineError(f"The profile {plan.profile.name} does not run as it is: {outcome.failure}")
    if plan.confirm:
        await _confirmed(plan, journal, until, tell)
    winner = best_of(journal.outcomes, plan.goal, plan.tolerance)
    return winner if winner is not None and winner.made else None


def _reserve(plan: Plan, journal: Journal) -> float:
    """Seconds that are kept for measuring the best and the baseline once more, where the budget is a large one."""
    measured = [one.seconds for one in journal.outcomes if one.figures is not None]
    if not measured or not plan.confirm or plan.budget < 8 * max(measured):
        return 0.0
    return 2 * statistics.median(measured)


async def _confirmed(plan: Plan, journal: Journal, until: float, tell: Tell) -> None:
    """Measure the best and the baseline again in turn: the best of many noisy figures is more often lucky than not.

    The machine may have become slower or faster since the first trial, so the baseline is measured again too. Another
    configuration that thereby becomes the best is measured again in its turn.
    """
    while (best := best_of(journal.outcomes, plan.goal, plan.tolerance)) is not None and best.made:
        counts = {made: times(journal.outcomes, made) for made in (best.changes, ())}
        made = min(counts, key=lambda one: counts[one])
        if counts[made] >= 2:
            return
        known = [one.seconds for one in journal.outcomes if one.changes == made and one.figures is not None]
        if known[-1] > until - time.monotonic():
            tell(Told("There is no time left to measure the best again: take its lead with care."))
            return
        tell(Told("Once more, to be sure:"))
        if (await _tried(plan, journal, Step(made, 0.0, known[-1]), tell)).figures is None:
            return


async def _tried(plan: Plan, journal: Journal, step: Step, tell: Tell) -> Outcome:
    baseline = baseline_of(journal.outcomes)
    name = worded(step.made)
    begun = time.monotonic()

    def say(what: str) -> None:
        tell(Told(f"{name}: {what}, {time.monotonic() - begun:.0f} of about {step.seconds:.0f} s", line=False))

    outcome = await run_trial(
        plan.profile,
        plan.runtime,
        plan.checkpoint,
        step.made,
        plan.load,
        say,
        baseline=baseline,
        explore=plan.explore and baseline is None,
        trace=plan.trace if baseline is None else None,
    )
    await asyncio.to_thread(journal.add, outcome)
    tell(Told(f"{len(journal.outcomes)}. {described(outcome, baseline)}"))
    for note in outcome.notes:
        tell(Told(f"   {note}"))
    return outcome
