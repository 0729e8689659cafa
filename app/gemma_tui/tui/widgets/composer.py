"""Where messages are written: Enter sends, another Enter breaks the line, pasted files and long texts become chips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual import events
from textual.message import Message

from gemma_tui.tui.widgets.completions import Completions
from gemma_tui.tui.widgets.plain_area import PlainArea, terminal_newlines

LONG_PASTE_CHARACTERS = 4_000
LONG_PASTE_LINES = 40
HISTORY_KEPT = 500

# With xterm's modifyOtherKeys the key arrives as the character that it is.
_NEWLINE_KEYS = frozenset(
    {"ctrl+j"} | {f"{held}+{key}" for held in ("shift", "alt", "ctrl") for key in ("enter", "\r")}
)


_OFFER_KEYS = frozenset({"tab", "enter", "up", "down", "escape", "shift+tab"})


class Composer(PlainArea):
    """The message being written; while `completions` are open, the keys that choose are theirs."""

    @dataclass
    class Submitted(Message):
        """Enter was pressed: the text since the last one, which stays in the composer until `taken()` is called."""

        text: str

    @dataclass
    class FilesDropped(Message):
        """Paths were dropped or pasted; `text` is what the terminal sent for them."""

        paths: list[Path]
        text: str

    @dataclass
    class LongPaste(Message):
        """A text was pasted that is too long to look at in the composer."""

        text: str

    @dataclass
    class LastChipUnwanted(Message):
        """Backspace was pressed in an empty composer."""

    class PasteAsked(Message):
        """The desktop's clipboard is to be looked at, where a picture may be."""

    class EditorAsked(Message):
        """The message is to be written in an editor of the person's own."""

    @dataclass
    class Completed(Message):
        """A suggestion was taken (`submit`: with Enter), or `declined`."""

        submit: bool = False
        declined: bool = False

    def __init__(self, *, id: str | None = None, completions: Completions | None = None) -> None:
        super().__init__(id=id, placeholder="Write a message, or drop a picture or a clip here")
        self._completions = completions
        self._history: list[str] = []
        self._place = 0
        self._chord = False
        self.remember: Callable[[str], None] = lambda text: None
        self._draft = ""
        # How much of the text was handed over and not taken yet: what is typed meanwhile is the next message's.
        self._handed = 0

    async def _on_key(self, event: events.Key) -> None:
        chord, self._chord = self._chord, False
        if event.key == "ctrl+e" and chord:
            self._take(event)
            self.post_message(self.EditorAsked())
        elif event.key == "ctrl+x" and self.selection.is_empty:
            # With something selected it cuts, as in the base class.
            self._take(event)
            self._chord = True
        elif event.key == "ctrl+v":
            self._take(event)
            self.post_message(self.PasteAsked())
        elif event.key in _OFFER_KEYS and self._completions is not None and self._completions.chosen:
            self._take(event)
            self._choose(event.key, self._completions)
        elif event.key == "enter":
            self._take(event)
            text = self.text
            handed, self._handed = self._handed, len(text)
            self.post_message(self.Submitted(text[handed:]))
        elif event.key in _NEWLINE_KEYS:
            self._take(event)
            self.type_in("\n")
        elif event.key == "up" and self.cursor_at_first_line and self._history and self._place > 0:
            self._take(event)
            self._recall(self._place - 1)
        elif event.key == "down" and self.cursor_at_last_line and self._place < len(self._history):
            self._take(event)
            self._recall(self._place + 1)
        elif event.key == "backspace" and self.document.end == (0, 0):
            self._take(event)
            self.post_message(self.LastChipUnwanted())

    def _choose(self, key: str, completions: Completions) -> None:
        if key in ("up", "shift+tab"):
            completions.move(-1)
        elif key == "down":
            completions.move(1)
        else:
            self.post_message(self.Completed(submit=key == "enter", declined=key == "escape"))

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        from gemma_backend.media.paste import paths_in

        text = terminal_newlines(event.text)
        if not text:
            # What some terminals send where a picture is on the clipboard.
            self.post_message(self.PasteAsked())
            return
        paths = paths_in(text)
        if paths:
            self.post_message(self.FilesDropped(paths, text))
        else:
            self.paste_text(text)

    def paste_text(self, text: str) -> None:
        """Insert a text, or hand it over where it is too long to look at here."""
        if len(text) > LONG_PASTE_CHARACTERS or text.count("\n") > LONG_PASTE_LINES:
            self.post_message(self.LongPaste(text))
        elif text:
            self.type_in(text)

    def recall(self, texts: Sequence[str]) -> None:
        """Put what was typed in earlier runs before what was typed in this one."""
        at_end = self._place == len(self._history)
        self._history = [*texts, *self._history][-HISTORY_KEPT:]
        if at_end:
            self._place = len(self._history)

    def taken(self, text: str | None = None) -> None:
        """What was handed over, or all of it, is on its way: remember it for the up key, and keep only what is new."""
        whole = self.text
        text = whole if text is None else text
        if text.strip() and (not self._history or self._history[-1] != text):
            self._history = [*self._history, text][-HISTORY_KEPT:]
            self.remember(text)
        self._place = len(self._history)
        self._draft = ""
        before, _, after = whole.partition(text) if text else (whole, "", "")
        rest = before + after if text in whole else ""
        handed = max(0, self._handed - len(text))
        self.put(rest)
        self._handed = min(handed, len(rest))

    def not_taken(self) -> None:
        """What was handed over stays, to be changed and handed over again."""
        self._handed = 0

    def put(self, text: str) -> None:
        """Replace the whole text, with the cursor at its end; the history of edits begins anew."""
        self._handed = 0
        super().put(text)

    def _recall(self, place: int) -> None:
        if self._place == len(self._history):
            self._draft = self.text
        self._place = place
        self.rewrite(self._history[place] if place < len(self._history) else self._draft)

    def rewrite(self, text: str) -> None:
        """Replace the whole text in one step that can be undone."""
        self._handed = 0
        self.replace(text, (0, 0), self.document.end)
        self.move_cursor(self.document.end)

    @staticmethod
    def _take(event: events.Key) -> None:
        event.stop()
        event.prevent_default()
