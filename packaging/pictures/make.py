"""Makes the pictures in docs/images from the real program, on the pocket checkpoint or on any endpoint.

    PYTHONPATH=packaging python -m pictures.make [--url http://host:8000/v1] [--out docs/images]

The program runs without a terminal; what is drawn is exactly what a terminal of the given size would show.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Callable
from pathlib import Path

from textual import events
from textual.pilot import Pilot

from gemma_assets import path as asset
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Wanted

ROOT = Path(__file__).resolve().parents[2]
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
    path.write_text(picture.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")
    print(path)


async def make(wanted: Wanted, out: Path) -> None:
    """Run the program once through what it can do."""
    app = GemmaApp(wanted)
    main = app.main
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: len(main.start_view.phases) >= 3 or app.state == "ready")
        save(app, out / "start.svg")
        await until(pilot, lambda: app.state == "ready")

        async def say(text: str) -> None:
            main.composer.put(text)
            await pilot.press("enter")
            await until(pilot, lambda: main.conversation.answering)
            await until(pilot, lambda: not main.conversation.answering and not main.conversation.waiting)

        async def drop(path: Path) -> None:
            main.composer.post_message(events.Paste(str(path)))
            await until(pilot, lambda: main.chips.chips and main.chips.chips[0].part)

        await say("What can you do?")
        await drop(asset("samples", "scene.png"))
        await say("What is in the picture?")
        await drop(asset("samples", "words.wav"))
        await say("What do you hear?")
        await drop(asset("samples", "scene.png"))
        await pilot.press(*"And where is the star?")
        # The dashboard's courses are worth a look once they have some length.
        for _ in range(12):
            await pilot.pause(1.0)
        save(app, out / "chat.svg")
        app.theme = "gemma-light"
        await pilot.pause(0.5)
        save(app, out / "chat-light.svg")
        app.theme = "gemma-dark"

        await pilot.press("f2")
        main.pad.put("Once upon a time")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: main.conversation.answering)
        await until(pilot, lambda: not main.conversation.answering)
        await pilot.pause(0.5)
        save(app, out / "completion.svg")
        await app.quit_now()
        await until(pilot, lambda: app._exit)


def run() -> int:
    """Make every picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="an endpoint to use instead of the pocket checkpoint")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    wanted = Wanted(url=args.url, no_history=True) if args.url else Wanted(profile="pocket", no_history=True)
    asyncio.run(make(wanted, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(run())
