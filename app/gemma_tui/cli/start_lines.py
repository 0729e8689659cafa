"""An engine's start told in lines: each phase once, on a terminal with its progress on the line that it is told in."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import TextIO

from gemma_backend.text.clean import clean
from gemma_backend.types import (
    EarlierStarts,
    EngineEvent,
    EngineFailed,
    EngineNote,
    EngineReady,
    EngineStopped,
    EngineStopping,
    Phase,
    PhaseChanged,
)
from gemma_tui.start_progress import progress

NAME = 15
TICK_SECONDS = 0.5
# What a start comes to, of the phases whose detail is a figure that people ask for.
TOLD_AT_THE_END = ("weights loaded", "kv cache")


class StartLines:
    """Writes to `stream`; with `live` the last line is drawn over as the phase goes on.

    Without it a line is written when a phase begins, and the figures that came later when the engine is ready.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        live: bool | None = None,
        columns: int | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty() and os.environ.get("TERM") != "dumb" if live is None else live
        self._columns = columns
        self._now = now
        self._began = now()
        self._earlier: EarlierStarts | None = None
        self._phases: dict[str, Phase] = {}
        self._phase: Phase | None = None

    def take(self, event: EngineEvent) -> None:
        """Tell of `event`, if it is one of a start."""
        match event:
            case EarlierStarts():
                self._earlier = event
            case PhaseChanged(phase=phase) if phase.name != "ready":
                self._change(phase)
            case EngineNote(text=text):
                self.say(f"Note: {text}")
            case EngineReady():
                self.end()
                if figures := self._figures():
                    self.say(figures)
            case EngineFailed() | EngineStopping() | EngineStopped():
                self.end()

    def tick(self) -> None:
        """Time has passed."""
        if self._live and self._phase is not None:
            self._draw(self._phase, self._words(self._phase))

    def end(self) -> None:
        """Leave the line as it is; what is told next stands below it."""
        if self._live and self._phase is not None:
            self._draw(self._phase, self._phase.detail)
            self._write("\n")
        self._phase = None

    def say(self, text: str) -> None:
        """A line of its own, above the one that is drawn over."""
        if self._live and self._phase is not None:
            self._write("\r\x1b[K")
        self._write(clean(text, keep_newlines=False) + "\n")
        self.tick()

    def _figures(self) -> str:
        """What the start came to; "" where nothing of it was seen."""
        seen = [self._phases[name] for name in TOLD_AT_THE_END if name in self._phases]
        return "; ".join(f"{phase.name} {phase.detail}" for phase in seen if phase.detail)

    def _change(self, phase: Phase) -> None:
        begins = self._phase is None or self._phase.name != phase.name
        again = phase.name in self._phases
        if not self._phases:
            self._began = self._now() - phase.start_s
        self._phases[phase.name] = phase
        if begins and again:
            # The figure of a phase that is over came late.
            return
        if begins and self._live:
            self.end()
        if phase.seconds is not None:
            # It is over already, and may have more to say than a line holds.
            self._write(self._line(phase, phase.detail) + "\n")
            return
        self._phase = phase
        if self._live:
            self._draw(phase, self._words(phase))
        elif begins:
            self._write(self._line(phase, self._words(phase)) + "\n")

    def _words(self, phase: Phase) -> str:
        if self._earlier is None and not self._live:
            return phase.detail
        told = progress(self._earlier, phase, self._now() - self._began).words.partition(" · ")
        return " · ".join(part for part in (phase.detail, told[2] if self._earlier else told[0]) if part)

    def _line(self, phase: Phase, words: str) -> str:
        return clean(f"{phase.start_s:6.1f} s  {phase.name:<{NAME}}{words}", keep_newlines=False).rstrip()

    def _draw(self, phase: Phase, words: str) -> None:
        columns = self._columns or shutil.get_terminal_size().columns
        self._write(f"\r\x1b[K{self._line(phase, words)[: columns - 1]}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


async def told(events: AsyncIterator[EngineEvent], *, quiet: bool = False) -> AsyncIterator[EngineEvent]:
    """`events`, each after it was told on standard error; `quiet` leaves out how the start went."""
    lines = StartLines()
    ticking = asyncio.create_task(_tick(lines))
    try:
        async for event in events:
            if not quiet or isinstance(event, EngineNote):
                lines.take(event)
            yield event
    finally:
        ticking.cancel()
        lines.end()


async def _tick(lines: StartLines) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        lines.tick()
