"""Shell completions from the parsers, for bash, zsh and fish."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import shtab

from dist.parsers import commands, whole

NAMES = {"bash": "gemma-tui", "zsh": "_gemma-tui", "fish": "gemma-tui.fish"}
# What stands for a path on the command line; shtab completes only what it is told to.
FILES = {"FILE", "F", "PATH", "LOG", "DST", "SRC", "FOLDER", "A.json", "B.json"}


def scripts() -> dict[str, str]:
    """Each shell's script by its file name."""
    parser = whole()
    parser.prog = "gemma-tui"
    _mark_files(parser)
    return {name: shtab.complete(parser, shell) for shell, name in NAMES.items()}


def write(folder: Path) -> None:
    """Write every script into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in scripts().items():
        (folder / name).write_text(text, encoding="utf-8")


def _mark_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's own way of marking an action
    for child in commands(parser).values():
        _mark_files(child)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
