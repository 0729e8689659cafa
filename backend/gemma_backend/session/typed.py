"""What was typed into the composer, kept for the Up key of the next run."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gemma_backend.config.paths import ensure, state_dir

KEPT = 500
_LONGEST = 20_000


def typed() -> list[str]:
    """What was typed in earlier runs, oldest first; nothing where the file is missing or damaged. Blocks."""
    try:
        lines = _file().read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    texts = []
    for line in lines:
        try:
            text = json.loads(line)
        except ValueError:
            # Half a line is left where a program was killed while it wrote.
            continue
        if isinstance(text, str):
            texts.append(text)
    if len(lines) > 2 * KEPT:
        _write(texts[-KEPT:])
    return texts[-KEPT:]


def remember(text: str) -> None:
    """Add what was typed; a line in one write, so that two programs do not mix theirs. Failing is no harm. Blocks."""
    if len(text) > _LONGEST:
        return
    try:
        ensure(state_dir())
        descriptor = os.open(_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, _line(text))
        finally:
            os.close(descriptor)
    except OSError:
        return


def _write(texts: list[str]) -> None:
    fresh = _file().with_suffix(f".{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(map(_line, texts))
        fresh.replace(_file())
    except OSError:
        fresh.unlink(missing_ok=True)


def _line(text: str) -> bytes:
    return json.dumps(text).encode("ascii") + b"\n"


def _file() -> Path:
    return state_dir() / "typed.jsonl"
