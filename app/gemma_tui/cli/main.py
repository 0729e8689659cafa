"""The entry point: finds the subcommand, imports only that one, and turns every failure into a sentence and a code."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence

from gemma_tui import __version__
from gemma_tui.cli import leftovers
from gemma_tui.cli.parser import Parser
from gemma_tui.exit_codes import in_a_line

# As in `typing`, whose import would take a tenth of the time to the first frame.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

# Name, module, one line of help. A module gives `add_arguments(parser)` and `run(args) -> int`, and imports what is
# heavy inside `run`, so that `--help` and `--version` stay fast.
COMMANDS: dict[str, tuple[str, str]] = {
    "ask": ("gemma_tui.cli.ask", "answer one prompt on standard output"),
    "history": ("gemma_tui.cli.history", "find, read, export, import and delete conversations"),
    "serve": ("gemma_tui.cli.serve", "run the engine in the foreground for other programs"),
    "engine": ("gemma_tui.cli.engine", "install, list, start, stop and explain vLLM engines"),
    "quantize": ("gemma_tui.cli.quantize", "turn a BF16 checkpoint into an NVFP4 one"),
    "model": ("gemma_tui.cli.model", "fetch a checkpoint, or verify a quantised one against its source"),
    "config": ("gemma_tui.cli.config", "show settings and where each value came from"),
    "top": ("gemma_tui.cli.top", "watch the figures of running servers"),
    "eval": ("gemma_tui.cli.eval", "measure whether a served model still speaks, alone or against another"),
    "tune": ("gemma_tui.cli.tune", "search for faster or smaller settings for this machine"),
    "bench": ("gemma_tui.cli.bench", "measure speed and latency under load, and compare results"),
    "doctor": ("gemma_tui.cli.doctor", "check this machine and say what is missing"),
    "uninstall": ("gemma_tui.cli.uninstall", "remove what the program made on this machine, class by class"),
}
# Without a subcommand the screen opens; its module holds the options that stand before any subcommand.
SCREEN = "gemma_tui.cli.chat"


class Given(argparse.Namespace):
    """What was parsed; a subcommand's defaults do not undo what stood before its name."""

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["_own"] = set[str]()

    def __setattr__(self, name: str, value: object) -> None:
        # argparse sets the subcommand's name first, then everything that its own parser knows.
        if "command" in self.__dict__ and self.__dict__["command"] is not None:
            self.__dict__["_own"].add(name)
            if value in (None, False) and self.__dict__.get(name):
                return
        super().__setattr__(name, value)

    def useless(self) -> list[str]:
        """Names of the options given before a subcommand that has no such option."""
        if self.__dict__.get("command") is None:
            return []
        outside = self.__dict__.keys() - self.__dict__["_own"] - {"_own", "command"}
        return sorted(name for name in outside if self.__dict__[name] not in (None, False))


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Parser with every subcommand's name and help, and the full options of those named in `argv`."""
    parser = Parser(
        prog="gemma-tui",
        description="Run Gemma 4 E2B on this machine and talk to it: text, pictures and sound.",
        epilog=f"Without a subcommand the terminal UI opens. Exit codes: {in_a_line()}.",
    )
    parser.add_argument("--version", action="version", version=f"gemma-tui {__version__}", help="print the version")
    importlib.import_module(SCREEN).add_arguments(parser)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, (module, line) in COMMANDS.items():
        child = subparsers.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".")
        if name in argv:
            importlib.import_module(module).add_arguments(child)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `gemma-tui` with `argv` (default: this process's) and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Started with `>&-` there is no stream at all; what would be written goes nowhere then.
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    try:
        for sentence in leftovers.clear():
            print(f"gemma-tui: {sentence}", file=sys.stderr)
        if words == ["--version"]:
            print(f"gemma-tui {__version__}", flush=True)
            return 0
        parser = build_parser(words)
        args = parser.parse_args(words, Given())
        for name in args.useless():
            parser.error(f"--{name.replace('_', '-')} does nothing for {args.command}: leave it out")
        if getattr(args, "gpu", None) is not None:
            if args.gpu < 0:
                parser.error("argument --gpu: GPUs are numbered from 0, as nvidia-smi lists them")
            # A flag beats a variable, and every command reads its settings anew.
            os.environ["GEMMA_TUI_GPU"] = str(args.gpu)
        module = COMMANDS[args.command][0] if args.command else SCREEN
        code = int(importlib.import_module(module).run(args))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone.
        _redirect()
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            # Else the interpreter's last flush would fail once more, with a traceback.
            _redirect()
        return report(error)


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _redirect() -> None:
    """Point standard output elsewhere, so that the interpreter's last flush is silent."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(error: Exception) -> int:
    """Say `error` in one sentence on standard error and return the exit code that belongs to it."""
    from gemma_backend.text.clean import clean
    from gemma_backend.types import GemmaError

    if isinstance(error, GemmaError):
        print(f"gemma-tui: {clean(str(error), keep_newlines=False)}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        print("gemma-tui: The disk is full: free some space and try again.", file=sys.stderr)
        return 5
    from gemma_backend.config.log import log_bug

    path = log_bug(error)
    print(f"gemma-tui: this is a bug of ours ({type(error).__name__}); what happened is in {path}", file=sys.stderr)
    return 70
