"""Keeps a terminal's answers apart from keys, whenever they come: Textual would type them into what has the focus."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import Any

from textual import constants, events
from textual._time import get_time
from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.app import App
from textual.message import Message

from gemma_tui.tui.terminal import ANSWER, BEGUN, Terminal, cell_now

ANSWER_SECONDS = 0.1
"""How long answers are awaited once the app reads its input; what comes later is passed over."""
CLIPBOARD_SECONDS = 20.0
"""How long the terminal may take to hand its clipboard over; it asks the person first."""
ASK_CLIPBOARD = f"\x1b]5522;type=read;{base64.b64encode(b'image/png').decode()}\x1b\\"
_BROKEN_SECONDS = 0.5
_LONGEST_ANSWER = 1 << 16


class TerminalAnswer(Message):
    """The terminal answered something; `text` is the whole escape sequence."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class AnswerParser(XTermParser):
    """Textual's parser, with each answer as a `TerminalAnswer`, also one that comes in pieces.

    A paste comes whole: Textual's own loses what stands before an escape character in it, and types the rest.
    """

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._kept = ""
        self._kept_since = 0.0
        self._pasting = False
        self._pasted: list[str] = []

    def feed(self, data: str) -> Iterable[Message]:
        """Take what was read; what may be the beginning of an answer waits for its end."""
        if not data:
            kept, self._kept = self._kept, ""
            if kept:
                yield from super().feed(kept)
            yield from super().feed("")
            return
        before, self._kept = self._kept, ""
        text = before + data
        while text:
            if self._pasting:
                text = yield from self._paste(text)
            else:
                text = yield from self._keys(text)
        if not before or not self._kept.startswith(before):
            self._kept_since = get_time()

    def tick(self) -> Iterable[Message]:
        """Give up waiting: a key such as Escape is let through, an answer that never ended is not."""
        if self._kept:
            waited = get_time() - self._kept_since
            if self._pasting:
                pass
            elif len(self._kept) <= 2:
                if waited >= constants.ESCAPE_DELAY:
                    kept, self._kept = self._kept, ""
                    yield from super().feed(kept)
                    # It has waited as long as the base class would have let it.
                    self._timeout_time = None if self._timeout_time is None else 0.0
            elif waited >= _BROKEN_SECONDS:
                self._kept = ""
        yield from super().tick()

    def _keys(self, text: str) -> Generator[Message, None, str]:
        """Feed `text` up to a paste without the answers in it; returns what is left of it."""
        keys, opening, rest = text.partition(BRACKETED_PASTE_START)
        at = 0
        for match in ANSWER.finditer(keys):
            yield from self._through(keys[at : match.start()])
            yield TerminalAnswer(match[0])
            at = match.end()
        keys = keys[at:]
        if not opening:
            begun = BEGUN.search(keys[-_LONGEST_ANSWER:])
            self._kept = begun[0] if begun else _partial(keys, BRACKETED_PASTE_START)
            keys = keys[: len(keys) - len(self._kept)]
        yield from self._through(keys)
        self._pasting = bool(opening)
        return rest

    def _paste(self, text: str) -> Generator[Message, None, str]:
        """Collect `text` as it is up to the end of the paste; returns what is left of it."""
        pasted, closing, rest = text.partition(BRACKETED_PASTE_END)
        if not closing:
            self._kept = _partial(pasted, BRACKETED_PASTE_END)
            pasted = pasted[: len(pasted) - len(self._kept)]
        self._pasted.append(pasted)
        if closing:
            self._pasting = False
            yield events.Paste("".join(self._pasted).replace("\0", ""))
            self._pasted.clear()
        return rest

    def _through(self, text: str) -> Iterable[Message]:
        if text:
            yield from super().feed(text)


def _partial(text: str, whole: str) -> str:
    """The longest beginning of `whole` that `text` ends with."""
    return next((whole[:size] for size in range(len(whole) - 1, 0, -1) if text.endswith(whole[:size])), "")


class AskedApp(App[int]):
    """An app that knows what the terminal answered to the questions that went out with the splash."""

    def __init__(self) -> None:
        super().__init__()
        # Some terminals tell the size of a cell to the kernel alone.
        self.terminal = Terminal(cell=cell_now())
        self._answers_count = True
        self._copied: asyncio.Future[bytes] | None = None
        self._pieces: list[bytes] = []

    def on_terminal_answer(self, message: TerminalAnswer) -> None:
        """Learn from an answer that is not too late."""
        message.stop()
        if message.text.startswith("\x1b]5522;"):
            self._take_copied(message.text)
        elif self._answers_count:
            self.terminal = self.terminal.told(message.text)

    @property
    def clipboard_offered(self) -> bool:
        """Whether the terminal hands over what is on its clipboard, also over ssh (kitty's OSC 5522)."""
        return self.terminal.graphics and self.terminal.name.startswith("kitty") and not self.terminal.inside

    async def picture_from_clipboard(self) -> bytes:
        """Ask the terminal for a picture on its clipboard; it asks the person. Empty where there is none."""
        self._copied = asyncio.get_running_loop().create_future()
        self._pieces = []
        write_terminal(self, ASK_CLIPBOARD)
        try:
            async with asyncio.timeout(CLIPBOARD_SECONDS):
                return await self._copied
        except TimeoutError:
            return b""
        finally:
            self._copied = None

    def _take_copied(self, answer: str) -> None:
        """One packet of the clipboard: its status, and for DATA a type and a piece of content in base64."""
        if self._copied is None or self._copied.done():
            return
        fields, _, payload = answer.removeprefix("\x1b]5522;").rstrip("\x07\x1b\\").partition(";")
        values = dict(field.partition("=")[::2] for field in fields.split(":"))
        if values.get("status") == "DATA":
            with suppress(ValueError):
                self._pieces.append(base64.b64decode(payload))
        elif values.get("status") != "OK" or values.get("type") != "read":
            self._copied.set_result(b"".join(self._pieces) if values.get("status") == "DONE" else b"")

    def wait_for_answers(self) -> None:
        """Let answers count for `ANSWER_SECONDS` from now on."""
        self.set_timer(ANSWER_SECONDS, self._stop_counting)

    def _stop_counting(self) -> None:
        self._answers_count = False


def keep_answers_from_keys() -> None:
    """Put `AnswerParser` in the place of Textual's parser; to be called before an app runs."""
    try:
        from textual.drivers import linux_driver
    except ImportError:
        # No termios: Textual reads a Windows console, which was asked nothing.
        return
    vars(linux_driver)["XTermParser"] = AnswerParser


def take_mouse(app: App[int], taken: bool) -> None:
    """Let the mouse report to the app, or leave it to the terminal, which then selects text as elsewhere."""
    driver: Any = app._driver
    if driver is not None and hasattr(driver, "_disable_mouse_support"):
        driver._disable_mouse_support()
        # The driver reads it again when it comes back from a suspension.
        driver._mouse = taken
        driver._enable_mouse_support()


def write_terminal(app: App[int], sequences: str) -> None:
    """Send escape sequences to the terminal, in between what Textual draws; from any thread."""
    if app._driver is not None and not app.is_headless:
        app._driver.write(sequences)
