"""What else the studio does: controls, presets, perplexity, few-shot, the request, files, documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from textual import events

from gemma_assets import path as asset
from gemma_backend.config.presets import list_presets, load_preset
from gemma_tui.tui.screens.studio_controls import ControlsScreen
from gemma_tui.tui.screens.studio_few_shot import FewShotScreen
from gemma_tui.tui.screens.studio_menu import MenuScreen
from gemma_tui.tui.screens.studio_request import RequestScreen
from stubs.completion_server import CompletionServer, perplexity_of
from stubs.openai_server import Reply
from tui.pilots import until
from tui.studio_pilots import go_on, shown, studio_on


async def test_controls_are_changed_typed_and_sent() -> None:
    async with CompletionServer() as server, studio_on(server, "a") as (pilot, _room):
        await pilot.press("alt+c")
        assert isinstance(pilot.app.screen, ControlsScreen)
        await pilot.press("down", "down", "left", "left", "down", "enter", *"0.9", "enter")
        await pilot.press(*["down"] * 4, "enter", *'"\\n" "END"', "enter")
        await pilot.press(*["down"] * 6, "right", "escape")
        assert "temperature 0.8 · top-p 0.9 · stop " in shown(pilot)
        assert "no BOS" in shown(pilot)
        assert "<bos>" not in shown(pilot)
        await go_on(pilot, "ctrl+g")
        sent = server.prompts[-1].json
        assert (sent["temperature"], sent["top_p"], sent["stop"]) == (0.8, 0.9, ["\n", "END"])
        assert sent["add_special_tokens"] is False


async def test_a_value_that_cannot_be_is_refused_in_words_and_the_line_stays() -> None:
    async with CompletionServer() as server, studio_on(server) as (pilot, room):
        await pilot.press("alt+c", *["down"] * 3, "5", "enter")
        assert "less than or equal to 1" in shown(pilot)
        await pilot.press("backspace", *"x", "enter")
        assert "is a number" in shown(pilot)
        await pilot.press("escape")
        assert room.studio.controls.top_p is None
        await pilot.press("delete", "escape")
        assert not isinstance(pilot.app.screen, ControlsScreen)


async def test_presets_are_taken_saved_and_deleted() -> None:
    async with CompletionServer() as server, studio_on(server) as (pilot, room):
        names = [preset.name for preset in list_presets()[0]]
        await pilot.press("alt+c", "right")
        following = names[(names.index("default") + 1) % len(names)]
        assert room.preset == following
        assert room.studio.controls == load_preset(following).controls
        await pilot.press("down", "down", *"1.5", "enter")
        assert room.preset == ""
        await pilot.press("ctrl+s", *"Wild!", "enter")
        assert "small letters" in shown(pilot)
        await pilot.press(*["backspace"] * 5, *"wild", "enter")
        assert room.preset == "wild"
        assert load_preset("wild").controls.temperature == 1.5
        await pilot.press("up", "up")
        assert "Ctrl+D deletes it" in shown(pilot)
        await pilot.press("ctrl+d")
        assert "wild" not in [preset.name for preset in list_presets()[0]]
        assert room.studio.controls.temperature == 1.5


async def test_the_settings_name_the_preset_to_begin_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_COMPLETION_PRESET", "greedy")
    async with CompletionServer() as server, studio_on(server) as (pilot, room):
        assert (room.preset, room.studio.controls.temperature) == ("greedy", 0)
    monkeypatch.setenv("GEMMA_TUI_COMPLETION_PRESET", "greeedy")
    async with CompletionServer() as server, studio_on(server) as (pilot, room):
        assert "did you mean 'greedy'?" in " ".join(shown(pilot).split())


@pytest.mark.parametrize("dialect", ["vllm", "sglang"])
async def test_the_perplexity_of_a_pasted_text_and_its_heat_map(dialect: str) -> None:
    text = "the quick brown fox jumps"
    async with CompletionServer(dialect=dialect) as server, studio_on(server) as (pilot, room):
        room.pad.post_message(events.Paste(text))
        await until(pilot, lambda: room.pad.text == text)
        await pilot.press("alt+m")
        assert isinstance(pilot.app.screen, MenuScreen)
        await pilot.press(*["down"] * 4)
        await go_on(pilot, "enter")
        await until(pilot, lambda: room.surprise is not None)
        await pilot.pause()
        assert f"perplexity {perplexity_of(text):,.2f}" in shown(pilot)
        assert "Perplexity" in room.notice.message
        assert len(room.studio.document.tokens) == 6
        await pilot.press("escape", "x")
        assert room.pad.border_title == "completion"


async def test_a_server_that_cannot_score_greys_it_out() -> None:
    async with CompletionServer(dialect="llamacpp") as server, studio_on(server, "a b") as (pilot, _room):
        await pilot.press("alt+m")
        lines = shown(pilot).splitlines()
        assert any("Perplexity" in line and "not here" in line for line in lines)
        assert any("BOS" in line and "not here" in line for line in lines)
        await pilot.press("escape", "alt+c")
        assert shown(pilot).count("not offered by this server") == 2


async def test_what_a_strict_server_refuses_is_told_and_greyed() -> None:
    async with CompletionServer(dialect="strict") as server, studio_on(server, "a") as (pilot, room):
        await pilot.press("alt+c", *["down"] * 4, "right", "escape")
        await go_on(pilot, "ctrl+g")
        assert room.pad.text.startswith("a one")
        assert "does not offer top-k" in shown(pilot)
        assert "Unrecognized request argument supplied: top_k" in " ".join(shown(pilot).split())
        await pilot.press("alt+c")
        assert "not offered by this server" in shown(pilot)


async def test_a_few_shot_prompt_takes_the_place_of_the_text_and_stops_where_its_answer_ends() -> None:
    async with CompletionServer() as server, studio_on(server, "old") as (pilot, room):
        await pilot.press("alt+m", *["down"] * 6, "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, FewShotScreen))
        await pilot.press("tab", *"mint")
        assert "English: mint" in shown(pilot)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: room.pad.text.endswith("English: mint\nFrench:"))
        assert room.studio.controls.stop == ("\n",)
        await pilot.press("ctrl+z")
        assert room.pad.text == "old"


async def test_the_request_can_be_looked_at_copied_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMMA_TUI_API_KEY", "sesame")
    async with CompletionServer(key="sesame") as server, studio_on(server, " a 'b'") as (pilot, _room):
        await pilot.press("alt+m", *["down"] * 7, "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RequestScreen))
        assert "curl" in shown(pilot)
        await pilot.press("c")
        copied = pilot.app.clipboard
        assert json.loads(copied.splitlines()[-2])["prompt"] == " a 'b'"
        assert "sesame" not in copied
        assert "$OPENAI_API_KEY" in copied
        await pilot.press("tab")
        assert "from openai import OpenAI" in shown(pilot)
        await pilot.press("w", "w")
    assert sorted(file.name for file in tmp_path.glob("completion*")) == ["completion-2.py", "completion.py"]
    assert "sesame" not in (tmp_path / "completion.py").read_text()


async def test_a_dropped_picture_becomes_its_placeholder_and_goes_along(tmp_path: Path) -> None:
    picture = tmp_path / "a cat.png"
    Image.new("RGB", (64, 48), (200, 30, 30)).save(picture)
    async with (
        CompletionServer(trusts_templates=True, reply=Reply(" a square.")) as server,
        studio_on(server, "It is ") as (pilot, room),
    ):
        room.pad.post_message(events.Paste(f"'{picture}'"))
        await until(pilot, lambda: room.studio.document.marks)
        assert room.pad.text == "It is <|image|>"
        await until(pilot, lambda: "1. a cat.png" in shown(pilot))
        room.pad.post_message(events.Paste(str(asset("samples", "words.wav"))))
        await until(pilot, lambda: len(room.studio.document.marks) == 2)
        await go_on(pilot, "ctrl+g")
        assert room.pad.text == "It is <|image|><|audio|> a square."
        content = server.prompts[-1].json["messages"][0]["content"]
        assert [part["type"] for part in content] == ["text", "image_url", "input_audio"]
        await pilot.press("ctrl+z", "ctrl+z")
        assert room.pad.text == f"It is <|image|>{asset('samples', 'words.wav')}"


async def test_a_file_that_cannot_be_used_leaves_the_text_as_it_was_pasted(tmp_path: Path) -> None:
    broken = tmp_path / "x.png"
    broken.write_bytes(b"no picture")
    async with CompletionServer() as server, studio_on(server) as (pilot, room):
        room.pad.post_message(events.Paste(str(broken)))
        await until(pilot, lambda: room.notice.message)
        assert room.pad.text == str(broken)


async def test_documents_are_kept_and_can_be_opened_again() -> None:
    async with CompletionServer() as server:
        async with studio_on(server, "first ") as (pilot, room):
            await go_on(pilot, "ctrl+g")
            await until(pilot, lambda: room.history is not None)
            await pilot.press("ctrl+n")
            assert room.pad.text == ""
            await pilot.press(*"second")
        async with studio_on(server) as (pilot, room):
            await until(pilot, lambda: room.history is not None)
            await pilot.press("alt+m", *["down"] * 12, "enter")
            await until(pilot, lambda: "second" in shown(pilot) and "Saved documents" in shown(pilot))
            await pilot.press("down", "enter")
            await until(pilot, lambda: room.pad.text == "first  one two three.")
            assert room.studio.document.offered is not None
            assert room.pad.has_focus


async def test_every_tool_is_in_the_palette_while_completion_is_on() -> None:
    async with CompletionServer() as server, studio_on(server) as (pilot, _room):
        app = pilot.app
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Perplexity", "Few-shot prompt", "The request as a program", "Alternatives"} <= titles
        await pilot.press("f2")
        assert "Perplexity" not in {command.title for command in app.get_system_commands(app.screen)}


@pytest.mark.parametrize("colours", [True, False])
async def test_what_was_generated_is_told_by_its_letters_where_there_are_no_colours(
    colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    async with CompletionServer(texts=[" of old."]) as server, studio_on(server, "once") as (pilot, _):
        pilot.app.theme = "gemma-high-light" if colours else "gemma-dark"
        await go_on(pilot, "ctrl+g", "f8")
        styles = {
            segment.text.strip(): segment.style
            for strip in pilot.app.screen._compositor.render_strips()
            for segment in strip
            if segment.text.strip() in ("once", "of old.") and segment.style is not None
        }
        assert styles["of old."].italic and not styles["once"].italic
