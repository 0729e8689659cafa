"""`gemma-tui model pull`, `list` and `remove`: the checkpoints on this machine."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.checkpoint.pull import Fetched


def add_pull_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `model pull`."""
    parser.add_argument("repository", metavar="REPO[@REVISION]", help="for example google/gemma-4-E2B")


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `model list`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_remove_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `model remove`."""
    parser.add_argument("name", metavar="NAME", help="as `model list` shows it: a repository id or a folder")
    parser.add_argument("--yes", action="store_true", help="remove without asking")


def run_pull(args: argparse.Namespace) -> int:
    """Fetch, showing progress on standard error, and print the folder."""
    from gemma_backend.checkpoint.pull import pull
    from gemma_backend.text.clean import clean

    shown, last = sys.stderr.isatty(), ""

    def tell(state: Fetched) -> None:
        nonlocal last
        if shown:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            line = clean(f"{_progress(state)}  {state.file}", keep_newlines=False)[: columns - 1]
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif state.file and state.file != last:
            last = state.file
            print(f"{clean(last, keep_newlines=False)} ({state.file_total / 1e6:.1f} MB)", file=sys.stderr)

    repository, _, revision = args.repository.partition("@")
    try:
        folder = pull(repository, revision or None, progress=tell, cancelled=lambda: False)
    finally:
        if shown:
            print(file=sys.stderr)
    print(folder)
    return 0


def _progress(state: Fetched) -> str:
    """How far all files are, and the current one."""
    file = state.file_done / state.file_total if state.file_total else 1.0
    return f"{state.fraction:4.0%}  {state.done / 1e9:.2f} of {state.total / 1e9:.2f} GB  {file:4.0%} of"


def run_list(args: argparse.Namespace) -> int:
    """Print one line for each checkpoint."""
    import time

    from gemma_backend.checkpoint.stored import stored
    from gemma_backend.text.clean import clean

    found = stored()
    if args.json:
        from dataclasses import asdict

        print(json.dumps([{**asdict(one), "path": str(one.path)} for one in found], indent=2))
        return 0
    if not found:
        print("No checkpoint was found in the model hub's cache or the data folder.")
        return 0
    width = max(len(one.name) for one in found)
    for one in found:
        used = "never used" if one.last_used is None else time.strftime("%Y-%m-%d", time.localtime(one.last_used))
        state = "" if one.whole else "  not whole: pull it again"
        name = clean(one.name, keep_newlines=False)
        print(f"{name:<{width}}  {one.nbytes / 1e9:7.2f} GB  {used:<10}  {one.place}{state}")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Remove a checkpoint after a yes; refuses one that an engine is serving."""
    from gemma_backend.checkpoint.stored import remove, stored_as
    from gemma_backend.engine.record import records
    from gemma_backend.text.clean import clean
    from gemma_backend.types import UsageError

    one = stored_as(args.name)
    for record in records():
        if record.running and one.holds(record.checkpoint):
            raise UsageError(f"an engine is serving {one.name}: stop it first with `gemma-tui engine stop`.")
    name, size = clean(one.name, keep_newlines=False), f"{one.nbytes / 1e9:.2f} GB"
    if not args.yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{name} ({size}) is removed only after a yes: give --yes.")
        if input(f"Remove {name} ({size}, {one.path})? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was removed.")
            return 0
    remove(one)
    print(f"{name} was removed: {size} are free again.")
    return 0
