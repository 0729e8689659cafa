"""How far an engine's start is and how long it may still take, from its phases and from earlier starts; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gemma_backend.types import START_PHASES, EarlierStarts, Phase

# `shard 3 of 7`, `graph 24 of 51, FULL`
PART = re.compile(r"\b(\d{1,6}) of (\d{1,6})\b")
LONGER = 1.5
"""From this many times the usual time on a start is said to take longer than usual."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A share from 0 to 1 for the bar, and the words beside it."""

    share: float
    words: str


def clock(seconds: float) -> str:
    """A time that goes on: `8 s`, `3:05`, `1:02:09`."""
    total = int(seconds)
    if total < 60:
        return f"{total} s"
    minutes, rest = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def progress(earlier: EarlierStarts | None, phase: Phase | None, elapsed: float) -> Progress:
    """Where a start stands after `elapsed` seconds in `phase`; without earlier starts there is no time left to tell."""
    if earlier is None:
        step, steps = _step(phase), len(START_PHASES) - 1
        within = _part(phase.detail) if phase is not None else 0.0
        share = min(1.0, (step - 1 + within) / steps) if step else 0.0
        return Progress(share, f"{clock(elapsed)} so far · first start here, so no estimate")
    left = earlier.left(phase, elapsed)
    share = elapsed / (elapsed + left) if elapsed + left > 0 else 0.0
    if elapsed > LONGER * earlier.total:
        return Progress(share, f"{clock(elapsed)} so far · longer than the usual {clock(earlier.total)}")
    return Progress(share, f"{clock(elapsed)} so far · {_left(left)}")


def _left(seconds: float) -> str:
    if seconds < 1.0:
        return "any moment now"
    if seconds < 5.0:
        return "a few seconds left"
    if seconds < 90.0:
        # Finer than five seconds no estimate of a start is.
        return f"about {5 * round(seconds / 5)} s left"
    return f"about {round(seconds / 60)} min left"


def _step(phase: Phase | None) -> int:
    """The place of `phase` among all, counted from 1; 0 for one that is none of them."""
    return START_PHASES.index(phase.name) + 1 if phase is not None and phase.name in START_PHASES else 0


def _part(detail: str) -> float:
    found = PART.search(detail)
    if found is None or int(found[2]) == 0:
        return 0.0
    return min(1.0, int(found[1]) / int(found[2]))
