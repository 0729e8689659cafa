"""The command line's parsers, whole: `gemma-tui` itself and each subcommand by name."""

from __future__ import annotations

import argparse

from gemma_tui.cli.main import COMMANDS, build_parser


def whole() -> argparse.ArgumentParser:
    """The parser with the full options of every subcommand."""
    return build_parser(list(COMMANDS))


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Subcommands of `parser` by name, each with its own parser; empty where it has none."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(action.choices)
    return found
