"""How the document is continued: every control with its value, and presets to take and save."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from gemma_backend.config.presets import (
    Controls,
    Preset,
    delete_preset,
    list_presets,
    save_preset,
    shown_value,
)
from gemma_backend.session.studio import Studio
from gemma_backend.text.clean import clean
from gemma_backend.types import GemmaError
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.studio.control_rows import ControlRows, nudged, parsed, says

KEYS = "←→ change · Enter types · Del default · Ctrl+S saves a preset · Esc"


class ControlsScreen(SheetScreen[None]):
    """Changes hold at once: `use` gets the controls and the name of the preset that they are."""

    DEFAULT_CSS = """
    ControlsScreen ControlRows { height: 15; }
    ControlsScreen #entry {
        height: 1; border: none; background: $panel; padding: 0 1; display: none;
        &:focus { border: none; }
    }
    ControlsScreen #entry.-open { display: block; }
    ControlsScreen #says { height: 2; color: $muted; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save as a preset", show=False, priority=True),
        Binding("ctrl+d", "forget", "Delete the preset", show=False, priority=True),
    ]

    def __init__(self, studio: Studio, preset: str, use: Callable[[Controls, str], None]) -> None:
        super().__init__()
        self._studio = studio
        self._use = use
        self._presets: list[Preset] = []
        self._naming = False
        self.rows = ControlRows(studio, preset)

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Controls"
            sheet.border_subtitle = KEYS
            yield self.rows
            yield Static("", id="says", markup=False)
            yield Input(id="entry", select_on_focus=False)

    def on_mount(self) -> None:
        self._presets, faults = list_presets()
        self.rows.focus()
        self._tell()
        if faults:
            self._say(faults[0], "warning")

    # -- what is said

    def _say(self, text: str, colour: str = "muted") -> None:
        self.query_one("#says", Static).update(Content.styled(clean(text), f"${colour}"))

    @on(ControlRows.Chosen)
    def _tell(self) -> None:
        name = self.rows.chosen
        if name == "preset":
            found = next((one for one in self._presets if one.name == self.rows.preset), None)
            own = "" if found is None or found.shipped else " Your own: Ctrl+D deletes it."
            self._say((found.title or "a preset" if found else "← → takes a preset.") + own)
        elif (why := self._studio.lacks(name)) is not None:
            self._say(f"Not offered: {why}", "warning")
        else:
            self._say(says(name))

    # -- changing

    @on(ControlRows.Nudged)
    def nudge(self, message: ControlRows.Nudged) -> None:
        """One step more or less of the chosen control, or another preset."""
        name = self.rows.chosen
        if name == "preset":
            names = [preset.name for preset in self._presets]
            place = names.index(self.rows.preset) if self.rows.preset in names else -1 if message.step > 0 else 0
            preset = self._presets[(place + message.step) % len(self._presets)]
            self._apply(preset.controls, preset.name)
        elif self._studio.lacks(name) is None:
            self._set(nudged(name, getattr(self._studio.controls, name), message.step))

    @on(ControlRows.Cleared)
    def clear(self) -> None:
        """Leave the chosen control to the server."""
        name = self.rows.chosen
        if name != "preset":
            self._set(Controls.model_fields[name].get_default())

    @on(ControlRows.Typed)
    def begin_typing(self, message: ControlRows.Typed) -> None:
        """Open a line for the value of the chosen control."""
        name = self.rows.chosen
        if name in ("preset", "bos", "echo"):
            self.nudge(ControlRows.Nudged(1))
            return
        if self._studio.lacks(name) is None:
            self._open(message.first or shown_value(getattr(self._studio.controls, name)), naming=False)

    def _set(self, value: object) -> None:
        try:
            controls = self._studio.controls.changed(self.rows.chosen, value)
        except GemmaError as error:
            self._say(str(error), "warning")
        else:
            self._apply(controls, "")

    def _apply(self, controls: Controls, preset: str) -> None:
        if not preset:
            preset = next((one.name for one in self._presets if one.controls == controls), "")
        self.rows.preset = preset
        self._use(controls, preset)
        self.rows.refresh()
        self._tell()

    # -- the line

    def _open(self, value: str, *, naming: bool) -> None:
        self._naming = naming
        entry = self.query_one("#entry", Input)
        entry.add_class("-open")
        entry.value = value
        entry.cursor_position = len(value)
        entry.focus()
        self.query_one("#sheet").border_subtitle = "Enter takes it · Esc leaves it as it was"
        if naming:
            self._say("The preset's name, of small letters, digits and dashes:")

    def _close(self) -> None:
        self.query_one("#entry").remove_class("-open")
        self.query_one("#sheet").border_subtitle = KEYS
        self.rows.focus()

    @on(Input.Submitted)
    def take(self, event: Input.Submitted) -> None:
        """Take what was typed: a value, or a preset's name."""
        try:
            if self._naming:
                save_preset(event.value.strip(), self._studio.controls)
                self._presets, _ = list_presets()
                self._close()
                self._apply(self._studio.controls, event.value.strip())
                self._say(f"Saved as {event.value.strip()}.")
                return
            value = parsed(self.rows.chosen, event.value)
            controls = self._studio.controls.changed(self.rows.chosen, value)
        except GemmaError as error:
            self._say(str(error), "warning")
            return
        self._close()
        self._apply(controls, "")

    def action_away(self) -> None:
        """Close the line where it is open, else the sheet."""
        if self.query_one("#entry").has_class("-open"):
            self._close()
            self._tell()
        else:
            super().action_away()

    def action_save(self) -> None:
        """Ask for a name, and save the controls under it."""
        found = next((one for one in self._presets if one.name == self.rows.preset), None)
        self._open(self.rows.preset if found and not found.shipped else "", naming=True)

    def action_forget(self) -> None:
        """Delete the preset that is shown, if it is the person's own."""
        try:
            gone = delete_preset(self.rows.preset)
        except GemmaError as error:
            self._say(str(error), "warning")
            return
        if not gone:
            self._say("Only presets of your own can be deleted.")
            return
        name = self.rows.preset
        self._presets, _ = list_presets()
        self._apply(self._studio.controls, "")
        self._say(f"Deleted {name}; the controls stay as they are.")

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.dismiss(None)
