"""Streaming and reading, measured in a pty from outside: `python -m benchmarks.stream_bench [--app gemma-tui|bare]`.

CPU is a share of one core from Enter until the output is quiet; lag is from the last token sent to the last word on
screen; key is a key typed into the composer until it shows, while 200 tokens a second stream.
"""

from __future__ import annotations

import argparse
import atexit
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from benchmarks.terminal import Terminal
from benchmarks.token_server import LAST_WORD

ROOT = Path(__file__).parents[2]
# Each key is a letter that is nowhere else on the screen.
_SCRIPTS = ((0x10D0, 0x10F0), (0x0531, 0x0557), (0x0561, 0x0587), (0x0410, 0x0450))
LETTERS = [chr(code) for first, last in _SCRIPTS for code in range(first, last)]


def environment() -> dict[str, str]:
    """The variables that the measured programs run with; byte code is kept, as it is in an installed program.

    What is said is kept, as it usually is, but not in the history of the person who measures.
    """
    paths = os.pathsep.join(str(ROOT / name) for name in ("app", "backend", "assets", "tests"))
    return {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "", "GEMMA_TUI_STATE_DIR": _state()}


@lru_cache(maxsize=1)
def _state() -> str:
    folder = tempfile.mkdtemp(prefix="gemma-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Server:
    """The token server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        port, self._times = folder / "port", folder / "times"
        command = [sys.executable, "-m", "benchmarks.token_server", str(port), str(self._times)]
        self._process = subprocess.Popen(command, env={**os.environ, **environment()})
        while not (port.exists() and port.read_text(encoding="utf-8")):
            time.sleep(0.02)
        self.url = f"http://127.0.0.1:{port.read_text(encoding='utf-8')}"

    def sent(self) -> float:
        """When the last token of the latest reply was written."""
        for _ in range(200):
            if self._times.exists() and (text := self._times.read_text(encoding="utf-8")):
                self._times.unlink()
                return float(json.loads(text)["sent"])
            time.sleep(0.01)
        raise TimeoutError("the server never finished a reply")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def command_of(app: str, url: str, model: str, tokens: int = 0) -> list[str]:
    """The command line of the program that is measured."""
    if app == "bare":
        return [sys.executable, "-m", "benchmarks.bare_app", url, model, str(tokens)]
    return [sys.executable, "-m", "gemma_tui", "--url", url, "--model", model]


def open_app(app: str, url: str, model: str, tokens: int = 0) -> tuple[Terminal, float, float]:
    """Start the program; returns it with seconds to the first paint and to the first typed letter on screen."""
    terminal = Terminal(command_of(app, url, model, tokens), env=environment())
    while not terminal.read(5):
        pass
    paint = terminal.last_output - terminal.started
    terminal.type("\u0416")
    ready = terminal.wait_for("\u0416", 20) - terminal.started
    terminal.type("\x7f")
    terminal.until_quiet(1.5, 10)
    return terminal, paint, ready


def stream(app: str, server: Server, rate: int, tokens: int, *, keys: bool = False) -> dict[str, float]:
    """One reply at `rate` tokens a second; with `keys` a letter is typed every 0.1 s."""
    terminal, paint, ready = open_app(app, server.url, f"rate-{rate}-tokens-{tokens}")
    try:
        memory, cpu, written = terminal.memory, terminal.cpu, terminal.bytes
        entered = terminal.type("go\r")
        delays: list[float] = []
        if keys:
            end = entered + 0.8 * tokens / rate
            for letter in itertools.cycle(LETTERS):
                if time.monotonic() > end:
                    break
                pause = time.monotonic() + 0.1
                while (left := pause - time.monotonic()) > 0:
                    terminal.read(left)
                if len(delays) and len(delays) % 20 == 0:
                    terminal.type("\x15")
                    terminal.until_quiet(0.03, 0.3)
                delays.append(terminal.wait_for(letter, 5) - typed if (typed := terminal.type(letter)) else 0.0)
        shown = terminal.wait_for(LAST_WORD, 60 + 3 * tokens / rate)
        terminal.until_quiet(0.5, 10)
        seconds = terminal.last_output - entered
        result = {
            "paint": paint, "ready": ready, "memory": memory, "after": terminal.memory,
            "cpu": 100 * (terminal.cpu - cpu) / seconds, "lag": 1000 * (shown - server.sent()),
            "bytes": (terminal.bytes - written) / tokens, "seconds": seconds,
        }  # fmt: skip
        if delays:
            delays.sort()
            result["key50"] = 1000 * statistics.median(delays)
            result["key99"] = 1000 * delays[min(len(delays) - 1, int(len(delays) * 0.99))]
        return result
    finally:
        terminal.close()


def _joined(runs: dict[int, dict[str, float]], name: str) -> str:
    return " / ".join(f"{run[name]:.0f}" for run in runs.values())


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app", default="gemma-tui", choices=["gemma-tui", "bare"])
    parser.add_argument("--tokens", type=int, default=1_500)
    parser.add_argument("--rates", type=int, nargs="*", default=[50, 200, 1_000, 2_000])
    parser.add_argument("--no-keys", action="store_true")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            runs = {rate: stream(args.app, server, rate, args.tokens) for rate in args.rates}
            keys = {} if args.no_keys else stream(args.app, server, 200, 2 * args.tokens, keys=True)
        finally:
            server.close()
    for rate, run in runs.items():
        print(f"{rate:>5} tok/s: " + "  ".join(f"{name} {value:.3g}" for name, value in run.items()))
    first = next(iter(runs.values()))
    names = " / ".join(f"{rate:,}" for rate in runs)
    print(
        f"| | first paint / ready s | memory MB (PSS) ready / after | CPU % at {names} tok/s | end lag ms at {names} "
        "| key ms p50 / p99 at 200 |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    print(
        f"| {args.app} | {first['paint']:.2f} / {first['ready']:.2f} | {first['memory']:.0f} / {first['after']:.0f} "
        f"| {_joined(runs, 'cpu')} "
        f"| {_joined(runs, 'lag')} "
        f"| {keys.get('key50', float('nan')):.0f} / {keys.get('key99', float('nan')):.0f} |"
    )


if __name__ == "__main__":
    main()
