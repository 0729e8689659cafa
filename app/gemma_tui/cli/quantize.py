"""`gemma-tui quantize SRC DST`: a BF16 checkpoint made into an NVFP4 one, after saying what that will do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.quantize.calibration import Calibration
    from gemma_backend.quantize.plan import Options, Plan
    from gemma_backend.quantize.run import Progress

STAGES = {"fetch": "fetching", "load": "loading", "calibrate": "calibrating", "export": "exporting"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `quantize`; the defaults are the published recipe's."""
    parser.add_argument("source", metavar="SRC", help="folder of a BF16 checkpoint, or a repository on the model hub")
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
        help="published is the published checkpoint's: a global scale for each layer, CNN/DailyMail to calibrate",
    )
    parser.add_argument(
        "--scales",
        choices=("max", "four-over-six", "mse", "sweep", "hessian"),
        default="max",
        help="choose each group's scale from its largest number (default), or search for that of the least error: of "
        "two (four-over-six), of those near (mse), of all (sweep), or weighed by the inputs (hessian, calibrates)",
    )
    parser.add_argument("--samples", type=_count, default=512, metavar="N", help="calibration texts (default 512)")
    parser.add_argument("--batch-size", type=_count, default=4, metavar="N", help="texts at a time (default 4)")
    parser.add_argument("--seq-len", type=_count, default=1024, metavar="N", help="tokens of a text (default 1024)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="order of the calibration texts (default 0)")
    parser.add_argument(
        "--calib",
        metavar="SET",
        help="calibration texts: a file (one a line, or JSON lines with a `text`, and `image` or `audio` files), a "
        "data set on the model hub as owner/name[:config][@split], or `bundled` (default)",
    )
    parser.add_argument("--text-only", action="store_true", help="do not add the bundled pictures and clips to --calib")
    parser.add_argument(
        "--keep-per-layer", action="store_true", help="keep the per-layer input gates and projections in BF16"
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="more layers to keep in BF16, by name, for example '*.layers.0.*'; may be repeated",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute")
    parser.add_argument("--python", type=Path, metavar="PATH", help="Python of an environment that has nvidia-modelopt")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")


def run(args: argparse.Namespace) -> int:
    """Print the plan, then carry it out; refusals end with 5, a missing runtime with 3."""
    import signal

    from gemma_backend.checkpoint.header import read_checkpoint
    from gemma_backend.quantize import room
    from gemma_backend.quantize.plan import plan, takes_media
    from gemma_backend.quantize.run import run as quantise
    from gemma_backend.quantize.tools import find_tools

    show = _Bar() if sys.stderr.isatty() else _Lines()
    source, name = _source(args, show)
    room.refuse_target(source, args.target)
    checkpoint = read_checkpoint(source)
    intended = plan(checkpoint, _options(args))
    _print_plan(intended, name)
    if args.dry_run:
        return 0
    room.refuse_tokenizer(intended)
    room.refuse_room(intended, args.target)
    tools = find_tools(args.python)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    options = intended.options
    media = options.media and takes_media(checkpoint)
    try:
        calibration = _calibration(options, show, media=media, fall_back=args.calib is None)
        made = quantise(
            intended,
            args.target,
            tools,
            name=name,
            calibration=calibration,
            progress=show,
            cancelled=lambda: bool(stopped),
        )
    finally:
        show.end()
    peak = f", {_size(made.peak_memory)} of memory at most" if made.peak_memory else ""
    print(f"{made.folder}: {_size(made.nbytes)} in {made.seconds:.0f} s{peak}")
    return 0


def _source(args: argparse.Namespace, show: _Bar | _Lines) -> tuple[Path, str]:
    """The source's folder, fetched from the hub if it is not here, and what it is called."""
    from gemma_backend.checkpoint.locate import REPOSITORY, locate
    from gemma_backend.checkpoint.pull import Fetched, pull
    from gemma_backend.quantize.run import Progress
    from gemma_backend.types import EngineError

    local = args.source.startswith(("/", ".", "~")) or Path(args.source).expanduser().is_dir()
    if local or not REPOSITORY.fullmatch(args.source.partition("@")[0]):
        folder = locate(args.source)
        return folder, folder.name
    repository, _, revision = args.source.partition("@")
    if not revision:
        try:
            return locate(repository), repository
        except EngineError:
            if args.dry_run:
                raise

    def tell(state: Fetched) -> None:
        show(Progress("fetch", state.fraction, f"{state.done / 1e9:.2f} of {state.total / 1e9:.2f} GB of {repository}"))

    try:
        return pull(repository, revision or None, progress=tell, cancelled=lambda: False), repository
    finally:
        show.end()


def _calibration(options: Options, show: _Bar | _Lines, *, media: bool, fall_back: bool) -> Calibration | None:
    """What to calibrate with; a set that nobody named gives way to the bundled one where it can't be fetched."""
    from gemma_backend.quantize.calibration import BUNDLED, gather
    from gemma_backend.quantize.run import Progress
    from gemma_backend.types import EngineError

    if not options.calibrates:
        return None

    def tell(count: int) -> None:
        show(Progress("fetch", count / options.samples, f"{count} texts of {options.calib}"))

    try:
        return gather(options.calib, options.samples, media=media, progress=tell)
    except EngineError as error:
        if not fall_back:
            raise
        show.end()
        print(f"{error} The bundled text is used instead.", file=sys.stderr)
        return gather(BUNDLED, options.samples, media=media)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _options(args: argparse.Namespace) -> Options:
    from gemma_backend.quantize.calibration import BUNDLED, PUBLISHED
    from gemma_backend.quantize.plan import PER_LAYER, Options

    published = args.recipe == "published"
    return Options(
        format=args.format,
        samples=args.samples,
        batch_size=args.batch_size,
        seq_len=args.seq_len,
        seed=args.seed,
        exclude=(*args.exclude, *(PER_LAYER if args.keep_per_layer else ())),
        calib=args.calib or (PUBLISHED if published else BUNDLED),
        media=not (args.text_only or published),
        fuse_scales=not published,
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
    """A progress bar for each stage, redrawn in one line of standard error."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        if self._stage and progress.stage != self._stage:
            print(file=sys.stderr)
        self._stage = progress.stage
        filled = round(progress.fraction * 30)
        line = f"{STAGES[progress.stage]:<11} [{'#' * filled}{'.' * (30 - filled)}] {progress.fraction:4.0%}"
        print(f"\r{line} {progress.text:<31.31}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the bar's line."""
        if self._stage:
            print(file=sys.stderr)
        self._stage = ""


class _Lines:
    """A line of standard error for each stage, for logs."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            self._stage = progress.stage
            print(f"{STAGES[progress.stage]}: {progress.text}", file=sys.stderr)

    def end(self) -> None:
        """Nothing is left open."""
