"""Where engines' own folders lie: closed to others, and with a path short enough for Unix sockets."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from gemma_backend.config.paths import ensure, state_dir
from gemma_backend.engine.reap import ROOT_PREFIX
from gemma_backend.types.errors import EngineError

# sun_path holds 107 bytes; the longest name in an engine's folder is `tmp/` and a UUID.
LONGEST_FOLDER = 60
MARKER = "root"
"""File beside the records that names the folder of the engines' own folders, for commands that start none."""


def runtime_root() -> Path:
    """Folder for the engines' own folders, made if it is not there; EngineError if it is not ours."""
    root = root_path()
    with contextlib.suppress(FileExistsError):
        root.mkdir(mode=0o700)
    found = root.lstat()
    if found.st_uid != os.getuid() or not root.is_dir() or root.is_symlink():
        raise EngineError(f"{root} belongs to somebody else: remove it, or set TMPDIR to a folder of your own.")
    if found.st_mode & 0o077:
        root.chmod(0o700)
    marker = ensure(state_dir() / "engines") / MARKER
    with contextlib.suppress(OSError):
        if not marker.exists() or marker.read_text(encoding="utf-8") != str(root):
            marker.write_text(str(root), encoding="utf-8")
    return root


def root_path() -> Path:
    """Its path, whether it is there or not."""
    # One for each state folder: records and engines' folders must be seen together, or one would look abandoned.
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):
        root = base / f"{ROOT_PREFIX}{os.getuid()}-{home()}"
        if len(str(root)) + 9 <= LONGEST_FOLDER:
            break
    return root


def home() -> str:
    """Stands for this state folder in names and labels: what belongs to another is not touched."""
    return hashlib.sha256(str(state_dir().absolute()).encode()).hexdigest()[:6]


def new_folder(engine_id: str) -> Path:
    """Make the folder of a new engine and return it; EngineError if its place is not ours."""
    while True:
        path = runtime_root() / engine_id
        # Another program's last engine may end in this moment and take the folder of all engines with it.
        with contextlib.suppress(FileNotFoundError):
            path.mkdir(mode=0o700)
            return path
