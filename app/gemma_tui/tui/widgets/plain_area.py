"""A text area whose document is exactly what was typed, and that shows control characters instead of sending them."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.document._document import Document, EditResult, Location
from textual.document._document_navigator import DocumentNavigator
from textual.document._wrapped_document import WrappedDocument
from textual.widgets import TextArea

from gemma_backend.text.clean import clean


def _stand_ins() -> dict[int, str]:
    """One visible character for each control character, so that columns on screen and in the document agree."""
    codes = (*range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
    pictures = {code: clean(chr(code)) for code in codes if code != ord("\t")}
    return {
        code: picture if len(picture) == 1 and picture.isprintable() else "\ufffd" for code, picture in pictures.items()
    }


_STAND_INS = _stand_ins()


class ExactDocument(Document):
    """A document whose lines end at U+000A and nowhere else, so that its text is exactly what went in."""

    def __init__(self, text: str) -> None:
        super().__init__("")
        self._newline = "\n"
        self._lines = text.split("\n")

    def replace_range(self, start: Location, end: Location, text: str) -> EditResult:
        """Replace what lies between two locations (row, column) with `text`."""
        (top_row, top_column), (bottom_row, bottom_column) = sorted((start, end))
        lines = self._lines
        replaced = self.get_text_range(start, end)
        before = lines[top_row][:top_column] if top_row < len(lines) else ""
        after = lines[bottom_row][bottom_column:] if bottom_row < len(lines) else ""
        inserted = (before + text).split("\n")
        column = len(inserted[-1])
        inserted[-1] += after
        lines[top_row : bottom_row + 1] = inserted
        return EditResult((top_row + len(inserted) - 1, column), replaced)


class PlainArea(TextArea):
    """A multi-line editor without highlighting, whose `text` is exact and whose drawing is safe."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # What Ctrl+/ and Ctrl+_ send, with and without a keyboard protocol.
        Binding("ctrl+underscore,ctrl+slash,ctrl+shift+underscore", "undo", "Undo", show=False),
        Binding("alt+underscore,alt+slash", "redo", "Redo", show=False),
    ]

    def __init__(self, *, id: str | None = None, placeholder: str = "", tab_inserts: bool = False) -> None:
        super().__init__(
            id=id,
            soft_wrap=True,
            highlight_cursor_line=False,
            placeholder=placeholder,
            tab_behavior="indent" if tab_inserts else "focus",
        )
        self.indent_type = "tabs"
        self.match_cursor_bracket = False
        # A blinking cursor redraws twice a second for ever, also over slow links.
        self.cursor_blink = False

    def _set_document(self, text: str, language: str | None) -> None:
        self._highlight_query = None
        self.document = ExactDocument(text)
        self.wrapped_document = WrappedDocument(self.document, tab_width=self.indent_width)
        self.navigator = DocumentNavigator(self.wrapped_document)
        self._build_highlight_map()
        self.move_cursor((0, 0))
        self._rewrap_and_refresh_virtual_size()

    def get_line(self, line_index: int) -> Text:
        """The line as it is drawn, each control character by one stand-in."""
        return Text(self.document.get_line(line_index).translate(_STAND_INS), end="", no_wrap=True)

    def put(self, text: str) -> None:
        """Replace the whole text, with the cursor at its end; the history of edits begins anew."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    def type_in(self, text: str) -> None:
        """Insert `text` where the cursor is, in place of what is selected."""
        result = self._replace_via_keyboard(text, *self.selection)
        if result is not None:
            self.move_cursor(result.end_location)


def terminal_newlines(text: str) -> str:
    """Pasted text with the newlines that were copied: terminals send CR or CR LF for each."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
