"""Every key and every command, to be searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from gemma_tui.commands import Command
from gemma_tui.tui.key_words import KeyEntry, bound_keys
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.studio.keys import STUDIO_KEYS
from gemma_tui.tui.widgets.row_list import RowItem, RowList
from gemma_tui.tui.widgets.text_cells import wrap

COMMANDS = "Commands"
_COLUMN = 24

KEYS = (
    ("Enter", "send the message"),
    ("Ctrl+J, Shift+Enter", "new line in the message"),
    ("Up, Down", "earlier and later messages"),
    ("/, @", "a command; a picture or clip by its path"),
    ("Tab", "complete what is being typed"),
    ("Ctrl+_, Alt+_", "undo, and do again, in the message"),
    ("Esc", "stop the reply; close a notice"),
    ("Ctrl+R", "try again: start the engine, or ask once more"),
    ("Backspace", "in an empty message: remove the last attachment"),
    ("Shift+Tab", "to the attachments: Left, Right, Enter, Space, Delete"),
    ("F9", "choose pictures and clips to attach"),
    ("F8", "record a clip from the microphone"),
    ("Ctrl+V", "attach the picture on the clipboard, or insert its text"),
    ("Ctrl+X Ctrl+E", "write the message in an editor of your own"),
    ("F2, Ctrl+O", "chat or completion"),
    *STUDIO_KEYS,
    ("PgUp, PgDn", "scroll the conversation"),
    ("Ctrl+Up, Ctrl+Down", "previous and next turn"),
    ("Ctrl+End", "to the end, and follow it"),
    ("F7, Alt+Up", "choose a turn; then Up and Down, and the keys at the bottom"),
    ("E, R, G", "with a turn chosen: word it anew, another reply, go on"),
    ("Left, Right", "with a turn chosen: its other branches"),
    ("B, F, D, C", "with a turn chosen: all branches, fork, delete, copy"),
    ("Space, T", "with a turn chosen: fold it, or its reasoning; and open it again"),
    ("Alt+Z", "fold all long turns, or open them"),
    ("Alt+O", "open a link on screen, after a question"),
    ("Alt+Y", "copy the lowest code block on screen"),
    ("F3, Ctrl+S", "dashboard on and off"),
    ("Alt+S, Shift+F3", "figures on the whole screen: pause, zoom, export"),
    ("F4, Ctrl+L", "the engine's log: follow, filter, search"),
    ("Ctrl+N", "new conversation"),
    ("F6, Alt+H", "the history: find, open, name, export, delete"),
    ("Alt+P", "another profile's model; what was fetched meanwhile"),
    ("Alt+K", "keep this conversation in the history, or not"),
    ("Ctrl+T", "dark or light"),
    ("Alt+L", "high contrast, or back"),
    ("F1", "help: every key and command, found by words"),
    ("Ctrl+P", "every command, by name"),
    ("Ctrl+Z", "suspend, until `fg` in the shell brings it back; in completion a step back"),
    ("Ctrl+C", "copy what is selected; twice: quit"),
    ("Ctrl+Q", "quit; asks what becomes of the engine"),
)


class HelpScreen(SheetScreen[str | None]):
    """Keys and commands, found by words; the result is a command to be put into the message."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "away", "Close", show=False),
        Binding("up", "move(-1)", "Up", show=False, priority=True),
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("pageup", "page(-1)", "A page up", show=False, priority=True),
        Binding("pagedown", "page(1)", "A page down", show=False, priority=True),
    ]

    def __init__(self, commands: Sequence[Command], words: str = "") -> None:
        super().__init__()
        self._entries = [*_own(), *_of_commands(commands), *bound_keys()]
        self._found: list[KeyEntry | None] = []
        self.words = Input(words, placeholder="Find by key, word or command", id="words", compact=True)
        self.rows = RowList(id="found", empty="Nothing was found.")

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Help"
            sheet.border_subtitle = "Enter puts a command into the message · Esc closes"
            yield self.words
            yield self.rows

    def on_mount(self) -> None:
        self.words.focus()
        self.words.cursor_position = len(self.words.value)

    def on_resize(self) -> None:
        self.call_after_refresh(self.look)

    @on(Input.Changed, "#words")
    def look(self) -> None:
        """Show what has every word that is typed; a slash shows the commands."""
        words = self.words.value.casefold().split()
        place = ""
        items: list[RowItem] = []
        self._found = []
        for entry in self._entries:
            text = f"{entry.keys} {entry.text} {entry.place}".casefold()
            if not all(word in text for word in words):
                continue
            if entry.place != place:
                place = entry.place
                if items:
                    self._found.append(None)
                    items.append(RowItem(()))
                self._found.append(None)
                items.append(RowItem((((place, "found"),),)))
            self._found.append(entry)
            lines = wrap(entry.text, max(20, self.rows.scrollable_content_region.width - _COLUMN - 2))
            if len(entry.keys) > _COLUMN - 2:
                items.append(RowItem((((entry.keys, "mark"),),)))
            else:
                items.append(RowItem((((entry.keys.ljust(_COLUMN), "mark"), (lines.pop(0), "text")),)))
            self._found += [None] * len(lines)
            items += [RowItem(((("".ljust(_COLUMN), "text"), (line, "text")),)) for line in lines]
        self.rows.show(items, next((at for at, entry in enumerate(self._found) if entry), 0))

    def action_move(self, step: int) -> None:
        """Move to the next entry, over what is only a heading."""
        place = self.rows.place + step
        while 0 <= place < len(self._found) and self._found[place] is None:
            place += step
        if 0 <= place < len(self._found):
            self.rows.place = place
        elif step < 0:
            self.rows.scroll_home(animate=False)

    def action_page(self, direction: int) -> None:
        """Move by a page."""
        self.rows.action_page(direction)

    @on(Input.Submitted, "#words")
    @on(RowList.Taken)
    def take(self) -> None:
        """Hand over the chosen command; a key has nothing to hand over."""
        entry = self._found[self.rows.place] if self._found else None
        self.dismiss(entry.keys.partition(" ")[0] + " " if entry is not None and entry.place == COMMANDS else None)


def _own() -> list[KeyEntry]:
    return [KeyEntry(key, text[:1].upper() + text[1:], "First of all") for key, text in KEYS]


def _of_commands(commands: Sequence[Command]) -> list[KeyEntry]:
    return [
        KeyEntry(command.shown, command.summary[:1].upper() + command.summary[1:], COMMANDS) for command in commands
    ]
