"""The report that a bug of ours leaves: the traceback without variables, which can hold prompts and keys."""

from __future__ import annotations

import os
import platform
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from gemma_backend.config.paths import ensure, log_dir

_MAX_BYTES = 512 * 1024


def log_bug(error: BaseException) -> Path:
    """Append the traceback of `error` to the bug log (0600, one older file kept) and return its path.

    The exceptions' own messages are left out: libraries put request bodies into theirs.
    """
    lines = [f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, Python {platform.python_version()}, {platform.platform()}\n"]
    for link in _chain(error):
        lines += traceback.format_tb(link.__traceback__)
        lines.append(f"{type(link).__module__}.{type(link).__qualname__}\n")
    descriptor, path = _opened()
    with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(lines)
        file.write("\n")
    return path


def _opened() -> tuple[int, Path]:
    """The log, open for appending; a new temporary file where the log's folder cannot be written to."""
    try:
        path = ensure(log_dir()) / "bugs.log"
        if path.exists() and path.stat().st_size > _MAX_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), path
    except OSError:
        descriptor, name = tempfile.mkstemp(prefix="gemma-tui-bug-", suffix=".log")
        return descriptor, Path(name)


def _chain(error: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links[::-1]
