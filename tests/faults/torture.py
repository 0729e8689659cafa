"""Kills every part of an engine at random moments and counts what is left: `make torture`, or

    PYTHONPATH=tests python -m faults.torture --rounds 20 --only screen,core --moments loading,serving --minutes 20

Each kind is played `--rounds` times, at moments drawn from those named, a round of each kind after the other, and two
rounds at once, each with folders of its own. With `--minutes` no round is begun after that time; with `--journal FILE`
what was played is kept, and the next run goes on from there. Prints one line for each kind: rounds passed, at which
moments, and the slowest clean-up in seconds. The exit code is 1 if any round failed.

A round costs most of an engine's start: all 340 take over two hours on two cores. `--quick` strikes in a start's first
seconds in nine rounds of ten, and plays four rounds at once: about half an hour.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from faults.rounds import KINDS, LIMIT, LOADING, MOMENTS, play
from stubs.real_engine import environment

Planned = tuple[str, int, str]
Played = dict[str, object]

WEIGHTS = {"installing": 2, "loading": 4, "serving": 2, "streaming": 2}
"""How often each moment is drawn: most of an engine's starts are spent loading."""
QUICK_WEIGHTS = {"installing": 4, "loading": 14, "serving": 1, "streaming": 1}
QUICK_LOADING = 10.0


@dataclass(slots=True)
class Tally:
    """What became of the rounds of one kind."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0
    moments: dict[str, int] = field(default_factory=dict)


def plan(
    kinds: list[str], moments: list[str], rounds: int, seed: int, weights: dict[str, int] = WEIGHTS
) -> list[Planned]:
    """Kind, number and moment of every round, one round of each kind after the other."""
    chance = Random(seed)
    planned = []
    for number in range(1, rounds + 1):
        for kind in kinds:
            possible = [one for one in moments if one != "installing" or KINDS[kind].installing]
            if possible:
                planned.append((kind, number, chance.choices(possible, [weights[one] for one in possible])[0]))
    return planned


def tallies(played: list[Played]) -> dict[str, Tally]:
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


def table(played: list[Played]) -> str:
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
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round after so long")
    parser.add_argument("--quick", action="store_true", help="mostly in the first seconds of a start")
    parser.add_argument("--at-once", type=int, help="rounds played at the same time (2; 4 with --quick)")
    parser.add_argument("--loading", type=float, help="how many seconds of a start are struck in")
    parser.add_argument("--one", nargs=3, metavar=("KIND", "NUMBER", "MOMENT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.at_once = args.at_once or (4 if args.quick else 2)
    args.loading = args.loading or (QUICK_LOADING if args.quick else LOADING)
    if args.one:
        kind, number, moment = args.one
        print(json.dumps(_one((kind, int(number), moment), args.seed, args.loading)))
        return 0
    weights = QUICK_WEIGHTS if args.quick else WEIGHTS
    planned = plan(args.only.split(","), args.moments.split(","), args.rounds, args.seed, weights)
    played = _read(args.journal)
    done = {(one["kind"], one["number"]) for one in played}
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{datetime.date.today()}, Python {platform.python_version()}, {os.cpu_count()} processors, load {load}")
    began = time.monotonic()

    def apart(one: Planned) -> None:
        if time.monotonic() - began > 60 * args.minutes:
            return
        words = ["--one", one[0], str(one[1]), one[2], "--seed", str(args.seed), "--loading", str(args.loading)]
        # Each in a process of its own, which has one set of folders in its environment.
        ended = subprocess.run(
            [sys.executable, "-m", "faults.torture", *words],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            last = ended.stderr.strip().rpartition("\n")[2]
            result: Played = {"kind": one[0], "number": one[1], "moment": one[2], "seconds": 0.0, "left": [last]}
        else:
            result = json.loads(ended.stdout)
        played.append(result)
        if args.journal is not None:
            with args.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
        words = [f"{one[0]:<21}{one[2]:<11}", str(result["left"] or "clean"), f"{result['seconds']} s"]
        print(*words, file=sys.stderr, flush=True)

    with ThreadPoolExecutor(args.at_once) as pool:
        list(pool.map(apart, [one for one in planned if one[:2] not in done]))
    print(f"{len(played)} of {len(planned)} rounds, nothing left within {LIMIT:.0f} s, in {_minutes(began)}")
    print(table(played))
    return int(any(one["left"] for one in played))


def _one(planned: Planned, seed: int, loading: float) -> Played:
    kind, number, moment = planned
    with tempfile.TemporaryDirectory(prefix="gemma-") as home:
        for name in ("STATE", "LOG", "CONFIG", "CACHE"):
            os.environ[f"GEMMA_TUI_{name}_DIR"] = f"{home}/{name.lower()}"
        began = time.monotonic()
        result = play(kind, moment, Random(f"{seed} {kind} {number}"), loading=loading)
    return {
        "kind": kind, "number": number, "moment": moment, "seconds": round(result.seconds, 2),
        "left": result.left, "took": round(time.monotonic() - began),
    }  # fmt: skip


def _minutes(began: float) -> str:
    return f"{(time.monotonic() - began) / 60:.1f} min"


def _read(journal: Path | None) -> list[Played]:
    if journal is None or not journal.exists():
        return []
    return [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main())
