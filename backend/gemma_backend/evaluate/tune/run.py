"""A whole search: baseline, trials by their worth, confirmation of the winner, within a budget of time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.evaluate.tune.journal import Head, Journal
from gemma_backend.evaluate.tune.knobs import Goal, Knob, worded
from gemma_backend.evaluate.tune.outcome import Outcome, baseline_of, best_of
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
    while (step := search.next(journal.outcomes, until - time.monotonic())) is not None:
        outcome = await _tried(plan, journal, step, tell)
        if not step.made and outcome.figures is None:
            raise EngineError(f"The profile {plan.profile.name} does not run as it is: {outcome.failure}")
    winner = best_of(journal.outcomes, plan.goal, plan.tolerance)
    if winner is None or not winner.made:
        return None
    if sum(one.changes == winner.changes for one in journal.outcomes) == 1:
        # The best of many noisy figures is more often lucky than not.
        again = Step(winner.changes, 0.0, winner.seconds)
        if again.seconds <= until - time.monotonic():
            tell(Told("The best once more, to be sure:"))
            await _tried(plan, journal, again, tell)
            winner = best_of(journal.outcomes, plan.goal, plan.tolerance)
    return winner if winner is not None and winner.made else None


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
        explore=plan.explore and not step.made,
        trace=plan.trace if not step.made else None,
    )
    await asyncio.to_thread(journal.add, outcome)
    tell(Told(f"{len(journal.outcomes)}. {described(outcome, baseline)}"))
    for note in outcome.notes:
        tell(Told(f"   {note}"))
    return outcome
