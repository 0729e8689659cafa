"""`gemma-tui engine explain LOG`: phases, times and the cause of a failure from any vLLM log."""

from __future__ import annotations

import argparse
import codecs
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.engine.explain import Explanation

# A debug log of a day; what lies beyond says nothing new about a start.
_LOG_BYTES = 256 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine explain`."""
    parser.add_argument("log", metavar="LOG", help="file with vLLM's output, saved by whomever; - reads standard input")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--exit-code", type=int, metavar="N", help="the server's exit code, where it is known")


def run(args: argparse.Namespace) -> int:
    """Print what the log says; the exit code is 0 also for the log of a failed start."""
    import dataclasses

    from gemma_backend.engine.explain import explain
    from gemma_backend.engine.notes import of_log

    text = _text(args.log)
    explanation, notes = explain(text, exit_code=args.exit_code), of_log(text)
    if args.json:
        print(json.dumps(dataclasses.asdict(explanation) | {"notes": notes}, indent=2))
    else:
        _show(explanation)
        for note in notes:
            print(f"Note: {note}")
    return 0


def _text(name: str) -> str:
    from pathlib import Path

    from gemma_backend.text.given import read_given
    from gemma_backend.types import BadInput

    if not name:
        raise BadInput("no log is named: give the path of a file, or - for standard input.")
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_LOG_BYTES) if sys.stdin is not None else b""
        else:
            data = read_given(Path(name), _LOG_BYTES)
    except OSError as error:
        raise BadInput(f"the log {name} cannot be read: {error.strerror}. Give the path of a file, or -.") from None
    # PowerShell saves what a program writes as UTF-16.
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if wide else "utf-8-sig", "replace")


def _show(explanation: Explanation) -> None:
    from gemma_backend.text.clean import clean

    if explanation.vllm_version:
        print(clean(f"vLLM {explanation.vllm_version}"))
    for phase in explanation.phases:
        lasted = "      -" if phase.seconds is None or phase.name == "ready" else f"{phase.seconds:6.1f}s"
        print(clean(f"{phase.start_s:7.1f}s {lasted}  {phase.name:<15}{phase.detail}", keep_newlines=False).rstrip())
    if not explanation.phases and explanation.cause is None:
        print("Nothing that vLLM writes was found in this log.")
        return
    if explanation.cause is None:
        print("The engine became ready." if explanation.ready else "No failure, but the log ends before readiness.")
        return
    print(f"\nFailed: {clean(explanation.cause, keep_newlines=False)}")
    if explanation.advice:
        print(f"Advice: {clean(explanation.advice, keep_newlines=False)}")
    print("\nFrom the log:")
    for line in explanation.excerpt:
        print(clean(f"  {line}", keep_newlines=False))
