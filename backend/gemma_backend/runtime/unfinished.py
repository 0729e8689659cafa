"""Folders that a killed installation left, half built or half removed, found again by the next command."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gemma_backend.runtime import find

PREFIXES = (".building-", ".old-")


def remove() -> list[str]:
    """Remove every such folder whose installation no longer runs; returns a sentence for each."""
    import fcntl

    said = []
    folder = find.folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        device = _device(path.name)
        if device is None:
            continue
        handle = os.open(folder / f".lock-{device}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(path, ignore_errors=True)
            said.append(_sentence(path, device))
        finally:
            os.close(handle)
    return said


def _device(name: str) -> str | None:
    prefix = next((one for one in PREFIXES if name.startswith(one)), None)
    return name.removeprefix(prefix).partition("-")[0] or None if prefix is not None else None


def _sentence(path: Path, device: str) -> str:
    if path.exists():
        return f"What a stopped installation of the {device} runtime left could not be removed: {path}"
    return f"Removed what a stopped installation of the {device} runtime had left."
