"""The message in an editor of the person's own, with the terminal handed over meanwhile."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from textual.app import App

from gemma_backend.types import BadInput

_USUAL = ("sensible-editor", "nano", "vim", "vi")


def editor_words(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The editor's command line: $VISUAL, $EDITOR, or one of the usual ones; raises BadInput where there is none."""
    for name in ("VISUAL", "EDITOR"):
        if given := environ.get(name, "").strip():
            try:
                words = shlex.split(given)
            except ValueError:
                raise BadInput(f"{name} holds an open quote: mend it, as in {name}='code --wait'.") from None
            if shutil.which(words[0]) is None:
                raise BadInput(f"{name} names {words[0]}, which is not installed: set it to an editor that is.")
            return words
    for name in _USUAL:
        if found := shutil.which(name):
            return [found]
    raise BadInput("There is no editor here: set VISUAL or EDITOR to one.")


async def edited(app: App[int], text: str) -> str | None:
    """Let the person edit `text`; None where the editor failed. What streams in meanwhile is drawn afterwards.

    Raises BadInput where there is no editor, or where its file is no text afterwards.
    """
    words = editor_words()
    with tempfile.TemporaryDirectory(prefix="gemma-tui-") as folder:
        path = Path(folder) / "message.md"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        with app.batch_update(), app.suspend(), _interrupts_for_the_editor():
            process = await asyncio.create_subprocess_exec(*words, str(path))
            code = await process.wait()
        if code != 0:
            return None
        try:
            after = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise BadInput("The editor left no text in UTF-8 behind: the message is as it was.") from None
    # Editors end a file with a newline that nobody typed.
    return after.removesuffix("\n") if not text.endswith("\n") else after


@contextmanager
def _interrupts_for_the_editor() -> Iterator[None]:
    """Ctrl+C in the editor reaches this process too, as one of the terminal's foreground group."""
    kept = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)
