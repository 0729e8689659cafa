"""The course of a benchmark on standard error: a chart on a terminal, a line for each round in a log."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gemma_tui.chart import area, ceiling

if TYPE_CHECKING:
    from gemma_backend.evaluate.bench.drive import Progress
    from gemma_backend.evaluate.bench.records import Round

ROWS = 4
AXIS = 10


class Lines:
    """A line of standard error for each round that is done."""

    def __call__(self, progress: Progress) -> None:
        """Nothing is said of a round that runs."""

    def finish(self, one: Round) -> None:
        """Say what a round came to."""
        tokens = sum(asked.output_tokens for asked in one.asked if not asked.error)
        print(
            f"{one.load}: {len(one.asked)} requests in {one.seconds:.1f} s, "
            f"{tokens / max(one.seconds, 1e-9):,.1f} tok/s",
            file=sys.stderr,
            flush=True,
        )

    def end(self) -> None:
        """Nothing is left open."""


class Chart(Lines):
    """Generated pieces of text in each second, redrawn in place."""

    def __init__(self) -> None:
        self._drawn = 0
        self._at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Draw the course so far, four times a second at most."""
        now = time.monotonic()
        if now - self._at < 0.2 and self._drawn:
            return
        self._at = now
        self._redraw(drawn(progress, min(100, shutil.get_terminal_size().columns - 1)))

    def finish(self, one: Round) -> None:
        """Leave one line in place of the chart."""
        self._redraw([])
        super().finish(one)

    def end(self) -> None:
        """Take the chart away."""
        self._redraw([])

    def _redraw(self, lines: list[str]) -> None:
        up = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        sys.stderr.write(up + "".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
        self._drawn = len(lines)


def drawn(progress: Progress, width: int) -> list[str]:
    """The lines of the chart: tokens a second with its axis, then how far the round is."""
    columns = max(10, width - AXIS)
    # The second that runs is not full yet.
    course = [float(value) for value in progress.by_second[:-1]][-columns:]
    top = ceiling(max(course, default=0.0))
    rows = area(course, ROWS, top=top or None)
    labels = [f"{top:,.0f} tok/s" if top else "", *[""] * (ROWS - 2), "0"]
    lines = [f"{label:>{AXIS - 1}} {row}"[:width] for label, row in zip(labels, rows, strict=True)]
    how = f"{progress.done:,}" + (f" of {progress.wanted:,}" if progress.wanted else "") + " done"
    until = f" of {progress.until:g}" if progress.until else ""
    said = [progress.load, "warming up" if progress.warming else f"{progress.seconds:.0f}{until} s", how]
    said += [f"{progress.running:,} running"] + ([f"{progress.failed:,} failed"] if progress.failed else [])
    if progress.ttft is not None:
        said.append(f"TTFT {progress.ttft * 1000:,.0f} ms")
    return [*lines, " · ".join(said)[:width]]


@contextmanager
def live() -> Iterator[Lines]:
    """What shows progress here: a chart where standard error is a terminal that can move its cursor."""
    show = Chart() if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else Lines()
    try:
        yield show
    finally:
        show.end()
