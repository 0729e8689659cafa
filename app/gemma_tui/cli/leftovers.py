"""What killed programs left, looked for by every command, which costs two or three listings of folders.

Nothing but `os` is imported until something is found: `--version` and the first frame of the screen stay fast.
"""

from __future__ import annotations

import os
import sys

MARKER = "root"
"""As `engine.place` has it: a file beside the records that names the folder of the engines' own folders."""
CONTAINERS = "container-tools"
"""As `engine.record` has it: a file beside the records that is there as long as containers may be."""
UNFINISHED = (".building-", ".old-")
"""As `runtime.unfinished` has it: what the names of half built runtimes begin with."""


def clear() -> list[str]:
    """End and remove what killed programs left of engines and of installations; returns a sentence for each.

    Never raises: a folder that cannot be read must not keep a command from its work.
    """
    if sys.platform != "linux":
        return []
    said = []
    try:
        if _any(f"{_folder('STATE', '~/.local/state')}/engines"):
            from gemma_backend.engine.record import clean_stale, newer_record

            # A command that has to do with engines says so itself.
            said += clean_stale() if newer_record() is None else []
        if any(name.startswith(UNFINISHED) for name in _names(f"{_folder('DATA', '~/.local/share')}/runtimes")):
            from gemma_backend.runtime.unfinished import remove

            said += remove()
    except Exception as error:
        # A start or an installation says what is wrong with these folders; this is only a sweep on the way.
        said.append(f"What was left after a crash could not be removed ({type(error).__name__}: {error}).")
    return said


def _folder(kind: str, default: str) -> str:
    """As `config.paths` has it, for Linux, without the import of platformdirs."""
    named = os.environ.get(f"GEMMA_TUI_{kind}_DIR")
    if named:
        return os.path.expanduser(named)  # noqa: PTH111 - pathlib takes longer to import than all of this
    base = os.environ.get(f"XDG_{kind}_HOME", "").strip() or os.path.expanduser(default)  # noqa: PTH111
    return f"{base}/gemma-tui"


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []


def _any(folder: str) -> bool:
    """Whether there is a record whose keeper is dead, or a folder that no record knows."""
    names = _names(folder)
    records = [name for name in names if name.endswith(".json") and not name.startswith(".")]
    known = {name.removesuffix(".json") for name in records}
    if MARKER in names and any(name not in known for name in _engines(folder)):
        return True
    if not records:
        # Containers outlive their keeper and its record; while an engine runs they are looked at by its start alone.
        return CONTAINERS in names
    return not all(_running(f"{folder}/{name}") for name in records)


def _engines(folder: str) -> list[str]:
    try:
        with open(f"{folder}/{MARKER}", encoding="utf-8") as file:  # noqa: PTH123
            return _names(file.read())
    except (OSError, ValueError):
        return []


def _running(path: str) -> bool:
    """Whether the keeper of the record at `path` lives; also where the record cannot be read and nothing is known."""
    import json

    from gemma_backend.engine.proc import alive, boot_id

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            data = json.load(file)
        keeper = data["keeper"]
        return data["boot"] == boot_id() and alive(int(keeper[0]), int(keeper[1]))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return True
