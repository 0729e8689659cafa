"""Makes the pictures in docs/images from the real program, on the pocket checkpoint or on any endpoint.

    python packaging/pictures/make.py [--url http://host:8000/v1] [--out docs/images]

The program runs without a terminal; what is drawn is exactly what a terminal of the given size would show.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw
from textual import events
from textual.pilot import Pilot

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
    """Write what is on screen as an SVG."""
    path.write_text(app.export_screenshot(title="gemma-tui"), encoding="utf-8")
    print(path)


def draw_picture(path: Path) -> None:
    """A red ball on a green field under a blue sky: something a small model can say something about."""
    image = Image.new("RGB", (320, 240), "#7db7f0")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 160, 320, 240), fill="#4f9d45")
    draw.ellipse((110, 90, 210, 190), fill="#d8343a")
    image.save(path)


def play_tone(path: Path) -> None:
    """Two seconds of a tone that swells and fades."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        for index in range(32_000):
            loudness = math.sin(math.pi * index / 32_000) * (0.6 + 0.4 * math.sin(index / 900))
            file.writeframesraw(int(12_000 * loudness * math.sin(index / 6)).to_bytes(2, "little", signed=True))


async def make(wanted: Wanted, out: Path, prompt: str) -> None:
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

        with tempfile.TemporaryDirectory() as folder:
            picture, clip = Path(folder) / "ball.png", Path(folder) / "tone.wav"
            draw_picture(picture)
            play_tone(clip)
            await say(prompt)
            main.composer.post_message(events.Paste(str(picture)))
            await until(pilot, lambda: main.chips.chips and main.chips.chips[0].part)
            await say("What is in the picture?")
            main.composer.post_message(events.Paste(str(clip)))
            await until(pilot, lambda: main.chips.chips and main.chips.chips[0].part)
            await pilot.press(*"And what do you hear?")
        # The dashboard's courses are worth a look once they have some length.
        for _ in range(12):
            await pilot.pause(1.0)
        save(app, out / "chat.svg")
        app.theme = "gemma-light"
        await pilot.pause(0.5)
        save(app, out / "chat-light.svg")
        app.theme = "gemma-dark"

        await pilot.press("f2")
        main.pad.put(prompt)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: main.conversation.answering)
        await until(pilot, lambda: not main.conversation.answering)
        await pilot.pause(0.5)
        save(app, out / "completion.svg")
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit)


def run() -> int:
    """Make every picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="an endpoint to use instead of the pocket checkpoint")
    parser.add_argument("--prompt", default="Once upon a time", help="what to begin with")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    wanted = Wanted(url=args.url) if args.url else Wanted(profile="pocket")
    asyncio.run(make(wanted, args.out, args.prompt))
    return 0


if __name__ == "__main__":
    sys.exit(run())
