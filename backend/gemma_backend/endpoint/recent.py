"""Endpoints that were used lately: addresses and models, never keys."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from gemma_backend.config.paths import ensure, state_dir
from gemma_backend.types import Endpoint

KEPT = 10


@dataclass(frozen=True, slots=True)
class Recent:
    """An endpoint that was used: what `--url` takes, and the model that was talked to."""

    url: str
    model: str = ""


def recent() -> list[Recent]:
    """Endpoints used lately, the last one first; none where the file is missing or damaged."""
    try:
        entries = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(entries, list):
        return []
    return [
        Recent(entry["url"], str(entry.get("model", "")))
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("url"), str)
    ][:KEPT]


def remember(endpoint: Endpoint, model: str = "") -> None:
    """Put `endpoint` first in the list; a folder that cannot be written to is no reason to fail."""
    url = endpoint.tunnel or (f"unix:{endpoint.socket}" if endpoint.socket else endpoint.base_url)
    kept = [Recent(url, model), *(entry for entry in recent() if entry.url != url)]
    _write(kept[:KEPT])


def _file() -> Path:
    return state_dir() / "endpoints.json"


def _write(entries: list[Recent]) -> None:
    try:
        folder = ensure(state_dir())
        handle, name = tempfile.mkstemp(dir=folder, prefix="endpoints-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump([asdict(entry) for entry in entries], stream, indent=1)
            Path(name).replace(_file())
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError:
        return
