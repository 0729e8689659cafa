"""`gemma-tui model`: checkpoints, one module for each group of actions."""

from __future__ import annotations

import argparse
import importlib

# Action, module, name of its part in that module, one line of help.
ACTIONS: dict[str, tuple[str, str, str]] = {
    "pull": ("gemma_tui.cli.model_store", "pull", "fetch a checkpoint from the model hub, resuming what was begun"),
    "list": ("gemma_tui.cli.model_store", "list", "list the checkpoints on this machine with size and last use"),
    "remove": ("gemma_tui.cli.model_store", "remove", "remove a checkpoint from this machine"),
    "inspect": ("gemma_tui.cli.model_inspect", "inspect", "say what a checkpoint is, from its headers alone"),
    "fit": ("gemma_tui.cli.model_fit", "fit", "say whether a checkpoint fits on a GPU, and with how long a context"),
    "verify": ("gemma_tui.cli.model_verify", "verify", "check a checkpoint's files, or compare it with its source"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every action."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (module, part, line) in ACTIONS.items():
        child = actions.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".")
        getattr(importlib.import_module(module), f"add_{part}_arguments")(child)


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    module, part, _ = ACTIONS[args.action]
    return int(getattr(importlib.import_module(module), f"run_{part}")(args))
