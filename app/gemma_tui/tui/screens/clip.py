"""Which part of a long clip goes along, or that it goes along in pieces."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Label

from gemma_backend.media.clip import MAX_SECONDS, clock
from gemma_backend.media.load import load
from gemma_backend.media.long_clip import Stretch, Survey, pieces, survey
from gemma_backend.media.play import Player
from gemma_backend.text.clean import clean
from gemma_backend.types import AudioPart, BadInput
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.waveform import Waveform


@dataclass(frozen=True, slots=True)
class Taken:
    """What was chosen: one stretch, or all pieces."""

    stretches: tuple[Stretch, ...]


class ClipScreen(SheetScreen[Taken | None]):
    """The whole clip as a wave; the part that is chosen stands out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Earlier", show=False),
        Binding("right", "move(1)", "Later", show=False),
        Binding("pageup,ctrl+left", "move(-10)", "Much earlier", show=False),
        Binding("pagedown,ctrl+right", "move(10)", "Much later", show=False),
        Binding("home", "move(-99999)", "The beginning", show=False),
        Binding("end", "move(99999)", "The end", show=False),
        Binding("down", "resize(-1)", "Shorter", show=False),
        Binding("up", "resize(1)", "Longer", show=False),
        Binding("space", "play", "Play or stop", show=False),
        Binding("s", "split", "In pieces", show=False),
        Binding("enter", "take", "Take the part", show=False),
    ]

    def __init__(self, path: Path, start: float, seconds: float, player: Player) -> None:
        super().__init__()
        self._path = path
        self._start = start
        self._seconds = seconds
        self._player = player
        self._found: Survey | None = None
        self._split = False

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = clean(self._path.name, keep_newlines=False)
            sheet.border_subtitle = "← → move · ↑ ↓ length · Space plays · S in pieces · Enter takes"
            yield Waveform(id="wave")
            yield Label("listening to the whole of it …", id="said", markup=False)

    def on_mount(self) -> None:
        self.run_worker(self._survey())

    async def _survey(self) -> None:
        try:
            self._found = await asyncio.to_thread(survey, self._path)
        except BadInput as error:
            self.query_one("#said", Label).update(str(error))
            return
        self.query_one(Waveform).show(self._found.loudness)
        self._show()

    def _show(self) -> None:
        found = self._found
        if found is None:
            return
        whole = max(found.seconds, 0.1)
        wave, said = self.query_one(Waveform), self.query_one("#said", Label)
        cut = pieces(found)
        if self._split:
            wave.part = (0.0, 1.0)
            wave.marks = tuple(piece.start / whole for piece in cut[1:])
            joins = "  ".join(f"{clock(piece.start)} to {clock(piece.end)}" for piece in cut)
            said.update(f"{len(cut)} pieces, cut where it is quiet: {joins}\nEnter attaches all of them · S one part")
        else:
            wave.part = (self._start / whole, (self._start + self._seconds) / whole)
            wave.marks = ()
            said.update(
                f"{clock(self._start)} to {clock(self._start + self._seconds)} of {clock(whole)}, "
                f"{self._seconds:.0f} s; the model hears {MAX_SECONDS:.0f} s at once"
            )

    def action_move(self, step: int) -> None:
        """Take an earlier or a later part."""
        if self._found is not None and not self._split:
            self._start = max(0.0, min(self._found.seconds - self._seconds, self._start + step))
            self._show()

    def action_resize(self, step: int) -> None:
        """Take more or less."""
        if self._found is not None and not self._split:
            self._seconds = max(1.0, min(MAX_SECONDS, self._found.seconds - self._start, self._seconds + step))
            self._show()

    def action_split(self) -> None:
        """All of it in pieces, or one part again."""
        if self._found is not None:
            self._split = not self._split
            self._show()

    @on(Waveform.Clicked)
    def go_to(self, message: Waveform.Clicked) -> None:
        """Take the part that begins where the wave was clicked."""
        if self._found is not None:
            self._start = message.moment * self._found.seconds
            self.action_move(0)

    async def action_play(self) -> None:
        """Play the part, or stop."""
        if await self._player.stop():
            return
        try:
            part = await asyncio.to_thread(load, self._path, start=self._start, seconds=self._seconds)
            assert isinstance(part, AudioPart)
            await self._player.play(part)
        except BadInput as error:
            self.query_one("#said", Label).update(str(error))

    async def action_take(self) -> None:
        """Take what is shown."""
        await self._player.stop()
        if self._found is None:
            return
        self.dismiss(Taken(tuple(pieces(self._found)) if self._split else (Stretch(self._start, self._seconds),)))

    def action_away(self) -> None:
        """Put the sheet away, and be silent."""
        self.run_worker(self._player.stop())
        self.dismiss(None)
