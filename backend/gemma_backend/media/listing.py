"""What lies in a folder, for completing and choosing files: folders, pictures and clips."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gemma_backend.media.paste import MEDIA_SUFFIX

MOST_ENTRIES = 5_000
"""Entries of a folder that are looked at; a larger one is cut off there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder, or a file that may be attached; `size` is in bytes."""

    name: str
    path: Path
    folder: bool
    size: int = 0

    @property
    def detail(self) -> str:
        """The size in a word; empty for a folder."""
        if self.folder:
            return ""
        return f"{self.size / 1e6:,.1f} MB" if self.size >= 100_000 else f"{self.size / 1e3:,.1f} kB"


def entries(folder: Path, prefix: str = "", *, every: bool = False) -> list[Entry]:
    """Folders, then pictures and clips (`every`: all files) in `folder` whose names begin with `prefix`.

    Case does not matter unless `prefix` has capitals; what begins with a dot is left out unless `prefix` does too.
    A folder that cannot be read is empty. Blocks on slow disks: call it in a thread.
    """
    found: list[Entry] = []
    try:
        with os.scandir(folder) as listing:
            for number, item in enumerate(listing):
                if number >= MOST_ENTRIES:
                    break
                if item.name.startswith(".") and not prefix.startswith("."):
                    continue
                name = item.name if prefix != prefix.lower() else item.name.lower()
                if name.startswith(prefix):
                    _add(found, item, Path(folder), every)
    except OSError:
        return []
    return sorted(found, key=lambda entry: (not entry.folder, entry.name.lower(), entry.name))


def typed_folder(typed: str, *, here: Path | None = None, home: Path | None = None) -> tuple[Path, str]:
    """The folder that a path being typed lies in, and the beginning of a name behind it."""
    head, slash, name = typed.rpartition("/")
    if head == "~" or head.startswith("~/"):
        folder = (home or Path.home()) / head[2:]
    elif head or slash:
        folder = Path(head + "/")
    else:
        folder = Path()
    return (folder if folder.is_absolute() else (here or Path.cwd()) / folder), name


def _add(found: list[Entry], item: os.DirEntry[str], folder: Path, every: bool) -> None:
    path = folder / item.name
    try:
        if item.is_dir():
            found.append(Entry(item.name, path, True))
        elif item.is_file() and (every or MEDIA_SUFFIX.fullmatch(path.suffix)):
            found.append(Entry(item.name, path, False, item.stat().st_size))
    except OSError:
        # A link into nowhere, or a file that went away meanwhile.
        return
