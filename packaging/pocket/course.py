"""Train the pocket checkpoint from nothing, in calls of less than ten minutes each that go on where the last one ended.

    PYTHONPATH=packaging PYTHON -m pocket.course DATA RUN [--seed 0]

Call it again with the same folders until it says that the course is over (exit code 0; 3 asks for another call). DATA
holds `speech.flac`, `speech.json` and `tokenizer.json`; RUN gets the weights, a log of each stage and `course.json`,
seven files in all, which is everything that the next call needs, on another machine too. A call that was cut off loses
at most two minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocket import train


@dataclass(frozen=True)
class Stage:
    """One part of the course: seconds by the clock, learning rates at its start and end, and what it trains on."""

    seconds: float
    rates: tuple[float, float]
    mixed: bool
    quantised: bool


# First rows of one medium each, with whole weights; then conversations of several, with weights rounded as NVFP4 rounds
# them and activations in every other step.
STAGES = (Stage(525, (1.5e-3, 1.5e-3), False, False), Stage(545, (1.4e-3, 2e-5), True, True))
# A call's own share: the rest of ten minutes is for imports before and the last exam after.
CALL_SECONDS = 560.0
# Less is not worth a call's start: compiling alone takes two minutes.
SHORTEST = 200.0
SAVE_EVERY = 110.0


def _options(stage: int, seed: int, data: Path, run: Path, spent: float, allowed: float) -> argparse.Namespace:
    chosen = STAGES[stage]
    words = [str(data), str(run), "--stage", str(stage), "--seed", str(seed)]
    words += ["--seconds", str(chosen.seconds), "--lr", *map(str, chosen.rates)]
    words += ["--spent", str(spent), "--allowed", str(allowed), "--save-every", str(SAVE_EVERY)]
    words += ["--resume", str(run)] if stage or spent else []
    words += ["--mixed"] if chosen.mixed else []
    words += ["--quantised"] if chosen.quantised else []
    return train.parser().parse_args(words)


def main() -> int:
    """Do one call's share of the course."""
    begun = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=CALL_SECONDS, help="how long this call may take")
    given = parser.parse_args()
    state: dict[str, Any] = {"seed": given.seed, "stage": 0, "spent": 0.0}
    kept = given.run / "course.json"
    if kept.is_file():
        state = json.loads(kept.read_text("utf-8"))
        if state["seed"] != given.seed:
            raise SystemExit(f"{given.run} was begun with seed {state['seed']}: give that, or another folder")
    while state["stage"] < len(STAGES):
        allowed = given.seconds - (time.monotonic() - begun)
        whole = STAGES[state["stage"]].seconds - state["spent"]
        if allowed < min(whole, SHORTEST):
            print(f"stage {state['stage']} is next: call again", flush=True)
            return 3

        def keep(spent: float, state: dict[str, Any] = state) -> None:
            kept.write_text(json.dumps({**state, "spent": round(spent, 1)}) + "\n", "utf-8")

        options = _options(state["stage"], given.seed, given.data, given.run, state["spent"], allowed)
        ended = train.train(options, saved=keep)
        if not ended:
            print(f"stage {state['stage']} goes on: call again", flush=True)
            return 3
        state = {**state, "stage": state["stage"] + 1, "spent": 0.0}
        kept.write_text(json.dumps(state) + "\n", "utf-8")
    print("the course is over", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
