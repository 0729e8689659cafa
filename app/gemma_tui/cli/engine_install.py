"""`gemma-tui engine install`: vLLM in an environment of its own, or the image of a container."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.runtime.install import Plan, Progress
    from gemma_backend.runtime.locks import Device

LARGEST = 12


def add_install_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine install`."""
    parser.add_argument(
        "--runtime",
        metavar="R",
        help="cpu, cuda, quantize (which `gemma-tui quantize` uses) or container:IMAGE (default: cuda with an NVIDIA "
        "GPU, else cpu)",
    )
    parser.add_argument("--version", metavar="V", help="vLLM's version, where there is more than one (default: newest)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be installed and how large it is")
    parser.add_argument("--platform", choices=("x86_64", "aarch64"), help="with --dry-run: for such a machine")
    parser.add_argument("--yes", action="store_true", help="do not ask before a large download")
    parser.add_argument("--if-missing", action="store_true", help="leave one that is installed already as it is")


def run_install(args: argparse.Namespace) -> int:
    """Install a runtime with a progress bar; 3 if it can't be, 2 if the answer to the question is no."""
    from gemma_backend.runtime import find
    from gemma_backend.runtime.container import is_image
    from gemma_backend.runtime.install import plan
    from gemma_backend.runtime.locks import DEVICES
    from gemma_backend.runtime.outdated import outdated
    from gemma_backend.types import EngineError, UsageError

    if args.platform and not args.dry_run:
        raise UsageError("--platform goes with --dry-run: a runtime is installed on the machine that it is for.")
    if args.runtime is not None and is_image(args.runtime):
        return _image(args)
    device = next((one for one in DEVICES if one == args.runtime), None) if args.runtime else find.preferred()
    if device is None:
        raise UsageError(
            f"There is no runtime {args.runtime!r} to install: use {', '.join(DEVICES)} or container:IMAGE."
        )
    intended = plan(device, version=args.version, machine=args.platform)
    if args.dry_run:
        print(_shown(intended))
        return 0
    if args.if_missing and (there := find.managed(intended.name)) is not None and there.python.exists():
        if (old := outdated(there)) is not None:
            print(f"gemma-tui: {old}", file=sys.stderr)
        return 0
    if not intended.installed:
        if intended.problem:
            raise EngineError(intended.problem)
        print(_header(intended))
        if not args.yes and sys.stdin.isatty() and sys.stdout.isatty():
            if not _agreed("Install it? [Y/n] "):
                print("Nothing was installed.")
                return 2
        elif not args.yes and not sys.stdin.isatty() and args.runtime is None:
            raise UsageError(f"Say which runtime to install, for example: gemma-tui engine install --runtime {device}")
    return _install(device, args.version)


def _install(device: Device, version: str | None) -> int:
    import signal

    from gemma_backend.runtime import find
    from gemma_backend.runtime.install import install

    stopped: list[int] = []
    # Ended from outside, the installation still takes away what it had begun.
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    show = _Bar() if sys.stdout.isatty() else _Lines()
    try:
        runtime = install(device, version=version, progress=show, cancelled=lambda: bool(stopped))
    finally:
        show.end()
    print(runtime.path)
    for name, held in find.read_mark(runtime.path).get("versions", {}).items():
        print(f"  {name} {held}")
    return 0


def _image(args: argparse.Namespace) -> int:
    """Fetch an image with the tool's own progress, and look into it."""
    import subprocess

    from gemma_backend.runtime import flags
    from gemma_backend.runtime.container import find_image, inspect, named
    from gemma_backend.types import EngineError, UsageError

    if args.version or args.platform:
        raise UsageError("--version and --platform are for cpu and cuda: the version of an image is its tag.")
    tool, name = named(args.runtime)
    there = inspect(tool, name)
    if args.dry_run:
        size = f"here, {size_text(int(there.get('Size') or 0))}" if there else "to be fetched, several GB"
        print(f"{name} with {tool}: {size}")
        return 0
    if there is not None and args.if_missing:
        return 0
    if there is None:
        print(f"{name} is to be fetched with {tool}. Images with vLLM take several GB; {tool} shows how many.")
        if not args.yes:
            if not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise UsageError("fetching an image needs a yes: add --yes.")
            if not _agreed("Fetch it? [Y/n] "):
                print("Nothing was fetched.")
                return 2
        if subprocess.run([tool, "pull", name], check=False).returncode:
            raise EngineError(f"{name} could not be fetched: what {tool} said stands above.")
    runtime = find_image(args.runtime)
    if runtime is None:
        raise EngineError(f"{name} was fetched, but {tool} does not show it: try again.")
    print(f"vLLM {runtime.version} ({runtime.device}) in {name}")
    flags.read(runtime)
    return 0


def _agreed(question: str) -> bool:
    return input(question).strip().lower() in ("", "y", "yes")


def _header(plan: Plan) -> str:
    what = "ModelOpt" if plan.device == "quantize" else "vLLM"
    return (
        f"{plan.name} runtime, {what} {plan.version} for Python {plan.python} on {plan.machine}: "
        f"{size_text(plan.download_bytes)} to fetch, {size_text(plan.disk_bytes)} on disk in {plan.target}"
    )


def _shown(plan: Plan) -> str:
    """What a dry run prints: the whole in one line, the largest packages, and what it was run on."""
    largest = sorted(plan.packages, key=lambda package: package.size, reverse=True)
    rows = [f"  {size_text(package.size):>8}  {package.name} {package.version}" for package in largest[:LARGEST]]
    rest = largest[LARGEST:]
    if rest:
        rows.append(f"  {size_text(sum(package.size for package in rest)):>8}  {len(rest)} more packages")
    fit = [name for name in ("torch", "transformers", "tokenizers") if any(one.name == name for one in plan.packages)]
    pins = ", ".join(f"{one.name} {one.version}" for name in fit for one in plan.packages if one.name == name)
    told = [_header(plan), f"With {pins}. Run so far on: {plan.run_on}.", *rows]
    if plan.installed:
        told.append("It is installed already.")
    elif plan.problem:
        told.append(f"Not here: {plan.problem}")
    return "\n".join([*told, "Nothing was fetched."])


class _Lines:
    """Progress where there is no terminal: one line for each new thing that is done."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, progress: Progress) -> None:
        # One line for each package would be a hundred; the first word says what kind of work it is.
        kind = progress.text.split(" ", 1)[0]
        if kind != self._last:
            self._last = kind
            print(f"{progress.fraction:4.0%}  {progress.text}", flush=True)

    def end(self) -> None:
        """Nothing is left on the line."""


class _Bar:
    """Progress on a terminal: one line, drawn over."""

    WIDTH = 30

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, progress: Progress) -> None:
        full = round(progress.fraction * self.WIDTH)
        line = f"{'━' * full}{'─' * (self.WIDTH - full)} {progress.fraction:4.0%}  {progress.text[:40]}"
        if line != self._last:
            self._last = line
            print(f"\r\x1b[K{line}", end="", flush=True)

    def end(self) -> None:
        """Leave the line."""
        print()


def size_text(count: int) -> str:
    """Bytes for a person: GB or MB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
