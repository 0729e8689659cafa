"""`gemma-tui model verify`: what is wrong with a checkpoint's files, or with one against its source."""

from __future__ import annotations

import argparse
import json
import sys


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `model verify`."""
    parser.add_argument("checkpoint", metavar="PATH", help="folder or repository id of the checkpoint")
    parser.add_argument("--against", metavar="SRC", help="compare with the checkpoint that it was made from")
    parser.add_argument("--quick", action="store_true", help="leave the checksums out, which read every byte")
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run_verify(args: argparse.Namespace) -> int:
    """Check, and end with 5 if something is wrong."""
    return _against(args) if args.against is not None else _alone(args)


def _against(args: argparse.Namespace) -> int:
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


def _alone(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from gemma_backend.checkpoint.check import check
    from gemma_backend.checkpoint.locate import locate
    from gemma_backend.text.clean import clean

    shown = sys.stderr.isatty()

    def tell(part: float) -> None:
        if shown:
            print(f"\r{part:4.0%} read", end="", file=sys.stderr, flush=True)

    found = check(locate(args.checkpoint, whole=False), checksums=not args.quick, progress=tell)
    if shown:
        print(file=sys.stderr)
    if args.json:
        print(json.dumps({**asdict(found), "ok": found.ok}, indent=2))
        return 0 if found.ok else 5
    print(f"{found.files} files, {found.tensors} tensors, {found.nbytes / 1e9:.2f} GB")
    print(f"{found.scales} scale tensors are looked at for NaN and zero")
    if found.checksums:
        print(f"{found.checksums} checksums are those of the model hub")
    elif not args.quick:
        print("no checksums are known: the files did not come from the model hub")
    for problem in found.problems:
        print(f"wrong: {clean(problem, keep_newlines=False)}")
    print("verified" if found.ok else f"{len(found.problems)} things are wrong")
    return 0 if found.ok else 5
