"""Pictures, clips and long texts dropped on the composer."""

import base64
import io
from pathlib import Path

from PIL import Image
from textual import events

from stubs.openai_server import OpenAIServer
from tui.pilots import attached, idle, ready, said, screen_text, until


async def test_dropped_files_become_chips_and_are_sent(server: OpenAIServer, picture: Path, clip: Path) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.composer.post_message(events.Paste(f"'{picture}' '{clip}'"))
        await until(pilot, lambda: [chip.part is not None for chip in app.main.chips.chips] == [True, True])
        await until(pilot, lambda: "64 × 32" in screen_text(app) and "1.0 s" in screen_text(app))
        shown = screen_text(app)
        assert "a red [square].png" in shown
        assert "64 × 32" in shown
        assert "1.0 s" in shown
        assert app.main.composer.text == ""
        await pilot.press(*"What is this?", "enter")
        await until(pilot, lambda: server.finished == 1)
        await idle(pilot)
        assert not app.main.chips.chips
        assert "a red [square].png" in screen_text(app)
    content = next(request for request in server.requests if request.path.endswith("completions")).json["messages"][-1][
        "content"
    ]
    assert [part["type"] for part in content] == ["image_url", "input_audio", "text"]
    header, data = content[0]["image_url"]["url"].split(",", 1)
    assert header.startswith("data:image/")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (64, 32)
    assert base64.b64decode(content[1]["input_audio"]["data"])[:4] == b"RIFF"


async def test_a_chip_is_removed_by_key_and_by_click(server: OpenAIServer, picture: Path, clip: Path) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.composer.post_message(events.Paste(f"'{picture}' '{clip}'"))
        await until(pilot, lambda: [chip.part is not None for chip in app.main.chips.chips] == [True, True])
        await pilot.press("backspace")
        await until(pilot, lambda: [chip.name for chip in app.main.chips.chips] == [picture.name])
        await until(pilot, lambda: "×" in screen_text(app) and "tone.wav" not in screen_text(app))
        row = screen_text(app).split("\n")[app.main.chips.region.y]
        await pilot.click(app.main.chips, offset=(row.index("×") - app.main.chips.region.x, 0))
        assert not app.main.chips.chips
        assert not app.main.chips.display or app.main.chips.region.height == 0


async def test_a_file_that_cannot_be_used_is_a_sentence_and_nothing_is_lost(
    server: OpenAIServer, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"my words")
        app.main.composer.post_message(events.Paste(str(broken)))
        await until(pilot, lambda: app.main.notice.message)
        assert "broken.png" in app.main.notice.message
        assert app.main.composer.text == "my words"
        assert not app.main.chips.chips
    assert not any(request.path.endswith("completions") for request in server.requests)


async def test_a_long_paste_is_a_chip_and_goes_along_whole(server: OpenAIServer) -> None:
    text = "\n".join(f"line {number} with [markup]" for number in range(20_000))
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.composer.post_message(events.Paste(text.replace("\n", "\r")))
        await until(pilot, lambda: app.main.chips.chips and "20,000 lines" in screen_text(app))
        await pilot.press(*"sum up", "enter")
        await until(pilot, lambda: server.finished == 1)
        await idle(pilot)
        assert said(app)[0][1].startswith("sum up")
    content = next(request for request in server.requests if request.path.endswith("completions")).json["messages"][-1][
        "content"
    ]
    assert content == text + "\n\nsum up"
