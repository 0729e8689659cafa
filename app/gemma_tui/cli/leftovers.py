"""What killed programs left of their engines, looked for by every command, which costs two listings of folders.

Nothing but `os` is imported until something is found: `--version` and the first frame of the screen stay fast.
"""

from __future__ import annotations

import os
import sys

MARKER = "root"
"""As `engine.place` has it: a file beside the records that names the folder of the engines' own folders."""
CONTAINERS = "container-tools"
"""As `engine.record` has it: a file beside the records that is there as long as containers may be."""


def clear() -> list[str]:
    """End and remove what engines left whose program and keeper were killed; returns a sentence for each.

    Never raises: a folder that cannot be read must not keep a command from its work.
    """
    if sys.platform != "linux":
        return []
    try:
        if not _any(os.path.join(_state_dir(), "engines")):  # noqa: PTH118 - pathlib takes longer to import than this
            return []
        from gemma_backend.engine.record import clean_stale

        return clean_stale()
    except Exception as error:
        # A start says what is wrong with these folders; this is only a sweep on the way.
        return [f"What an engine left after a crash could not be removed ({type(error).__name__}: {error})."]


def _state_dir() -> str:
    """As `config.paths.state_dir()`, for Linux, without the import of platformdirs."""
    named = os.environ.get("GEMMA_TUI_STATE_DIR")
    if named:
        return os.path.expanduser(named)  # noqa: PTH111
    return f"{os.environ.get('XDG_STATE_HOME', '').strip() or os.path.expanduser('~/.local/state')}/gemma-tui"  # noqa: PTH111


def _any(folder: str) -> bool:
    """Whether there is a record whose keeper is dead, or a folder that no record knows."""
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return False
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
            return os.listdir(file.read())  # noqa: PTH208
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
