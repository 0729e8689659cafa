"""`gemma-tui quantize SRC DST`: a BF16 checkpoint made into an NVFP4 one, after saying what that will do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.quantize.plan import Options, Plan
    from gemma_backend.quantize.run import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `quantize`; the defaults are the published recipe's."""
    parser.add_argument("source", metavar="SRC", help="folder of a BF16 checkpoint, or a hub repository already here")
    parser.add_argument("target", metavar="DST", type=Path, help="folder for the result, which must not exist yet")
    parser.add_argument(
        "--format",
        choices=("nvfp4a16", "nvfp4"),
        default="nvfp4a16",
        help="nvfp4a16 rounds weights (default); nvfp4 rounds activations too, for GPUs that compute in FP4",
    )
    parser.add_argument(
        "--recipe",
        choices=("default", "published"),
        default="default",
        help="published gives each layer a scale of its own, as the published checkpoint was made",
    )
    parser.add_argument(
        "--scales",
        choices=("max", "mse"),
        default="max",
        help="choose each group's scale from its largest number (default), or by least squared error, which clips some",
    )
    parser.add_argument("--samples", type=_count, default=512, metavar="N", help="calibration texts (default 512)")
    parser.add_argument("--batch-size", type=_count, default=4, metavar="N", help="texts at a time (default 4)")
    parser.add_argument("--seq-len", type=_count, default=1024, metavar="N", help="tokens of a text (default 1024)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="order of the calibration texts (default 0)")
    parser.add_argument(
        "--calib",
        type=Path,
        metavar="FILE",
        help="calibration texts: one a line, or JSON lines with a `text` each (default: a bundled text)",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="more layers to keep in BF16, by name, for example '*per_layer*'; may be repeated",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute")
    parser.add_argument("--python", type=Path, metavar="PATH", help="Python of an environment that has nvidia-modelopt")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")


def run(args: argparse.Namespace) -> int:
    """Print the plan, then carry it out; refusals end with 5, a missing runtime with 3."""
    import signal

    from gemma_backend.checkpoint.header import read_checkpoint
    from gemma_backend.checkpoint.locate import locate
    from gemma_backend.quantize import room
    from gemma_backend.quantize.plan import plan
    from gemma_backend.quantize.run import run as quantise
    from gemma_backend.quantize.tools import find_tools

    source = locate(args.source)
    name = args.source if "/" in args.source and not Path(args.source).expanduser().exists() else source.name
    room.refuse_target(source, args.target)
    intended = plan(read_checkpoint(source), _options(args))
    _print_plan(intended, name)
    if args.recipe == "published" and args.format == "nvfp4" and args.calib is None:
        print("The published recipe's CNN/DailyMail is not fetched: give it with --calib, or the bundled text is used.")
    if args.dry_run:
        return 0
    room.refuse_room(intended, args.target)
    tools = find_tools(args.python)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    show = _Bar() if sys.stderr.isatty() else _Lines()
    try:
        made = quantise(intended, args.target, tools, name=name, progress=show, cancelled=lambda: bool(stopped))
    finally:
        show.end()
    peak = f", {_size(made.peak_memory)} of memory at most" if made.peak_memory else ""
    print(f"{made.folder}: {_size(made.nbytes)} in {made.seconds:.0f} s{peak}")
    return 0


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _options(args: argparse.Namespace) -> Options:
    from gemma_backend.quantize.plan import Options
    from gemma_backend.types import BadInput

    if args.calib is not None and not args.calib.is_file():
        raise BadInput(f"There is no calibration text at {args.calib}: check the path.")
    return Options(
        format=args.format,
        samples=args.samples,
        batch_size=args.batch_size,
        seq_len=args.seq_len,
        seed=args.seed,
        exclude=tuple(args.exclude),
        calib=args.calib.absolute() if args.calib else None,
        fuse_scales=args.recipe != "published",
        scales=args.scales,
        device=args.device,
    )


def _print_plan(plan: Plan, name: str) -> None:
    from gemma_backend.text.clean import clean

    print(f"{clean(name)} to {plan.options.format}: {_size(plan.before)} to {_size(plan.after)}")
    width = max(len(part.name) for part in plan.parts)
    for part in plan.parts:
        sizes = f"{_size(part.before):>9} -> {_size(part.after):>9}" if part.quantised else f"{_size(part.before):>9}"
        done = "rounded" if part.quantised else "kept"
        print(f"  {part.name:<{width}}  {done:<7}  {part.parameters:>13,} parameters  {sizes}")
    print(f"  needs about {_size(plan.memory)} of memory and {_size(plan.disk)} of disk")
    for note in plan.notes:
        print(f"  {note}")


def _size(count: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.2f} {unit}"
    return f"{count / 1e3:.1f} kB"


class _Bar:
    """A progress bar that is redrawn in one line of standard error."""

    def __call__(self, progress: Progress) -> None:
        filled = round(progress.fraction * 30)
        line = f"\r[{'#' * filled}{'.' * (30 - filled)}] {progress.fraction:4.0%} {progress.text}"
        print(f"{line[:79]:<79}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the bar's line."""
        print(file=sys.stderr)


class _Lines:
    """A line of standard error for each stage, for logs."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            self._stage = progress.stage
            print(f"{progress.fraction:4.0%} {progress.text}", file=sys.stderr)

    def end(self) -> None:
        """Nothing is left open."""
