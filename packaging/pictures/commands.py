"""What commands print, as pictures: each is run in a pty beside the engine that the screens left running."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from pictures.stage import printed

COLUMNS = 120
LOG = Path(__file__).parents[2] / "tests" / "fixtures" / "engine-logs" / "fail-kv-cache-none.log"
KNOBS = ["--knob", "stream-interval=1;4", "--knob", "max-num-seqs=8;16"]
LOAD = ["--concurrency", "1,4", "--requests", "12", "--output-tokens", "48"]
COMMANDS: dict[str, list[str]] = {
    "doctor": ["doctor"],
    "fit": ["model", "fit", "--profile", "pocket"],
    "tune": ["tune", "--profile", "pocket", "--dry-run", *KNOBS],
    "eval": ["eval", "--profile", "pocket", "--limit", "4"],
    "bench": ["bench", *LOAD],
    "explain": ["engine", "explain", "vllm.log"],
    "plain": ["--plain"],
}
TYPED = {"plain": "Hello!\nWhat can you do?\n/quit"}


def take(out: Path) -> None:
    """Make every picture of a command."""
    env = dict(os.environ) | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    shutil.copy(LOG, Path(env["HOME"]) / "vllm.log")
    for name, words in COMMANDS.items():
        shown = shlex.join(["gemma-tui", *words])
        film = printed(shown, words, env, COLUMNS, said=TYPED.get(name, ""))
        path = out / f"{name}.svg"
        path.write_text(film.svg(shown), encoding="utf-8")
        print(path)
