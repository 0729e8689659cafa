"""`bench` and `tune` of a profile of one's own, run as a person runs them, on whatever device its runtime has."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stubs.real_engine import ROOT

NAME = "measured"


@dataclass(frozen=True, slots=True)
class Measured:
    """What both commands left: the report, the journal's head and trials, what was printed, the profile that won."""

    report: dict[str, Any]
    head: dict[str, Any]
    trials: list[dict[str, Any]]
    printed: str
    winner: Path

    def trial(self, **made: object) -> dict[str, Any]:
        """The first trial with these changes; dashes in a flag are underscores here."""
        wanted = {name.replace("_", "-"): value for name, value in made.items()}
        return next(one for one in self.trials if one["made"] == wanted)


def run(home: Path, python: str, *words: str) -> tuple[str, str]:
    """Run `gemma-tui` in folders of its own; what it wrote on standard output, and on standard error."""
    paths = [*(str(ROOT / part) for part in ("app", "backend", "assets")), os.environ.get("PYTHONPATH", "")]
    folders = {f"GEMMA_TUI_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "STATE", "LOG")}
    done = subprocess.run(
        [python, "-m", "gemma_tui", *words],
        env={**os.environ, **folders, "PYTHONPATH": ":".join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def write_profile(home: Path, **values: object) -> None:
    """Write the profile; `flags` and `environment` are tables."""
    folder = home / "config" / "profiles"
    folder.mkdir(parents=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if not isinstance(value, dict)]
    for name, table in values.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    (folder / f"{NAME}.toml").write_text("\n".join(lines) + "\n")


def bench_and_tune(home: Path, python: str, bench: Sequence[str], tune: Sequence[str]) -> Measured:
    """Measure the profile, then search for more throughput; each starts and stops engines of its own."""
    report = json.loads(run(home, python, "bench", "--profile", NAME, *bench, "--json", "-")[0])
    printed, _ = run(home, python, "tune", "--profile", NAME, "--for", "throughput", *tune)
    head, *trials = [json.loads(line) for line in journal(home).read_text().splitlines()]
    winner = home / "config" / "profiles" / f"{NAME}-throughput.toml"
    return Measured(report, head, trials, printed, winner)


def journal(home: Path) -> Path:
    """Where the search wrote its trials down."""
    return home / "state" / "tune" / f"{NAME}.jsonl"
