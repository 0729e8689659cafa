"""`gemma-tui uninstall`: what the program made on this machine, listed, and removed after a yes for each class."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.session.belongings import Belonging

KEPT = "conversations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uninstall`."""
    parser.epilog = "The program itself is removed by what installed it; the last line says how."
    parser.add_argument("--purge", action="store_true", help="ask for the conversations too, which are kept otherwise")
    parser.add_argument("--dry-run", action="store_true", help="list what is there and stop")
    parser.add_argument("--yes", action="store_true", help="remove every class without asking")


def run(args: argparse.Namespace) -> int:
    """List, ask, stop engines, remove; 2 where nobody can be asked, 3 where something could not be removed."""
    from gemma_backend.session.belongings import belongings, remove, remove_empty_folders
    from gemma_backend.types import EngineError, UsageError

    found = belongings()
    running = _running()
    _print(found, running, purge=args.purge)
    if args.dry_run:
        return 0
    wanted = [one for one in found if one.name != KEPT or args.purge]
    if not args.yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("nobody can be asked here: give --yes to remove all of it, or --dry-run to only look.")
        wanted = [one for one in wanted if _agreed(one)]
    if wanted and running:
        _stop()
    left = [path for one in wanted for path in remove(one)]
    remove_empty_folders()
    if left:
        raise EngineError(f"This could not be removed: {', '.join(left[:5])}{' …' if len(left) > 5 else ''}")
    if wanted:
        print(f"Removed: {', '.join(one.name for one in wanted)}.")
    print(f"The program itself goes with: {_program()}")
    return 0


def _running() -> int:
    from gemma_backend.config.paths import state_dir

    if not (state_dir() / "engines").is_dir():
        return 0
    from gemma_backend.engine.record import newer_record, records

    if (newer := newer_record()) is not None:
        raise newer
    return sum(record.running for record in records())


def _stop() -> None:
    from gemma_backend.engine.record import clean_stale, records, stop

    clean_stale()
    for record in records():
        if record.running:
            stop(record)
            print(f"Stopped the engine of profile {record.profile} ({record.id}).")


def _print(found: list[Belonging], running: int, *, purge: bool) -> None:
    from gemma_backend.text.clean import clean

    if running:
        print(f"{running} running engine{'s' if running > 1 else ''}, to be stopped first")
    if not found:
        print("Nothing of gemma-tui is on this machine.")
    for one in found:
        kept = "   kept, but for --purge" if one.name == KEPT and not purge else ""
        print(f"{_amount(one.size):>9}  {clean(one.name, keep_newlines=False)}: {one.about}{kept}")
        for path in one.paths:
            print(f"           {clean(str(path), keep_newlines=False)}")


def _agreed(one: Belonging) -> bool:
    from gemma_backend.text.clean import clean

    try:
        answer = input(f"Remove {clean(one.name, keep_newlines=False)} ({_amount(one.size)})? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def _amount(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def _program() -> str:
    """The command that removes the program, told from where it runs."""
    from pathlib import Path

    prefix = Path(sys.prefix)
    if prefix.parent.name == "program":
        return "sudo apt-get purge gemma-tui"
    if prefix.parent.name == "venvs" and "pipx" in prefix.parts:
        return "pipx uninstall gemma-tui"
    if (prefix / "uv-receipt.toml").exists():
        return "uv tool uninstall gemma-tui"
    return f"{sys.executable} -m pip uninstall gemma-tui"
