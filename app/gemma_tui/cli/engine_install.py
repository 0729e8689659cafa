"""`gemma-tui engine install` and `gemma-tui engine list`: the runtimes that engines run in."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gemma_backend.runtime.found import Runtime
    from gemma_backend.runtime.install import Progress


def add_install_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine install`."""
    parser.add_argument(
        "--runtime",
        choices=("cpu", "cuda", "quantize"),
        help="which runtime (default: cuda with an NVIDIA GPU, else cpu); quantize is what `gemma-tui quantize` uses",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before a large download")
    parser.add_argument("--if-missing", action="store_true", help="say nothing where it is installed already")


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine list`."""
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of text")


def run_install(args: argparse.Namespace) -> int:
    """Install a runtime with a progress bar; 3 if it can't be, 2 if the answer to the question is no."""
    import signal

    from gemma_backend.runtime import find
    from gemma_backend.runtime.install import install, plan
    from gemma_backend.types import EngineError, UsageError

    device = args.runtime or find.preferred()
    intended = plan(device)
    if intended.installed and args.if_missing:
        return 0
    if not intended.installed:
        if intended.problem:
            raise EngineError(intended.problem)
        print(
            f"{device} runtime, {_package(device)} {intended.version} for Python {intended.python}: "
            f"{_size(intended.download_bytes)} to fetch, {_size(intended.disk_bytes)} on disk in {intended.target}"
        )
        if not args.yes and sys.stdin.isatty() and sys.stdout.isatty():
            if input("Install it? [Y/n] ").strip().lower() not in ("", "y", "yes"):
                print("Nothing was installed.")
                return 2
        elif not args.yes and not sys.stdin.isatty() and args.runtime is None:
            raise UsageError(f"Say which runtime to install, for example: gemma-tui engine install --runtime {device}")
    stopped: list[int] = []
    # Ended from outside, the installation still takes away what it had begun.
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    show = _Bar() if sys.stdout.isatty() else _Lines()
    try:
        runtime = install(device, progress=show, cancelled=lambda: bool(stopped))
    finally:
        show.end()
    print(runtime.path)
    for name, version in find.read_mark(runtime.path).get("versions", {}).items():
        print(f"  {name} {version}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Print every runtime that is found; exit code 0 also if there is none."""
    from gemma_backend.runtime import find

    rows = [_row(runtime) for runtime in find.list_runtimes()]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    if not rows:
        print("No runtime was found. Install one with: gemma-tui engine install")
    for row in rows:
        state = "ok" if row["ok"] else f"broken: {row['problem']}"
        size = f", {_size(row['bytes'])}" if row["bytes"] else ""
        versions = row["versions"]
        words = (
            ", ".join(f"{name} {version}" for name, version in versions.items()) if isinstance(versions, dict) else ""
        )
        print(f"{row['name']}  ({row['kind']}, {row['device']}{size})  {state}\n    {row['path']}\n    {words}")
    return 0


def _row(runtime: Runtime) -> dict[str, Any]:
    from gemma_backend.runtime import find
    from gemma_backend.runtime.found import versions

    problem = find.problem(runtime)
    return {
        "name": runtime.name,
        "kind": runtime.kind,
        "device": runtime.device,
        "version": runtime.version,
        "versions": versions(runtime.python),
        "python": str(runtime.python),
        "path": str(runtime.path),
        "bytes": find.read_mark(runtime.path).get("bytes") if runtime.kind == "managed" else None,
        "ok": problem is None,
        "problem": problem,
    }


class _Lines:
    """Progress where there is no terminal: one line for each new thing that is done."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, progress: Progress) -> None:
        # One line for each package would be a hundred; the first word says what kind of work it is.
        kind = progress.text.split(" ", 1)[0]
        if kind != self._last:
            self._last = kind
            print(f"{progress.fraction:4.0%}  {progress.text}", flush=True)

    def end(self) -> None:
        """Nothing is left on the line."""


class _Bar:
    """Progress on a terminal: one line, drawn over."""

    WIDTH = 30

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, progress: Progress) -> None:
        full = round(progress.fraction * self.WIDTH)
        line = f"{'━' * full}{'─' * (self.WIDTH - full)} {progress.fraction:4.0%}  {progress.text[:40]}"
        if line != self._last:
            self._last = line
            print(f"\r\x1b[K{line}", end="", flush=True)

    def end(self) -> None:
        """Leave the line."""
        print()


def _package(device: str) -> str:
    return "ModelOpt" if device == "quantize" else "vLLM"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
