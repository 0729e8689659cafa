"""`gemma-tui model`: what can be told about a checkpoint on disk."""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `model`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    pull = actions.add_parser("pull", help="fetch a checkpoint from the model hub, resuming what was begun")
    pull.add_argument("repository", metavar="REPO[@REVISION]", help="for example google/gemma-4-E2B")
    verify = actions.add_parser("verify", help="compare an NVFP4 checkpoint with the one it was made from")
    verify.add_argument("checkpoint", metavar="DST", help="folder of the NVFP4 checkpoint")
    verify.add_argument("--against", metavar="SRC", required=True, help="folder of the checkpoint it was made from")
    verify.add_argument("--json", action="store_true", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the action; `verify` ends with 5 if something is wrong with the checkpoint."""
    return _pull(args.repository) if args.action == "pull" else _verify(args)


def _pull(name: str) -> int:
    from gemma_backend.checkpoint.pull import Fetched, pull
    from gemma_backend.text.clean import clean

    shown, last = sys.stderr.isatty(), ""

    def tell(state: Fetched) -> None:
        nonlocal last
        file = clean(state.file, keep_newlines=False)
        if shown:
            line = f"{state.fraction:4.0%}  {state.done / 1e9:.2f} of {state.total / 1e9:.2f} GB  {file}"
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif state.file and state.file != last:
            last = state.file
            print(f"{file} ({state.file_total / 1e6:.1f} MB)", file=sys.stderr)

    repository, _, revision = name.partition("@")
    try:
        folder = pull(repository, revision or None, progress=tell, cancelled=lambda: False)
    finally:
        if shown:
            print(file=sys.stderr)
    print(folder)
    return 0


def _verify(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from gemma_backend.checkpoint.header import read_checkpoint
    from gemma_backend.checkpoint.locate import locate
    from gemma_backend.checkpoint.verify import verify

    shown = sys.stderr.isatty()

    def tell(part: float) -> None:
        if shown:
            print(f"\r{part:4.0%} compared", end="", file=sys.stderr, flush=True)

    report = verify(read_checkpoint(locate(args.checkpoint)), read_checkpoint(locate(args.against)), tell)
    if shown:
        print(file=sys.stderr)
    if args.json:
        print(json.dumps({**asdict(report), "ok": report.ok}, indent=2))
        return 0 if report.ok else 5
    print(f"{report.kept} tensors are kept, {report.rounded} are rounded: {report.numbers:,} numbers")
    print(f"worst distance {report.worst:.3f} of half a step, root mean square error {report.error:.2%} of the weights")
    print(f"{report.clipped:,} numbers are clipped")
    if report.left_out:
        print(f"{report.left_out} tensors without use are left out")
    if report.uneven:
        print(f"{report.uneven} groups that vLLM merges have differing global scales, which costs accuracy there")
    for problem in report.problems:
        print(f"wrong: {problem}")
    print("verified" if report.ok else f"{len(report.problems)} things are wrong")
    return 0 if report.ok else 5
