"""TOML that a person wrote: read only from files, and whatever is wrong with it is an error of the same kind."""

from __future__ import annotations

import errno
import tomllib
from pathlib import Path
from typing import Any


def read_text(path: Path) -> str:
    """The text of a file; OSError also for a pipe or a device, which might never end, UnicodeDecodeError for others."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "it is a pipe or a device")
    return path.read_text(encoding="utf-8")


def parse(text: str) -> dict[str, Any]:
    """What `text` says; tomllib.TOMLDecodeError for a text that is none, also for one nested without end."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise tomllib.TOMLDecodeError("it is nested too deeply") from None
