"""`gemma-tui engine list` and `gemma-tui engine remove`: the runtimes that engines run in."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from gemma_tui.cli.engine_install import size_text

if TYPE_CHECKING:
    from gemma_backend.runtime.found import Runtime


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine list`."""
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of text")


def add_remove_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine remove`."""
    parser.add_argument("name", metavar="NAME", help="name of a managed runtime, as `engine list` shows it")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run_list(args: argparse.Namespace) -> int:
    """Print every runtime that is found; 0 also if there is none, 3 where one is of a newer version of this program."""
    from gemma_backend.runtime import find
    from gemma_backend.text.clean import clean

    newer = find.newer()
    for sentence in newer:
        print(clean(sentence, keep_newlines=False), file=sys.stderr)
    rows = [_row(runtime) for runtime in [*find.list_runtimes(), *_images()]]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 3 if newer else 0
    if not rows and not newer:
        print("No runtime was found. Install one with: gemma-tui engine install")
    for row in rows:
        print(clean("\n".join(_lines(row))))
    return 3 if newer else 0


def run_remove(args: argparse.Namespace) -> int:
    """Remove a managed runtime after a yes; 2 after a no, 3 while an engine runs from it."""
    from gemma_backend.engine.record import clean_stale, records
    from gemma_backend.runtime import find
    from gemma_backend.runtime.remove import remove
    from gemma_backend.types import EngineError, UsageError

    for sentence in clean_stale():
        print(sentence, file=sys.stderr)
    runtime = find.removable(args.name)
    users = [record for record in records() if record.running and record.runtime == str(runtime.path)]
    if users:
        raise EngineError(
            f"The engine {users[0].id} of profile {users[0].profile} runs from {runtime.name}: stop it first with "
            f"gemma-tui engine stop {users[0].id}"
        )
    size = find.read_mark(runtime.path).get("bytes")
    about = f", {size_text(size)}" if isinstance(size, int) else ""
    if not args.yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError(f"removing {runtime.path} needs a yes: add --yes.")
        if input(f"Remove {runtime.path}{about}? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was removed.")
            return 2
    remove(runtime)
    print(f"Removed {runtime.path}{about}.")
    return 0


def _images() -> list[Runtime]:
    """Images that profiles name and that are here."""
    from gemma_backend.config.profiles import list_profiles
    from gemma_backend.runtime.container import is_image
    from gemma_backend.runtime.find import find
    from gemma_backend.types import GemmaError

    found = []
    for name in dict.fromkeys(profile.runtime for profile in list_profiles() if is_image(profile.runtime)):
        try:
            runtime = find(name)
        except GemmaError:
            # No docker, or none that works: `gemma-tui doctor` says so where a profile needs it.
            continue
        found += [runtime] if runtime is not None else []
    return found


def _row(runtime: Runtime) -> dict[str, Any]:
    from gemma_backend.runtime import find
    from gemma_backend.runtime.container import holds
    from gemma_backend.runtime.fitting import misfits
    from gemma_backend.runtime.found import versions
    from gemma_backend.runtime.locks import run_on
    from gemma_backend.runtime.outdated import outdated
    from gemma_backend.runtime.packages import packages

    problem = find.problem(runtime)
    held = packages(runtime) if problem is None and runtime.device != "quantize" else None
    found = misfits(held) if held is not None else []
    fatal = [one for one in found if one.fatal]
    if problem is None and fatal:
        problem = f"{fatal[0].text}. {fatal[0].advice}"
    mark = find.read_mark(runtime.path) if runtime.kind == "managed" else {}
    named = versions(runtime.python) if runtime.image is None else dict(holds(runtime.image))
    if held is not None and "tokenizers" in held.versions:
        named["tokenizers"] = held.versions["tokenizers"]
    old = outdated(runtime)
    return {
        "name": runtime.name,
        "kind": runtime.kind,
        "device": runtime.device,
        "version": runtime.version,
        "versions": named,
        "python": str(runtime.python),
        "path": str(runtime.path),
        "bytes": mark.get("bytes"),
        "run_on": run_on(runtime.device, runtime.version) if runtime.kind == "managed" else None,
        "ok": problem is None,
        "problem": problem,
        "outdated": old is not None,
        "notes": [*(one.text for one in found if not one.fatal), *([old] if old is not None else [])],
    }


def _lines(row: dict[str, Any]) -> list[str]:
    state = "ok" if row["ok"] else f"broken: {row['problem']}"
    size = f", {size_text(row['bytes'])}" if row["bytes"] else ""
    lines = [f"{row['name']}  ({row['kind']}, {row['device']}{size})  {state}", f"    {row['path']}"]
    lines.append("    " + ", ".join(f"{name} {version}" for name, version in row["versions"].items()))
    if row["run_on"]:
        lines.append(f"    run so far on: {row['run_on']}")
    return lines + [f"    {note}" for note in row["notes"]]
