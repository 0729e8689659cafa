"""Kills every part of an engine at random moments and counts what is left: `make torture`, or

    PYTHONPATH=tests python -m faults.torture --rounds 20 --only screen,core --moments loading,serving

Each kind is played `--rounds` times, at moments drawn from those named; with `--journal FILE` what was played is kept,
and the next run goes on from there. Prints one line for each kind: rounds passed, at which moments, and the slowest
clean-up in seconds. The exit code is 1 if any round failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from faults.rounds import KINDS, MOMENTS, play

WEIGHTS = {"installing": 2, "loading": 4, "serving": 2, "streaming": 2}
"""How often each moment is drawn: most of an engine's starts are spent loading."""


@dataclass(slots=True)
class Tally:
    """What became of the rounds of one kind."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0
    moments: dict[str, int] = field(default_factory=dict)


def plan(kinds: list[str], moments: list[str], rounds: int, seed: int) -> list[tuple[str, int, str]]:
    """Kind, number and moment of every round, one round of each kind after the other."""
    chance = Random(seed)
    planned = []
    for number in range(1, rounds + 1):
        for kind in kinds:
            possible = [one for one in moments if one != "installing" or KINDS[kind].installing]
            if possible:
                planned.append((kind, number, chance.choices(possible, [WEIGHTS[one] for one in possible])[0]))
    return planned


def tallies(played: list[dict[str, object]]) -> dict[str, Tally]:
    """The rounds of each kind summed up."""
    found: dict[str, Tally] = {}
    for one in played:
        tally = found.setdefault(str(one["kind"]), Tally())
        moment = str(one["moment"])
        tally.moments[moment] = tally.moments.get(moment, 0) + 1
        seconds = one["seconds"]
        assert isinstance(seconds, float | int)
        tally.slowest = max(tally.slowest, float(seconds))
        if one["left"]:
            tally.failed.append(f"round {one['number']}, {moment}: {one['left']}")
        else:
            tally.passed += 1
    return found


def table(played: list[dict[str, object]]) -> str:
    """The table that is printed."""
    lines = [f"{'killed':<21}{'clean':>7}{'slowest':>10}  {' / '.join(MOMENTS)}"]
    for kind, tally in sorted(tallies(played).items(), key=lambda item: list(KINDS).index(item[0])):
        total = tally.passed + len(tally.failed)
        when = " / ".join(str(tally.moments.get(moment, 0)) for moment in MOMENTS)
        lines.append(f"{kind:<21}{tally.passed:>4}/{total:<2}{tally.slowest:>8.1f} s  {when}")
        lines += [f"    {line}" for line in tally.failed]
    return "\n".join(lines)


def main() -> int:
    """Play what is not yet in the journal, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, separated by commas")
    parser.add_argument("--moments", default=",".join(MOMENTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", type=Path, help="file that keeps what was played, to go on from there")
    parser.add_argument("--most", type=int, default=1 << 30, help="play no more than so many rounds now")
    parser.add_argument("--now", default=",".join(MOMENTS), help="of the planned rounds, play those of these moments")
    args = parser.parse_args()
    planned = plan(args.only.split(","), args.moments.split(","), args.rounds, args.seed)
    played = _read(args.journal)
    done = {(one["kind"], one["number"]) for one in played}
    waiting = [one for one in planned if one[:2] not in done and one[2] in args.now.split(",")]
    for kind, number, moment in waiting[: args.most]:
        with tempfile.TemporaryDirectory(prefix="gemma-") as home:
            for name in ("STATE", "LOG", "CONFIG", "CACHE"):
                os.environ[f"GEMMA_TUI_{name}_DIR"] = f"{home}/{name.lower()}"
            began = time.monotonic()
            result = play(kind, moment, Random(f"{args.seed} {kind} {number}"))
            one: dict[str, object] = {
                "kind": kind, "number": number, "moment": moment, "seconds": round(result.seconds, 2),
                "left": result.left, "took": round(time.monotonic() - began),
            }  # fmt: skip
        played.append(one)
        if args.journal is not None:
            with args.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(one) + "\n")
        print(f"{kind:<21}{moment:<11}{result.left or 'clean'} {result.seconds:.1f} s", file=sys.stderr, flush=True)
    print(table(played))
    return int(any(one["left"] for one in played))


def _read(journal: Path | None) -> list[dict[str, object]]:
    if journal is None or not journal.exists():
        return []
    return [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main())
