"""`tune` against a grid made by hand, on real engines: `python -m benchmarks.tune_grid [--out FILE]`.

Each configuration of the grid is measured on an engine of its own. Then the search, which knows nothing of the grid,
has as much time as the grid took. Both winners and the profile as it is are measured again in turn, since the best of
noisy figures is often the luckiest, and only those last figures are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import msgspec

from gemma_backend.checkpoint.locate import locate
from gemma_backend.config.profiles import load_profile
from gemma_backend.engine.command import version_tuple
from gemma_backend.evaluate.tune.knobs import Change, Changes, Goal, changes, knobs_for, worded
from gemma_backend.evaluate.tune.outcome import Outcome, best_of
from gemma_backend.evaluate.tune.run import Plan, Told, opened, tune
from gemma_backend.evaluate.tune.trial import Load, described, run_trial
from stubs.real_engine import cpu_runtime

GRID: dict[str, tuple[Change, ...]] = {
    "enforce-eager": (True, None),
    "stream-interval": (None, 4, 16),
}
"""What a person would try first on a CPU; the first value of each is what the profile has."""
TOLERANCE = 0.1
LOAD = Load(output_tokens=64, streams=8)
LONGER = replace(LOAD, repeats=8)
"""For the last figures: most of a trial is the engine's start."""


def grid() -> list[Changes]:
    """Every configuration, the profile as it is first."""
    found = []
    for values in itertools.product(*GRID.values()):
        chosen = zip(GRID, values, strict=True)
        found.append(changes({name: value for name, value in chosen if value != GRID[name][0]}))
    return found


def plan_of(goal: Goal, folder: Path, budget: float) -> Plan:
    """The search as `gemma-tui tune --profile pocket --for GOAL` would make it."""
    profile, runtime = load_profile("pocket"), cpu_runtime()
    return Plan(
        profile=profile,
        runtime=runtime,
        checkpoint=locate(profile.checkpoint or ""),
        goal=goal,
        knobs=knobs_for(goal, "cpu", version_tuple(runtime.version)),
        load=LOAD,
        budget=budget,
        tolerance=TOLERANCE,
        journal=folder / "journal.jsonl",
    )


async def tried(plan: Plan, made: Changes, known: list[Outcome], load: Load = LOAD) -> Outcome:
    """One trial, added to those known and told."""
    baseline = next((one for one in known if not one.made and one.logprobs), None)
    found = await run_trial(
        plan.profile, plan.runtime, plan.checkpoint, made, load, lambda what: None, baseline=baseline
    )
    known.append(found)
    print(f"  {described(found, baseline)}; load {os.getloadavg()[0]:.1f}", flush=True)
    return found


async def compared(goal: Goal, rounds: int, out: Path | None, folder: Path) -> None:
    """Grid, search, and both winners again."""
    plan = plan_of(goal, folder, 1.0)
    known: list[Outcome] = []
    print("The grid by hand:", flush=True)
    begun = time.monotonic()
    for made in grid():
        await tried(plan, made, known)
    spent = time.monotonic() - begun
    by_hand = best_of(known, goal, TOLERANCE)
    if out is not None:
        out.write_bytes(msgspec.json.format(msgspec.json.encode([replace(one, logprobs=()) for one in known])) + b"\n")
    assert by_hand is not None, "nothing of the grid ran"
    print(f"The search, for the {spent:.0f} s that the grid took:", flush=True)
    plan = replace(plan, budget=spent)
    journal = opened(plan)

    def tell(told: Told) -> None:
        if told.line:
            print(f"  {told.text}", flush=True)

    searched = await tune(plan, journal, tell)
    winners = {"by hand": by_hand.changes, "by tune": searched.changes if searched is not None else ()}
    print("Again, in turn:", flush=True)
    figures: dict[Changes, list[float]] = {made: [] for made in {(): None, **dict.fromkeys(winners.values())}}
    for _ in range(rounds):
        for made, values in figures.items():
            again = await tried(plan, made, known, LONGER)
            if again.figures is not None:
                values.append(again.figures.of(goal) or 0.0)
    base = statistics.median(figures[()])
    for who, made in {"as it is": (), **winners}.items():
        middle = statistics.median(figures[made])
        print(f"{who:<9}{middle:9.1f}{middle / base:7.2f}  {worded(made)}  {figures[made]}")
    share = statistics.median(figures[winners["by tune"]]) / statistics.median(figures[winners["by hand"]])
    print(f"tune over the best of the grid: {share:.3f}, {len(journal.outcomes)} trials against {len(grid())}")


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--goal", choices=("latency", "throughput"), default="throughput")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="file for what the grid gave, as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for kind in ("STATE", "LOG", "CONFIG"):
            os.environ[f"GEMMA_TUI_{kind}_DIR"] = f"{name}/{kind.lower()}"
        asyncio.run(compared(args.goal, args.rounds, args.out, Path(name)))


if __name__ == "__main__":
    main()
