"""Recording a clip: a level, a clock, and what was heard so far."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Label

from gemma_backend.media.clip import MAX_SECONDS
from gemma_backend.media.record import BLOCK_SECONDS, Recorder
from gemma_backend.types import AudioPart, BadInput
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.waveform import Waveform

_METER = 40


class RecordScreen(SheetScreen[AudioPart | None]):
    """Records at once; Enter ends and attaches, Escape throws away."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "finish", "End and attach", show=False)]

    def __init__(self, name: str, device: str = "") -> None:
        super().__init__()
        self._called = name
        self._levels: list[float] = []
        self._recorder = Recorder(self._heard, device)
        self._thrown_away = False

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Recording"
            sheet.border_subtitle = "Enter ends and attaches · Esc throws it away"
            yield Waveform(id="wave")
            yield Label("waiting for the microphone …", id="said", markup=False)

    def on_mount(self) -> None:
        self.run_worker(self._record())

    async def _record(self) -> None:
        try:
            await self._recorder.run()
            if not self._thrown_away:
                self.dismiss(self._recorder.part(self._called))
        except BadInput as error:
            self.query_one("#said", Label).update(str(error))
            self.query_one("#sheet").border_subtitle = "Esc closes"

    def _heard(self, level: float, seconds: float) -> None:
        self._levels.append(level)
        lit = round(level * _METER)
        warning = "  too loud" if level > 0.98 else "  silent" if self._is_silent() else ""
        self.query_one("#said", Label).update(
            f"● {seconds:4.1f} of {MAX_SECONDS:.0f} s  {'█' * lit}{'·' * (_METER - lit)}{warning}"
        )
        wave = self.query_one(Waveform)
        wave.show(self._levels)
        wave.part = (0.0, 1.0)

    def _is_silent(self) -> bool:
        recent = self._levels[-round(2 / BLOCK_SECONDS) :]
        return len(recent) >= round(2 / BLOCK_SECONDS) and max(recent) < 0.003

    def action_finish(self) -> None:
        """End the recording and attach it."""
        self._recorder.stop()

    def action_away(self) -> None:
        """Throw the recording away."""
        self._thrown_away = True
        self._recorder.stop()
        self.dismiss(None)
