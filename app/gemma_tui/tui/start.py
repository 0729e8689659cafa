"""The first hundredth of a second: something on screen, and keys kept, while Textual is still being imported.

Importing Textual takes 0.2 s and the OpenAI client 0.5 s. A splash written with plain escape sequences is there
after 0.03 s. Only the standard library is imported here, and nothing that one platform lacks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

# As in `typing`, whose import would take a tenth of the time to the first frame.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Runnable(Protocol):
        """What `run` needs of an app."""

        def run(self) -> object:
            """Run until the person leaves; the result is the app's own."""


FRAMES_PER_SECOND = "240"
"""Textual's frame timer: at its default of 60 it, not drawing, is what a typed key waits for (32 ms against 9, p90)."""

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE = "\x1b[?1049l\x1b[?25h"


_APC_KITTY = "\x1b_Gi=4207,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_NAME = "\x1b[>0q"
_CELL = "\x1b[16t"
_REGISTERS = "\x1b[?1;1;0S"
_ATTRIBUTES = "\x1b[c"


def run(make: Callable[[], Runnable], *, title: str = "gemma-tui", hint: str = "") -> object:
    """Show the splash, make the app (which imports Textual), run it, and give the terminal back as it was.

    What is typed meanwhile waits in the terminal's queue, unechoed, and reaches the app; so do the terminal's answers
    to `questions`, which go out with the splash.
    """
    # Textual reads it once, when it is imported.
    os.environ.setdefault("TEXTUAL_FPS", FRAMES_PER_SECOND)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return make().run()
    with _quiet_terminal():
        # After a switch of screens tmux passes nothing on until it has drawn the other one.
        _write(questions(os.environ) + _ENTER + splash(os.get_terminal_size(sys.stdout.fileno()), title, hint))
        try:
            app = make()
        except BaseException:
            _write(_LEAVE)
            raise
        return app.run()


def splash(size: tuple[int, int], title: str, hint: str) -> str:
    """Escape sequences that put the title, and a dim line under it, in the middle of a screen of (columns, rows)."""
    columns, rows = size
    middle = max(1, rows // 2)
    return "".join(
        f"\x1b[{row};{max(1, (columns - len(text)) // 2 + 1)}H\x1b[{style}m{text[:columns]}\x1b[0m"
        for row, style, text in ((middle, "1", title), (middle + 1, "2", hint))
        if text and row <= rows
    )


def questions(environ: Mapping[str, str]) -> str:
    """Escape sequences that ask a terminal what it can draw; empty where it would print them instead of answering.

    They ask for kitty's graphics protocol, the name and version (XTVERSION), the size of a cell in pixels, the colours
    of a sixel image (XTSMGRAPHICS), and last, because every terminal answers it, the attributes (DA1), among which is
    sixel. tmux answers for itself, so that
    the first two also go through it to the terminal outside.
    """
    if environ.get("TERM", "") in ("", "dumb", "linux") or environ.get("TERM_PROGRAM") == "Apple_Terminal":
        return ""
    if environ.get("TMUX"):
        return through_tmux(_APC_KITTY + _NAME) + _NAME + _CELL + _REGISTERS + _ATTRIBUTES
    return _APC_KITTY + _NAME + _CELL + _REGISTERS + _ATTRIBUTES


def through_tmux(sequences: str) -> str:
    """`sequences` for the terminal around tmux, which passes them on where `allow-passthrough` is on."""
    return "\x1bPtmux;" + sequences.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def _quiet_terminal() -> Iterator[None]:
    """Take echo, line editing and flow control off the terminal, and put its settings back afterwards."""
    try:
        import termios
    except ImportError:
        yield
        return
    fd = sys.stdin.fileno()
    try:
        before = termios.tcgetattr(fd)
    except termios.error:
        yield
        return
    quiet = termios.tcgetattr(fd)
    # As in Textual, so that an early Enter stays an Enter and an early Ctrl+Q is not taken for flow control.
    quiet[0] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(fd, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        # Textual restores what it found, which is what was set above.
        # A terminal that was closed has no settings any more.
        with suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
