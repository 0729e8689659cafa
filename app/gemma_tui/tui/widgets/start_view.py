"""What the main area shows before the first message: what is starting and how far it is, then how to begin."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.text.clean import clean
from gemma_backend.types import (
    EarlierStarts,
    EngineEvent,
    EngineFailed,
    EngineNote,
    EngineReady,
    EngineStopped,
    EngineStopping,
    LogLine,
    Phase,
    PhaseChanged,
)
from gemma_tui.start_progress import progress
from gemma_tui.tui.widgets.text_cells import fit, wrap

Line = list[tuple[str, str]]
_TIPS = (
    ("Enter", "sends, Ctrl+J or Shift+Enter begins a new line"),
    ("Drop", "a picture or a clip on the window, or paste its path"),
    ("F2", "switches between chat and completion"),
    ("F4", "shows the engine's log"),
    ("F1", "finds every key and command"),
)
BAR_COLUMNS = 60
NOTE_COLUMNS = 100


class StartView(Widget):
    """The engine's start as a list of phases with their times, and a few words on how to begin."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "start--title", "start--text", "start--muted", "start--done", "start--now", "start--error", "start--rest",
    }  # fmt: skip

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = monotonic) -> None:
        super().__init__(id=id)
        self.phases: list[Phase] = []
        self._now = now
        self._began = now()
        self._title = "gemma-tui"
        self._subtitle = "setting out …"
        self._state = "starting"
        self._seconds: float | None = None
        self._log = ""
        self._earlier: EarlierStarts | None = None
        self._share = 0.0
        self._notes: list[str] = []

    def introduce(self, title: str, subtitle: str) -> None:
        """Say what is being started or reached, and why that."""
        self._title, self._subtitle = clean(title, keep_newlines=False), clean(subtitle)
        self.refresh()

    def begin(self) -> None:
        """A start begins: forget the phases of an earlier one."""
        self.phases, self._state, self._seconds, self._began = [], "starting", None, self._now()
        self._log, self._earlier, self._share, self._notes = "", None, 0.0, []
        self.refresh()

    def take(self, event: EngineEvent) -> None:
        """Show what `event` means."""
        match event:
            case EarlierStarts():
                self._earlier = event
            case PhaseChanged(phase=phase):
                if not self.phases:
                    # What was installed or chosen before is no part of the start.
                    self._began = self._now() - phase.start_s
                if self.phases and self.phases[-1].name == phase.name:
                    self.phases[-1] = phase
                else:
                    self._end_last(phase.start_s)
                    self.phases.append(phase)
            case EngineReady(seconds=seconds):
                self._end_last(None)
                self._state, self._seconds = "ready", seconds
            case EngineFailed():
                self._state = "failed"
            case EngineStopping() | EngineStopped():
                self._state = "stopped"
            case EngineNote(text=text):
                self._notes.append(clean(text, keep_newlines=False))
            case LogLine(text=text):
                self._log = clean(text, keep_newlines=False)
        self.refresh()

    def fail(self) -> None:
        """Nothing is being started any more, because of an error that is shown elsewhere."""
        self._state = "failed"
        self.refresh()

    @property
    def elapsed(self) -> float:
        """Seconds since the start began."""
        return self._now() - self._began

    @property
    def current(self) -> Phase | None:
        """The phase that the start is in."""
        return self.phases[-1] if self.phases and self._state == "starting" else None

    def tick(self) -> None:
        """Time has passed: the running phase's time is drawn again."""
        if self._state == "starting":
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Row `y`; what does not fit is left out from the end of the phases, never the title."""
        lines = self._lines()
        width = self.size.width
        line = lines[y] if y < len(lines) else []
        segments = [Segment(text, self.get_component_rich_style(f"start--{name}")) for text, name in line]
        return Strip(segments).adjust_cell_length(width, self.get_component_rich_style("start--text"))

    def _lines(self) -> list[Line]:
        width, height = max(20, self.size.width), self.size.height
        now, end = self._phase_lines(width), self._end_lines(width)
        if self.has_class("-compact"):
            return [*now[-max(1, height - len(end)) :], *end][-height:]
        head: list[Line] = [[(fit(self._title, width), "title")]]
        if self._subtitle:
            head += [[(text, "muted")] for text in wrap(self._subtitle, width)[:3]]
        head.append([])
        tips = [[], *([(f"{key:<7}", "now"), (fit(text, width - 7), "muted")] for key, text in _TIPS)]
        if self._state == "ready":
            seconds = f" in {self._seconds:.0f} s" if self._seconds is not None else ""
            now, end = [[("● ", "done"), (f"ready{seconds}", "text")]], []
        end += self._note_lines(width)
        room = height - len(head) - len(tips) - len(end)
        if room < min(4, len(now)):
            tips, room = [], height - len(head) - len(end)
        return [*head, *now[-max(1, room) :], *end, *tips]

    def _note_lines(self, width: int) -> list[Line]:
        """What vLLM does not say, or says in words that mislead."""
        lines: list[Line] = [[]] if self._notes and self._state in ("starting", "ready") else []
        for note in self._notes if lines else ():
            rows = wrap(note, min(width, NOTE_COLUMNS) - 2)
            lines += [[("i " if row is rows[0] else "  ", "now"), (row, "muted")] for row in rows]
        return lines

    def _end_lines(self, width: int) -> list[Line]:
        """The bar with what it says, and the latest line of the log."""
        lines: list[Line] = []
        if self._state == "starting" and self.phases:
            told = progress(self._earlier, self.phases[-1], self.elapsed)
            # An estimate may be corrected; a bar that goes back would only worry.
            self._share = max(self._share, told.share)
            room = max(10, min(BAR_COLUMNS, width - 6))
            full = round(room * self._share)
            lines.append([("━" * full, "now"), ("─" * (room - full), "rest"), (f"{self._share:5.0%}", "muted")])
            lines.append([(fit(told.words, width), "text")])
        if self._log and self._state in ("starting", "failed"):
            lines.append([(fit(self._log, width), "muted")])
        return lines

    def _phase_lines(self, width: int) -> list[Line]:
        lines: list[Line] = []
        for index, phase in enumerate(self.phases):
            last = index == len(self.phases) - 1
            sign, style = ("✓ ", "done")
            seconds = phase.seconds
            if last and self._state == "starting" and seconds is None:
                sign, style = "▸ ", "now"
                seconds = max(0.0, self.elapsed - phase.start_s)
            elif last and self._state == "failed":
                sign, style = "✗ ", "error"
            time = f"{seconds:8.1f} s" if seconds is not None else " " * 10
            name = fit(clean(phase.name, keep_newlines=False), min(30, width - 14))
            detail = fit(clean(phase.detail, keep_newlines=False), width - 44) if width > 54 else ""
            lines.append([(sign, style), (name, "text"), (time, "muted"), (f"  {detail}".rstrip(), "muted")])
        if not lines and self._state == "starting":
            lines.append([("▸ ", "now"), (f"starting{self.elapsed:8.1f} s", "text")])
        return lines

    def _end_last(self, at: float | None) -> None:
        if self.phases and self.phases[-1].seconds is None:
            last = self.phases[-1]
            end = at if at is not None else self.elapsed
            self.phases[-1] = Phase(last.name, last.start_s, max(0.0, end - last.start_s), last.detail)
