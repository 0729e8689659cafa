"""The screens of the real program as SVG: exactly what a terminal of the given size would show, without a terminal."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from textual import events
from textual.pilot import Pilot

from gemma_assets import path as asset
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Wanted, open_session
from gemma_tui.tui.screens.history import HistoryScreen
from gemma_tui.tui.screens.setup import SetUpScreen
from pictures.stage import ME

SIZE = (120, 36)
PATIENCE_SECONDS = 900


async def until(pilot: Pilot[int], true: Callable[[], object]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():
            await pilot.pause(0.05)


def save(app: GemmaApp, path: Path) -> None:
    """Write what is on screen as an SVG that fetches nothing: the font is whatever monospace the reader has."""
    picture = re.sub(r"@font-face\s*{[^}]*}", "", app.export_screenshot(title="gemma-tui"))
    home = str(Path.home())
    picture = re.sub(f">([^<]*){re.escape(home)}([^<]*)<", partial(_elsewhere, home), picture)
    path.write_text(picture.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")
    print(path)


def _elsewhere(home: str, found: re.Match[str]) -> str:
    """A text with the home folder that it would name on anybody's machine, as long as before."""
    return f">{found[1]}{ME}{found[2]}{'&#160;' * (len(home) - len(ME))}<"


async def set_up(out: Path) -> None:
    """What the very first start shows, where nothing is installed."""
    before = os.environ["GEMMA_TUI_DATA_DIR"]
    os.environ["GEMMA_TUI_DATA_DIR"] = str(Path.home() / ".local" / "share" / "gemma-tui")
    try:
        app = GemmaApp(Wanted())
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: isinstance(app.screen, SetUpScreen) and "Disk" in app.screen._found)
            await pilot.pause(0.5)
            save(app, out / "setup.svg")
            app.theme = "gemma-light"
            await pilot.pause(1.0)
            save(app, out / "setup-light.svg")
            await pilot.press("escape")
    finally:
        os.environ["GEMMA_TUI_DATA_DIR"] = before


async def talk(wanted: Wanted, out: Path) -> None:
    """Run the program once through what it can do; the engine stays for the pictures that come after."""
    app = GemmaApp(wanted, opener=open_session)
    main = app.main
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: len(main.start_view.phases) >= 3 or app.state == "ready")
        save(app, out / "start.svg")
        await until(pilot, lambda: app.state == "ready")
        await _chat(app, pilot, out)
        await _studio(app, pilot, out)
        await app.quit_now()
        await until(pilot, lambda: app._exit)


async def _chat(app: GemmaApp, pilot: Pilot[int], out: Path) -> None:
    main = app.main

    async def say(text: str) -> None:
        before = len(main.transcript.document.turns)
        main.composer.put(text)
        await pilot.press("enter")
        await until(pilot, lambda: len(main.transcript.document.turns) >= before + 2)
        await until(pilot, lambda: not main.conversation.answering and not main.conversation.waiting)

    async def drop(*names: str) -> None:
        for count, name in enumerate(names, 1):
            main.composer.post_message(events.Paste(str(asset("samples", name))))
            await until(pilot, lambda count=count: len(main.chips.chips) == count and main.chips.chips[-1].part)

    await say("What can you do?")
    await drop("scene.png")
    await say("What is in the picture?")
    await drop("words.wav")
    await say("What do you hear?")
    await drop("scene.png", "words.wav")
    await pilot.press(*"And where is the star?")
    await pilot.pause(0.5)
    save(app, out / "attachments.svg")
    main.composer.clear()
    await pilot.press("backspace", "backspace")
    await until(pilot, lambda: not main.chips.chips)
    await say("Tell me a story.")
    # The dashboard's courses are worth a look once they have some length.
    await pilot.pause(12.0)
    save(app, out / "chat.svg")
    for key, name in (("alt+s", "figures"), ("f4", "log"), ("f1", "help")):
        await pilot.press(key)
        await pilot.pause(2.5)
        save(app, out / f"{name}.svg")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is main)
    await pilot.press("ctrl+n")
    await say("Hello!")
    await pilot.press("f6")
    await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and len(app.screen.found.items) == 2)
    await pilot.pause(0.5)
    save(app, out / "history.svg")
    await pilot.press("escape")
    await until(pilot, lambda: app.screen is main)


async def _studio(app: GemmaApp, pilot: Pilot[int], out: Path) -> None:
    await pilot.press("f2")
    await until(pilot, lambda: app.main.studio is not None)
    room = app.main.studio
    assert room is not None

    async def idle() -> None:
        await until(pilot, lambda: not room.studio.document.growing and not app.main.conversation.answering)
        await pilot.pause(0.5)

    room.pad.put("Once upon a time")
    await pilot.press("ctrl+g")
    await until(pilot, lambda: len(room.studio.document.text) > len("Once upon a time"))
    await idle()
    save(app, out / "completion.svg")
    await pilot.press("f6", *["left"] * 12)
    await pilot.pause(1.0)
    save(app, out / "tokens.svg")
    await pilot.press("escape", "f9", "f7")
    await pilot.pause(1.0)
    await idle()
    await pilot.pause(3.0)
    save(app, out / "alternatives.svg")
    await pilot.press("escape", "escape")


def take(wanted: Wanted, out: Path) -> None:
    """Make every picture of a screen."""
    asyncio.run(set_up(out))
    asyncio.run(talk(wanted, out))
