"""What is imported when: first paint, start and memory of the screen rest on it, and no test fails on a time."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tui.ptys import PtyProgram, close, terminal_env, token_server

# Writes what is imported at each moment; `ready` is once nothing more is imported by itself.
LAUNCHER = """
import os, sys

def note(moment):
    path = os.path.join(os.environ["MOMENTS"], moment)
    with open(path + ".part", "w") as file:
        file.write("\\n".join(list(sys.modules)))
    os.replace(path + ".part", path)

from gemma_tui.tui import start

run = start.run

def noting(make, **options):
    def made():
        note("paint")
        app = make()
        release = app.release_keys

        def released():
            release()
            note("typing")

        app.release_keys = released
        app.note = note
        return app

    return run(made, **options)

start.run = noting
from gemma_tui.cli.main import main
import signal
signal.signal(signal.SIGUSR1, lambda *_: note("now"))
raise SystemExit(main(sys.argv[1:]))
"""

# Nothing of these is needed to put a splash on the screen: the standard library's own heavy ones are among them.
NOT_FOR_PAINT = {
    "asyncio", "dataclasses", "httpx2", "inspect", "json", "logging", "msgspec", "numpy", "openai", "PIL", "pydantic",
    "rich", "socket", "ssl", "textual", "typing",
}  # fmt: skip
NOT_FOR_TYPING = {
    "email", "http", "httpx2", "markdown_it", "msgspec", "numpy", "openai", "PIL", "pydantic", "pygments", "soundfile",
    "sqlite3",
}  # fmt: skip
NEVER_BY_ITSELF = {"matplotlib", "numpy", "PIL", "scipy", "soundfile", "soxr", "textual_image", "torch", "vllm"}
OPENAI_MODULES = 200
"""The client has 540 with the types of all that is not used here, which are 9 MB."""


@pytest.fixture
def moments(tmp_path: Path) -> dict[str, set[str]]:
    folder = tmp_path / "moments"
    folder.mkdir()

    def seen(moment: str) -> set[str]:
        try:
            return set((folder / moment).read_text("utf-8").split("\n"))
        except FileNotFoundError:
            return set()

    with token_server() as url:
        program = PtyProgram(
            [sys.executable, "-c", LAUNCHER, "--url", url], terminal_env(MOMENTS=str(folder)), columns=120, rows=40
        )
        try:
            program.type("typed")
            program.until(lambda text: "typed" in text and "ready" in text)

            def settled(text: str) -> bool:
                os.kill(program.child.pid, signal.SIGUSR1)
                now = seen("now")
                # The last things that are imported ahead of need: the client, and what lays a reply out.
                return {"openai.resources.completions", "markdown_it", "pygments.lexers.shell"} <= now

            program.until(settled)
        finally:
            close(program.child)
    return {moment: seen(moment) for moment in ("paint", "typing", "now")}


def test_nothing_is_imported_before_it_is_needed(moments: dict[str, set[str]]) -> None:
    paint, typing, now = moments["paint"], moments["typing"], moments["now"]
    assert paint & NOT_FOR_PAINT == set()
    assert "gemma_tui.tui.start" in paint
    assert [name for name in paint if name.startswith("gemma_backend.")] == []
    # What a person types into is there, and nothing that only an answer needs.
    assert "textual.widgets._text_area" in typing
    assert typing & NOT_FOR_TYPING == set()
    assert "openai" in now
    assert now & NEVER_BY_ITSELF == set()
    assert sum(name.startswith("openai.") for name in now) < OPENAI_MODULES
