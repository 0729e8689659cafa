"""Writing a message: earlier ones, an editor, prompts, tokens, and attachments that are chosen, cut and played."""

import os
import threading
from pathlib import Path

import pytest
from textual import events

from gemma_backend.media.record import Recorder
from gemma_backend.session.typed import remember, typed
from gemma_backend.types import AudioPart, ImagePart, TextPart
from gemma_tui.tui.screens.clip import ClipScreen
from gemma_tui.tui.screens.fetch import FetchScreen
from gemma_tui.tui.screens.files import FilesScreen
from gemma_tui.tui.screens.picture import BudgetScreen
from gemma_tui.tui.screens.prompts import PromptsScreen, VariablesScreen
from gemma_tui.tui.screens.record import RecordScreen
from stubs.openai_server import OpenAIServer
from tui.pilots import attached, idle, ready, screen_text, until

LOUD = "#!/bin/sh\nwhile :; do head -c 1600 /dev/zero | tr '\\000' '\\100'; sleep 0.05; done\n"
COUNT = (200, {"content-type": "application/json"}, b'{"count": 7, "tokens": []}')


def budget_of(part: object) -> int | None:
    return part.soft_tokens if isinstance(part, ImagePart) else None


async def test_what_was_typed_is_there_in_the_next_run_and_undo_brings_the_draft_back(server: OpenAIServer) -> None:
    remember("from another run")
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await until(pilot, lambda: app.main.composer._history)
        app.main.composer.put("Hello")
        await pilot.press("enter")
        await idle(pilot)
        await until(pilot, lambda: typed() == ["from another run", "Hello"])
        await pilot.press(*"draft", "up", "up")
        assert app.main.composer.text == "from another run"
        await pilot.press("ctrl+underscore")
        assert app.main.composer.text == "Hello"
        await pilot.press("ctrl+underscore")
        assert app.main.composer.text == "draft"
    assert (Path(os.environ["GEMMA_TUI_STATE_DIR"]) / "typed.jsonl").stat().st_mode & 0o077 == 0


async def test_what_is_sent_before_earlier_runs_were_read_is_there_in_the_next_run_too(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember("from another run")
    may_read = threading.Event()
    monkeypatch.setattr("gemma_backend.session.typed.typed", lambda: may_read.wait(60) and typed())
    app = attached(server.url)
    async with app.run_test() as pilot:
        for text in ("one", "two"):
            app.main.composer.put(text)
            await pilot.press("enter")
            await until(pilot, lambda: not app.main.composer.text)
        assert typed() == ["from another run"]
        may_read.set()
        await until(pilot, lambda: typed() == ["from another run", "one", "two"])


async def test_without_a_history_nothing_that_was_typed_is_written(server: OpenAIServer) -> None:
    app = attached(server.url, no_history=True)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.composer.put("Hello")
        await pilot.press("enter")
        await idle(pilot)
        await pilot.press("up")
        assert app.main.composer.text == "Hello"
    assert typed() == []


async def test_tokens_are_counted_by_the_server_once_typing_pauses(server: OpenAIServer, picture: Path) -> None:
    server.answers["/tokenize"] = (405, {}, b"")
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        server.answers["/tokenize"] = COUNT
        await pilot.press(*"What is this?")
        await until(pilot, lambda: "7 tokens" in screen_text(app))
        asked = [request for request in server.requests if request.path == "/tokenize" and request.method == "POST"]
        assert len(asked) == 1
        assert asked[0].json["prompt"] == "What is this?"
        app.main.composer.post_message(events.Paste(str(picture)))
        # 64 by 32 pixels in 280 soft tokens: 23 by 11 squares and the two around them.
        await until(pilot, lambda: f"{7 + 23 * 11 + 2} tokens" in screen_text(app))
        assert len([r for r in server.requests if r.path == "/tokenize" and r.method == "POST"]) == 1
        app.main.composer.load_text("")
        app.main.chips.chips = ()
        await until(pilot, lambda: "tokens ·" not in screen_text(app))


async def test_a_server_that_counts_nothing_is_asked_nothing(server: OpenAIServer) -> None:
    server.answers["/tokenize"] = (404, {}, b"")
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"What?")
        await pilot.pause(1.0)
        assert "token" not in screen_text(app)
    assert not any(request.path == "/tokenize" and request.method == "POST" for request in server.requests)


async def test_a_prompt_from_the_library_is_inserted_with_its_variables(server: OpenAIServer) -> None:
    folder = Path(os.environ["GEMMA_TUI_CONFIG_DIR"]) / "prompts"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(
        'title = "Mine"\ntext = "Say {{what}} about {{text}}, {{how}}."\n[variables]\nhow = "kindly"\n'
    )
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.composer.put("/prompt mine what='two words'")
        await pilot.press("enter")
        await until(pilot, lambda: app.main.composer.text == "Say two words about , kindly.")
        # Where the text is to go stands the cursor.
        await pilot.press(*"it")
        assert app.main.composer.text == "Say two words about it, kindly."
        app.main.composer.put("/prompt mine")
        await pilot.press("escape", "enter")
        await until(pilot, lambda: isinstance(app.screen, VariablesScreen))
        await pilot.press(*"one", "enter")
        await until(pilot, lambda: app.main.composer.text == "Say one about , kindly.")
        app.main.composer.put("/prompt mien")
        await pilot.press("escape", "enter")
        await until(pilot, lambda: "did you mean mine?" in app.main.notice.message)
        app.main.composer.put("/prompt")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PromptsScreen) and "describe-picture" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.main.composer.text.startswith("Describe the picture"))


async def test_files_are_chosen_from_a_list(server: OpenAIServer, picture: Path, clip: Path) -> None:
    (picture.parent / "notes.txt").touch()
    (picture.parent / "below").mkdir()
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await app.push_screen(
            FilesScreen(picture.parent / "below"), lambda paths: app.main.attacher.add_files(paths or ())
        )
        await until(pilot, lambda: "no picture or clip" in screen_text(app) or ".." in screen_text(app))
        await pilot.press("left")
        await until(pilot, lambda: "tone.wav" in screen_text(app))
        shown = screen_text(app)
        assert "below/" in shown
        assert "notes.txt" not in shown
        await pilot.press("end", "space", "up", "enter")
        await until(pilot, lambda: app.screen is app.main)
        await until(pilot, lambda: sorted(chip.name for chip in app.main.chips.chips) == [picture.name, clip.name])


async def test_a_long_clip_is_cut_or_taken_in_pieces(server: OpenAIServer, long_clip: Path) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.composer.post_message(events.Paste(str(long_clip)))
        await until(pilot, lambda: "first 30 s of 1:20" in app.main.notice.message)
        app.main.chips.focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ClipScreen) and "0:00 to 0:30 of 1:20" in screen_text(app))
        await pilot.press("right", "right", "down", "enter")
        await until(pilot, lambda: app.screen is app.main)
        await until(
            pilot,
            lambda: app.main.chips.chips[0].part and app.main.chips.chips[0].note.endswith("0:02 to 0:31 of 1:20"),
        )
        app.main.chips.focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ClipScreen) and "of 1:20" in screen_text(app))
        await pilot.press("s")
        await until(pilot, lambda: "3 pieces" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: len(app.main.chips.chips) == 3 and all(chip.part for chip in app.main.chips.chips))
        clips = [chip.part for chip in app.main.chips.chips if isinstance(chip.part, AudioPart)]
        assert [part.name for part in clips] == [f"talk.wav ({n} of 3)" for n in (1, 2, 3)]
        # Cut in the silences, and nothing between the pieces.
        assert 26 <= clips[0].seconds <= 27
        assert abs(clips[0].start + clips[0].seconds - clips[1].start) < 0.01
        assert abs(clips[2].start + clips[2].seconds - 80) < 0.01


async def test_a_picture_gets_the_soft_tokens_that_were_chosen_for_it(server: OpenAIServer, picture: Path) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.composer.post_message(events.Paste(str(picture)))
        await until(pilot, lambda: app.main.chips.chips and app.main.chips.chips[0].part)
        app.main.chips.focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, BudgetScreen) and "own" in screen_text(app))
        await pilot.press("end", "enter")
        await until(
            pilot,
            lambda: (
                isinstance(app.main.chips.chips[0].part, ImagePart) and app.main.chips.chips[0].part.soft_tokens == 1120
            ),
        )
        app.main.composer.focus()
        app.main.composer.put("What is it?")
        await pilot.press("enter")
        await until(pilot, lambda: server.finished == 1)
        assert server.prompts[-1].json["mm_processor_kwargs"] == {"max_soft_tokens": 1120}
        await idle(pilot)
        app.main.composer.put("/budget 70")
        await pilot.press("escape", "enter")
        await until(pilot, lambda: app.main.attacher.budget == 70)


async def test_an_address_is_fetched_only_after_a_yes(server: OpenAIServer, picture: Path) -> None:
    server.answers["/cat.png"] = (200, {"content-type": "image/png"}, picture.read_bytes())
    url = f"{server.url}/cat.png"
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        for key, chips in (("enter", 0), ("up", 1)):
            app.main.composer.put(f"/image {url}")
            await pilot.press("escape", "enter")
            await until(pilot, lambda: isinstance(app.screen, FetchScreen) and url in screen_text(app))
            assert not any(request.path == "/cat.png" for request in server.requests)
            await pilot.press(*([key] if key == "enter" else [key, "enter"]))
            await until(pilot, lambda: app.screen is app.main)
            if chips:
                await until(pilot, lambda: app.main.chips.chips and app.main.chips.chips[0].part)
                assert app.main.chips.chips[0].name == "cat.png"
            await pilot.pause()
            assert len(app.main.chips.chips) == chips


async def test_a_recording_shows_its_level_and_becomes_a_chip(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "parecord").write_text(LOUD)
    (tmp_path / "parecord").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, RecordScreen) and "of 30 s" in screen_text(app))
        assert "████████" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.main.chips.chips and app.main.chips.chips[0].part)
        assert app.main.chips.chips[0].name == "recording 1"


async def test_a_machine_without_a_microphone_says_so(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(self: Recorder) -> None:
        from gemma_backend.types import BadInput

        raise BadInput("No microphone was found: plug one in.")

    monkeypatch.setattr(Recorder, "run", none)
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press("f8")
        await until(pilot, lambda: "No microphone" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.main)
        assert not app.main.chips.chips


async def test_a_pasted_text_goes_back_into_the_message(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        text = "\n".join(f"line {number}" for number in range(60))
        app.main.composer.post_message(events.Paste(text))
        await until(pilot, lambda: app.main.chips.chips and isinstance(app.main.chips.chips[0].part, TextPart))
        app.main.chips.focus()
        await pilot.press("enter")
        await until(pilot, lambda: app.main.composer.text == text)
        assert not app.main.chips.chips


async def test_more_attachments_than_a_message_takes(server: OpenAIServer, picture: Path) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.composer.post_message(events.Paste(" ".join([f"'{picture}'"] * 30)))
        await until(pilot, lambda: "takes 24 attachments" in app.main.notice.message)
        await until(pilot, lambda: len(app.main.chips.chips) == 24 and all(chip.part for chip in app.main.chips.chips))
