"""Long turns that are folded, reasoning, links and code: by key, by click, and what of them is kept and sent."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from gemma_backend.store.exports.files import Form, exported
from gemma_backend.store.history import History
from gemma_tui.tui import opening_links
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.screens.link import LinkScreen, LinksScreen
from stubs.openai_server import OpenAIServer, Reply
from tui.pilots import attached, idle, ready, screen_rows, screen_text, until

THOUGHT = "First I think of this.\nThen of that.\nSo I know."
LONG = "A beginning.\n\n" + "\n\n".join(f"Paragraph {number} of it." for number in range(40)) + "\n\nThe very end."
LINKS = "Read [the page](https://example.org/a?b=1) or https://example.org/second and this:\n\n```python\nx = 1\n```\n"


async def ask(pilot: Pilot[int], text: str = "hello") -> None:
    await ready(pilot)
    await pilot.press(*text, "enter")
    await idle(pilot)
    await until(pilot, lambda: len(pilot.app.main.transcript.document.turns) >= 2)  # type: ignore[attr-defined]
    await pilot.pause()


async def click_on(pilot: Pilot[int], words: str) -> None:
    app = pilot.app
    assert isinstance(app, GemmaApp)
    for y, row in enumerate(screen_rows(app)):
        if words in row:
            await pilot.click(offset=(row.index(words) + 1, y))
            await pilot.pause()
            return
    raise AssertionError(screen_text(app))


async def test_a_long_turn_is_folded_with_a_key_and_opened_with_a_click(server: OpenAIServer) -> None:
    server.reply = Reply(LONG)
    app = attached(server.url)
    async with app.run_test(size=(90, 30)) as pilot:
        await ask(pilot)
        await pilot.press("f7", "space")
        await until(pilot, lambda: "more lines" in screen_text(app))
        assert "A beginning." in screen_text(app) and "The very end." not in screen_text(app)
        record = app.main.transcript.document.turns[-1]
        hidden = len(LONG.split("\n")) - len(LONG.removesuffix(record.hidden).split("\n"))
        assert f"{hidden} more lines" in screen_text(app) or f"{hidden + 1} more lines" in screen_text(app)
        # Folded it is still whole for whoever copies it, also in one selection over all of it.
        await pilot.press("c")
        assert app.clipboard == LONG
        app.main.transcript.select_all()
        assert LONG in (app.screen.get_selected_text() or "")
        # The state outlives another size, and being out of view.
        await pilot.resize_terminal(60, 24)
        await until(pilot, lambda: "more lines" in screen_text(app))
        await click_on(pilot, "more lines")
        await until(pilot, lambda: "more lines" not in screen_text(app))
        # Reading goes on where it was, though the end was followed before.
        assert "A beginning." in screen_text(app) and "The very end." not in screen_text(app)
        await pilot.press("escape", "ctrl+end")
        await until(pilot, lambda: "The very end." in screen_text(app))


async def test_all_long_turns_are_folded_and_opened_at_once(server: OpenAIServer) -> None:
    server.reply = Reply(LONG)
    app = attached(server.url)
    async with app.run_test(size=(90, 40)) as pilot:
        await ask(pilot)
        await ask(pilot, "again")
        await pilot.press("alt+z")
        await until(pilot, lambda: screen_text(app).count("more lines") == 2)
        await pilot.press("alt+z")
        await until(pilot, lambda: "more lines" not in screen_text(app))


async def test_what_comes_into_a_folded_turn_is_counted(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test(size=(90, 40)) as pilot:
        await ask(pilot)
        transcript = app.main.transcript
        turn = transcript.add_turn("assistant")
        transcript.append(turn, LONG)
        assert transcript.fold(turn, True)
        before = transcript.document.find(turn).hidden
        transcript.append(turn, "\n\nMore of it.")
        transcript.finish(turn)
        record = transcript.document.find(turn)
        assert record.hidden == before + "\n\nMore of it." and record.text == LONG + "\n\nMore of it."
        await pilot.pause()
        drawn = [turn.at(index).lines for turn in transcript.document.turns for index in range(len(turn))]
        assert transcript.window.total == sum(len(lines or ()) for lines in drawn)


async def test_reasoning_stands_apart_folds_and_is_kept(server: OpenAIServer, tmp_path: Path) -> None:
    server.reply = Reply("The answer.", reasoning=THOUGHT)
    app = attached(server.url)
    async with app.run_test(size=(90, 30)) as pilot:
        await ask(pilot)
        assert "▸ Reasoning · 3 lines" in screen_text(app) and "Then of that." not in screen_text(app)
        await click_on(pilot, "Reasoning")
        await until(pilot, lambda: "│ Then of that." in screen_text(app))
        await pilot.press("f7", "t")
        await until(pilot, lambda: "Then of that." not in screen_text(app))
        # Copying the reply gives the reply.
        await pilot.press("c")
        assert app.clipboard == "The answer."
        await pilot.press("escape")
        await ask(pilot, "more")
        # The model never gets its own reasoning back.
        assert THOUGHT.split("\n")[0] not in server.prompts[-1].body.decode()
        talk = app.main.talk
        assert talk is not None and talk.number is not None
        number = talk.number
    history = History()
    try:
        stored = history.load(number)
        assert [node.reasoning for node in stored.nodes if node.role == "assistant"] == [THOUGHT, THOUGHT]
        forms: tuple[Form, ...] = ("markdown", "html")
        for form in forms:
            assert "Then of that." in exported(history, [stored], form, None)
        assert "Then of that." not in exported(history, [stored], "jsonl", None)
    finally:
        history.close()


async def test_a_link_is_opened_only_after_its_address_was_shown(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(opening_links, "can_open", lambda url: True)
    monkeypatch.setattr(opening_links, "open_address", lambda url: opened.append(url) or True)
    server.reply = Reply(LINKS)
    app = attached(server.url)
    async with app.run_test(size=(90, 30)) as pilot:
        await ask(pilot)
        await click_on(pilot, "the page")
        await until(pilot, lambda: isinstance(app.screen, LinkScreen))
        assert "https://example.org/a?b=1" in screen_text(app) and not opened
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.main)
        assert not opened
        # By keys alone: which of the two, then whether.
        await pilot.press("alt+o")
        await until(pilot, lambda: isinstance(app.screen, LinksScreen))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, LinkScreen))
        await pilot.press("enter")
        await until(pilot, lambda: opened == ["https://example.org/a?b=1"])


async def test_where_nothing_opens_it_an_address_is_copied(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    server.reply = Reply("See https://example.org/only .")
    app = attached(server.url)
    async with app.run_test(size=(90, 30)) as pilot:
        await ask(pilot)
        await pilot.press("alt+o")
        await until(pilot, lambda: isinstance(app.screen, LinkScreen))
        assert "No program here opens it." in screen_text(app)
        await pilot.press("c")
        await until(pilot, lambda: app.clipboard == "https://example.org/only")


def test_only_addresses_of_the_web_and_of_mail_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "told"
    program = tmp_path / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" > {told}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    desktop = {"DISPLAY": ":0"}
    assert not opening_links.open_address("file:///etc/passwd", desktop)
    assert not opening_links.open_address("javascript:alert(1)", desktop)
    assert not opening_links.open_address("https://example.org", {})
    assert opening_links.open_address("https://example.org/x y", desktop)


async def test_code_is_copied_with_a_key_and_with_a_click(server: OpenAIServer) -> None:
    server.reply = Reply(LINKS)
    app = attached(server.url)
    async with app.run_test(size=(90, 30)) as pilot:
        await ask(pilot)
        await pilot.press("alt+y")
        await until(pilot, lambda: app.clipboard == "x = 1")
        app.copy_to_clipboard("")
        await click_on(pilot, "copy ")
        await until(pilot, lambda: app.clipboard == "x = 1")
