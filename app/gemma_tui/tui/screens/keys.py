"""Every key, on one sheet."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.studio.keys import STUDIO_KEYS

_KEYS = (
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
    ("F3, Ctrl+S", "dashboard on and off"),
    ("Alt+S, Shift+F3", "figures on the whole screen: pause, zoom, export"),
    ("F4, Ctrl+L", "the engine's log: follow, filter, search"),
    ("Ctrl+N", "new conversation"),
    ("F6, Alt+H", "the history: find, open, name, export, delete"),
    ("Alt+K", "keep this conversation in the history, or not"),
    ("Ctrl+T", "dark or light"),
    ("Ctrl+P", "every command, by name"),
    ("Ctrl+C", "copy what is selected; twice: quit"),
    ("Ctrl+Q", "quit, and stop the engine started here"),
)


class KeysScreen(SheetScreen[None]):
    """What each key does."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f1,q,enter", "away", "Close", show=False)]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="sheet") as sheet:
            sheet.border_title = "Keys"
            sheet.border_subtitle = "Esc closes"
            width = max(len(key) for key, _ in _KEYS) + 2
            lines = [Content.assemble((key.ljust(width), "bold $primary"), text) for key, text in _KEYS]
            yield Static(Content("\n").join(lines))
