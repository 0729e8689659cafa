"""The engine's log on its screen: it follows what is written, filters, searches, and is reached from anywhere."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.screens.log import LogScreen
from stubs.openai_server import OpenAIServer
from tui.pilots import attached, ready, screen_text, until
from tui.test_snapshots import starting


def write(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


async def opened(pilot: Pilot[int], path: Path) -> LogScreen:
    screen = LogScreen(path)
    await pilot.app.push_screen(screen)
    await until(pilot, lambda: screen.pane.lines.entries)
    await pilot.pause()
    return screen


def shown(pilot: Pilot[int]) -> str:
    assert isinstance(pilot.app, GemmaApp)
    return screen_text(pilot.app)


async def test_it_follows_until_one_scrolls_up_and_again_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    write(path, *(f"line {number}" for number in range(100)))
    async with starting().run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, path)
        assert "line 99" in shown(pilot) and "following" in screen.standing()
        write(path, "line 100")
        await until(pilot, lambda: "line 100" in shown(pilot))
        await pilot.press("pageup")
        await until(pilot, lambda: "line 100" not in shown(pilot))
        top = shown(pilot).splitlines()[0]
        assert "paused" in screen.standing()
        write(path, "line 101")
        await until(pilot, lambda: len(screen.pane.lines.entries) == 102)
        await pilot.pause()
        assert shown(pilot).splitlines()[0] == top
        await pilot.press("end")
        await until(pilot, lambda: "line 101" in shown(pilot))
        write(path, "line 102")
        await until(pilot, lambda: "line 102" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LogScreen))


async def test_filter_search_level_and_wrap(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    head = "(EngineCore pid=22) {} 11-23 08:00:30 [core.py:1330] "
    write(path, *(head.format("INFO") + f"step {number}" for number in range(60)))
    write(path, head.format("ERROR") + "the needle " + "x" * 200, head.format("INFO") + "needle two")
    async with starting().run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, path)
        await pilot.press("slash", *"NEEDLE", "enter")
        assert "2 with “NEEDLE”" in screen.standing()
        first = screen.pane.found
        assert first == 60
        await pilot.press("n")
        assert screen.pane.found not in (None, first)
        await pilot.press("n")
        assert screen.pane.found == first
        await pilot.press("N")
        assert screen.pane.found != first
        rows = screen.pane.lines.rows
        await pilot.press("w")
        assert screen.pane.lines.rows == 62 < rows
        await pilot.press("right")
        await pilot.pause()
        assert "core" not in shown(pilot)
        await pilot.press("w", "l", "l")
        assert "errors only" in screen.standing() and screen.pane.lines.shown == 1
        await pilot.press("l", "f", *"step 5", "enter")
        assert screen.pane.lines.shown == 11
        assert "with “step 5”" in screen.standing()
        # The first Esc takes search and filter away, the second the screen.
        await pilot.press("escape")
        assert screen.pane.lines.shown == 62 and isinstance(pilot.app.screen, LogScreen)
        await pilot.press("f", *"nothing", "escape")
        assert screen.pane.lines.shown == 62
        await pilot.press("q")
        assert not isinstance(pilot.app.screen, LogScreen)


async def test_what_stands_in_a_log_reaches_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_bytes(b"\x1b]52;c;aGk=\x07 evil \xff\x9b2J [@click=app.quit]here[/]\n")
    async with starting().run_test(size=(80, 24)) as pilot:
        await opened(pilot, path)
        text = shown(pilot)
        assert "evil" in text and "[@click=app.quit]here[/]" in text
        assert not any(ord(character) < 32 and character != "\n" for character in text)


async def test_the_key_works_with_and_without_a_log() -> None:
    async with OpenAIServer() as server, attached(server.url).run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press(*"half a message", "f4")
        await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen))
        await pilot.pause()
        assert "This server runs elsewhere, and so does its log." in shown(pilot)
        await pilot.press("f4")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LogScreen))
        assert "half a message" in shown(pilot)


async def test_the_keys_that_ask_are_letters_in_what_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    write(path, "a/f")
    async with starting().run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, path)
        await pilot.press("slash", "slash", "f")
        await pilot.pause(0.5)
        assert screen.answer.value == "/f"
