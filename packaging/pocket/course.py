"""Train the pocket checkpoint from nothing, in calls of less than ten minutes each that go on where the last one ended.

    PYTHONPATH=packaging PYTHON -m pocket.course DATA RUN [--seed 0] [--smoke]

Call it again with the same folders until it says that the course is over (exit code 0; 3 asks for another call). DATA
holds `speech.flac`, `speech.json` and `tokenizer.json`; RUN gets the weights, a log of each stage and `course.json`,
which is everything that the next call needs, on another machine too. A call that was cut off, at whatever moment, loses
at most two minutes.

With --smoke a stage is a few steps of two rows, and so is a call: the same code on a CPU in a minute, from a seed, in
calls that go on, to weights that are judged like any others and say nothing sensible.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pocket import train


@dataclass(frozen=True)
class Stage:
    """One part of the course: seconds (steps of a rehearsal), learning rates at its ends, and what it trains on."""

    length: float
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
# A rehearsal's, in steps: the first call ends within the first stage.
SMOKE_STAGES = tuple(replace(stage, length=3) for stage in STAGES)
SMOKE_CALL, SMOKE_SAVE_EVERY = 2, 1
NEEDED = {
    "speech.flac": "pocket.data.speech",
    "speech.json": "pocket.data.speech",
    "tokenizer.json": "pocket.vocabulary",
}


@dataclass
class Done:
    """How far a course is: the stage, how much of it is behind, and from what it was begun."""

    seed: int
    smoke: bool
    stage: int = 0
    spent: float = 0.0

    def write(self, path: Path) -> None:
        """Keep it: whole, or as it was."""
        partial = path.with_suffix(".new")
        with partial.open("w", encoding="utf-8") as file:
            file.write(json.dumps(vars(self)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def _begun(path: Path, seed: int, smoke: bool) -> Done:
    """What an earlier call kept, or a beginning; ends with a sentence where the two do not belong together."""
    if not path.is_file():
        return Done(seed, smoke)
    try:
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        done = Done(int(kept["seed"]), bool(kept.get("smoke", False)), int(kept["stage"]), float(kept["spent"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SystemExit(f"{path} can't be read ({error}): copy it again, or begin anew in another folder") from error
    if done.seed != seed:
        raise SystemExit(f"{path.parent} was begun with seed {done.seed}: give that, or another folder")
    if done.smoke != smoke:
        raise SystemExit(f"{path.parent} was begun {'with' if done.smoke else 'without'} --smoke: give another folder")
    return done


def _options(done: Done, stage: Stage, data: Path, run: Path, allowed: float) -> argparse.Namespace:
    words = [str(data), str(run), "--stage", str(done.stage), "--seed", str(done.seed)]
    words += ["--length", str(stage.length), "--lr", *map(str, stage.rates)]
    words += ["--spent", str(done.spent), "--allowed", str(allowed)]
    words += ["--save-every", str(SMOKE_SAVE_EVERY if done.smoke else SAVE_EVERY)]
    words += ["--resume", str(run)] if done.stage or done.spent else []
    words += ["--mixed"] if stage.mixed else []
    words += ["--quantised"] if stage.quantised else []
    words += ["--smoke", "--no-compile", "--every", "1"] if done.smoke else []
    return train.parser().parse_args(words)


def main() -> int:
    """Do one call's share of the course."""
    begun = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--allowed", type=float, help=f"seconds (steps) that this call may take: {CALL_SECONDS:.0f} (2)"
    )
    parser.add_argument("--smoke", action="store_true", help="a rehearsal of a few steps, on a CPU")
    given = parser.parse_args()
    for name, maker in NEEDED.items():
        if not (given.data / name).is_file():
            raise SystemExit(f"{given.data} lacks {name}: make it with python -m {maker} {given.data}")
    path = given.run / "course.json"
    done = _begun(path, given.seed, given.smoke)
    stages = SMOKE_STAGES if given.smoke else STAGES
    share = given.allowed if given.allowed is not None else SMOKE_CALL if given.smoke else CALL_SECONDS
    steps = 0.0
    while done.stage < len(stages):
        stage, before = stages[done.stage], done.spent
        allowed = share - (steps if given.smoke else time.monotonic() - begun)
        if allowed < min(stage.length - done.spent, 1 if given.smoke else SHORTEST):
            print(f"stage {done.stage} is next: call again", flush=True)
            return 3

        def keep(spent: float, done: Done = done) -> None:
            replace(done, spent=round(spent, 1)).write(path)

        ended = train.train(_options(done, stage, given.data, given.run, allowed), saved=keep)
        if not ended:
            print(f"stage {done.stage} goes on: call again", flush=True)
            return 3
        steps += stage.length - before
        done = replace(done, stage=done.stage + 1, spent=0.0)
        done.write(path)
    print("the course is over", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
