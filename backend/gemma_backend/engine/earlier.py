"""How long earlier starts of a profile took on this machine, kept on disk, and what that says of the one under way."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from gemma_backend.config.paths import ensure, state_dir
from gemma_backend.engine.phases import READY
from gemma_backend.types import EarlierPhase, EarlierStarts, Phase

KEPT = 5


def expected(profile: str) -> EarlierStarts | None:
    """What the latest five starts of `profile` took, in the median; None where there was none yet."""
    return summary([start for start in _read(_path(profile)) if isinstance(start, dict)])


def note(profile: str, version: str, phases: Sequence[Phase], total: float) -> None:
    """Remember a start that became ready after `total` seconds; a disk that refuses is no reason to fail."""
    start = {
        "at": round(time.time()),
        "version": version,
        "total": round(total, 3),
        "phases": [[phase.name, round(phase.start_s, 3)] for phase in phases if phase.name != READY],
    }
    with contextlib.suppress(OSError):
        path = _path(profile)
        ensure(path.parent)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(json.dumps([*_read(path), start][-KEPT:]), encoding="utf-8")
        aside.replace(path)


def summary(starts: Sequence[dict[str, Any]]) -> EarlierStarts | None:
    """The medians over the latest five of `starts`, each `{"total": seconds, "phases": [[name, start], ...]}`."""
    totals: list[float] = []
    lasted: dict[str, list[float]] = {}
    after: dict[str, list[float]] = {}
    for start in starts[-KEPT:]:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            total = float(start["total"])
            begun = [(str(name), float(at)) for name, at in start["phases"]]
            ends = [at for _, at in begun[1:]] + [total]
            totals.append(total)
            for (name, at), end in zip(begun, ends, strict=True):
                lasted.setdefault(name, []).append(max(0.0, end - at))
                after.setdefault(name, []).append(max(0.0, total - end))
    if not totals:
        return None
    phases = tuple(EarlierPhase(name, median(lasted[name]), median(after[name])) for name in lasted)
    return EarlierStarts(len(totals), median(totals), phases)


def _path(profile: str) -> Path:
    return state_dir() / "starts" / f"{profile}.json"


def _read(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []
