"""`gemma-tui model`: what can be told about a checkpoint on disk."""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `model`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = actions.add_parser("verify", help="compare an NVFP4 checkpoint with the one it was made from")
    verify.add_argument("checkpoint", metavar="DST", help="folder of the NVFP4 checkpoint")
    verify.add_argument("--against", metavar="SRC", required=True, help="folder of the checkpoint it was made from")
    verify.add_argument("--json", action="store_true", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the action; `verify` ends with 5 if something is wrong with the checkpoint."""
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
