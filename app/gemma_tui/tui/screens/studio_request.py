"""The request that continues the document, as a curl command or a Python program to copy."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from gemma_backend.chat.exchange import Request
from gemma_backend.session.recipe import KEY_VARIABLE, Language, recipe
from gemma_backend.text.clean import clean
from gemma_backend.types import Endpoint
from gemma_tui.tui.screens.sheet import SheetScreen

_LONGEST = 1_500
_SUFFIX: dict[Language, str] = {"curl": "sh", "python": "py"}


class RequestScreen(SheetScreen[None]):
    """Tab switches between the languages, c copies, w writes a file."""

    DEFAULT_CSS = """
    RequestScreen > #sheet { width: 100%; height: 100%; }
    RequestScreen #said { color: $muted; margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,left,right", "switch", "curl or Python", show=False, priority=True),
        Binding("c,enter,y", "copy", "Copy it", show=False),
        Binding("w", "write", "Write it to a file", show=False),
    ]

    def __init__(self, endpoint: Endpoint, request: Request, language: Language = "curl") -> None:
        super().__init__()
        self._endpoint, self._request, self.language = endpoint, request, language
        self.code = ""

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_subtitle = "Tab curl or Python · c copies · w writes a file · Esc closes"
            yield Static("", id="said", markup=False)
            with VerticalScroll(id="scroll", can_focus=True):
                yield Static("", id="code", markup=False)

    def on_mount(self) -> None:
        self.query_one("#scroll").focus()
        self._show()

    def _show(self) -> None:
        self.code = recipe(self.language, self._endpoint, self._request)
        self.query_one("#sheet").border_title = "curl" if self.language == "curl" else "Python"
        key = f"The key is not in it: set {KEY_VARIABLE}. " if self._endpoint.api_key else ""
        self._say(f"{key}{len(self.code.encode()):,} bytes.")
        lines = [line if len(line) <= _LONGEST else _shortened(line) for line in self.code.splitlines()]
        self.query_one("#code", Static).update(Content(clean("\n".join(lines))))

    def _say(self, sentence: str) -> None:
        self.query_one("#said", Static).update(Content(clean(sentence)))

    def action_switch(self) -> None:
        """Show the other language."""
        self.language = "python" if self.language == "curl" else "curl"
        self._show()

    def action_copy(self) -> None:
        """Copy the whole program."""
        self.app.copy_to_clipboard(self.code)
        self._say("Copied, as far as the terminal takes it: w writes it to a file.")

    def action_write(self) -> None:
        """Write the program to a new file in the current folder."""
        for number in range(1, 1000):
            path = Path.cwd() / f"completion{'' if number == 1 else f'-{number}'}.{_SUFFIX[self.language]}"
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write(self.code)
            except FileExistsError:
                continue
            except OSError as error:
                self._say(f"{path} cannot be written: {error.strerror}.")
                return
            self._say(f"Written to {path}.")
            return


def _shortened(line: str) -> str:
    half = _LONGEST // 2
    return f"{line[:half]} … {len(line) - 2 * half:,} characters … {line[-half:]}"
