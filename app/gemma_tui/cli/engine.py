"""`gemma-tui engine`: everything about engines and the runtimes they run in, one module for each group of verbs."""

from __future__ import annotations

import argparse
import importlib

# Verb, module, name of its part in that module ("" where the module has one verb only), one line of help.
VERBS: dict[str, tuple[str, str, str]] = {
    "install": ("gemma_tui.cli.engine_install", "install", "install a runtime: vLLM with everything it needs"),
    "list": ("gemma_tui.cli.engine_list", "list", "list the runtimes that were found"),
    "remove": ("gemma_tui.cli.engine_list", "remove", "remove a runtime that was installed here"),
    "explain": ("gemma_tui.cli.engine_explain", "", "say what a vLLM log shows: phases, times and why it failed"),
    "start": ("gemma_tui.cli.engine_run", "start", "start an engine that stays when this command ends"),
    "status": ("gemma_tui.cli.engine_run", "status", "list running engines"),
    "stop": ("gemma_tui.cli.engine_run", "stop", "stop running engines and everything that belongs to them"),
    "command": ("gemma_tui.cli.engine_command", "", "print the command line and environment of a profile"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every verb whose module is there."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, (module, part, line) in VERBS.items():
        child = verbs.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".")
        loaded = importlib.import_module(module)
        getattr(loaded, f"add_{part}_arguments" if part else "add_arguments")(child)


def run(args: argparse.Namespace) -> int:
    """Run the chosen verb."""
    module, part, _ = VERBS[args.verb]
    return int(getattr(importlib.import_module(module), f"run_{part}" if part else "run")(args))
