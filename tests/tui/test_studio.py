"""The completion studio by keyboard: write, keep, drop, tokens, alternatives."""

from __future__ import annotations

import pytest

from stubs.completion_server import CompletionServer
from stubs.openai_server import OpenAIServer, Reply
from tui.pilots import idle, until
from tui.studio_pilots import go_on, shown, studio_on


async def test_generated_text_is_kept_dropped_and_taken_back_step_by_step() -> None:
    async with CompletionServer() as server, studio_on(server, "a") as (pilot, room):
        await go_on(pilot, "ctrl+g")
        assert room.pad.text == "a one two three."
        assert "F8 keeps · F9 drops" in shown(pilot)
        await pilot.press("f9")
        assert room.pad.text == "a"
        await pilot.press("ctrl+z")
        assert room.pad.text == "a one two three."
        await pilot.press("f8")
        assert room.studio.document.offered is None
        assert "F8 keeps" not in shown(pilot)
        await pilot.press("ctrl+z", "ctrl+z")
        assert room.pad.text == "a"
        await pilot.press("ctrl+y")
        assert room.pad.text == "a one two three."
        assert room.studio.document.offered is not None


async def test_with_the_cursor_in_it_part_of_it_is_kept() -> None:
    async with CompletionServer() as server, studio_on(server, "a") as (pilot, room):
        await go_on(pilot, "ctrl+g")
        await pilot.press("ctrl+left", "ctrl+left")
        assert "F8 keeps to the cursor" in shown(pilot)
        await pilot.press("f8")
        assert room.pad.text == "a one two "
        await pilot.press("ctrl+z", "ctrl+left", "ctrl+left", "f9")
        assert (room.pad.text, room.studio.document.offered is not None) == ("a one two ", True)
        await pilot.press("ctrl+z", "alt+w")
        assert [span.origin for span in room.studio.document.spans] == ["generated", "offered"]


async def test_a_reply_that_is_cut_off_says_so() -> None:
    async with OpenAIServer(reply=Reply(" one two three")) as server, studio_on(server, "a") as (pilot, room):
        await pilot.press("alt+c", "down", "enter")
        await pilot.press(*["backspace"] * 3, "2", "enter", "escape")
        await go_on(pilot, "ctrl+g")
        assert room.pad.text == "a one two"
        assert "cut at the limit · F8 keeps" in shown(pilot)


async def test_another_token_is_chosen_by_keys_alone_and_the_model_goes_on_from_there() -> None:
    async with CompletionServer() as server, studio_on(server, "a") as (pilot, room):
        await go_on(pilot, "ctrl+g")
        await pilot.press("f6")
        assert "token 3 of 3" in shown(pilot)
        assert '" three."' in room.panel.words()
        await pilot.press("left")
        assert '" two"' in room.panel.words()
        place = room.studio.document.tokens[1]
        assert f"logprob {place.token.logprob:.2f}" in room.panel.words()
        await go_on(pilot, "down", "enter")
        assert room.pad.text == "a one other1 one two three."
        assert server.prompts[-1].json["prompt"] == "a one other1"
        await pilot.press("escape")
        assert room.pad.has_focus
        await pilot.press("ctrl+z", "ctrl+z")
        assert room.pad.text == "a one two three."


async def test_a_click_and_a_number_choose_a_token_too() -> None:
    async with CompletionServer() as server, studio_on(server, "a") as (pilot, room):
        await go_on(pilot, "ctrl+g")
        await pilot.press("f6", "home")
        await go_on(pilot, "3")
        assert room.pad.text.startswith("a other2 one")
        await pilot.press("end", "j", "space")
        assert room.pad.text == "a other2 one two other1"


async def test_without_probabilities_the_panel_says_how_to_get_some() -> None:
    async with CompletionServer(dialect="ignoring") as server, studio_on(server, "a") as (pilot, _room):
        await go_on(pilot, "ctrl+g")
        assert "does not offer probabilities" in shown(pilot)
        await pilot.press("f6")
        assert "No probabilities are known yet" in shown(pilot)
        await pilot.press("escape", "alt+c", *["down"] * 11)
        assert "not offered by this server" in shown(pilot)
        assert "Not offered:" in shown(pilot)


async def test_alternatives_stand_side_by_side_and_one_is_taken() -> None:
    async with CompletionServer() as server, studio_on(server, "a") as (pilot, room):
        await go_on(pilot, "f7")
        words = room.columns.words()
        assert all(text.strip(" .") in words for text in server.texts[:3])
        assert "3 tokens · ppl" in words
        await pilot.press("right", "enter")
        assert room.pad.text == "a four five."
        assert room.pad.has_focus
        await pilot.press("f7")
        assert "in the text" in room.columns.words()
        assert len(server.prompts) == 1
        await pilot.press("3")
        assert room.pad.text == "a six seven eight."
        await pilot.press("x", "f7")
        await until(pilot, lambda: len(server.prompts) == 2)
        await go_on(pilot, "escape")
        await pilot.press("ctrl+z", "ctrl+z", "ctrl+z")
        assert room.pad.text == "a"


async def test_alternatives_can_be_stopped_and_taken_half_written() -> None:
    async with (
        CompletionServer(texts=[" w" * 5000, " v" * 5000, " u" * 5000], rate=50) as server,
        studio_on(server, "a") as (pilot, room),
    ):
        await pilot.press("f7")
        await until(pilot, lambda: " v v" in (room.studio.choices.choices[1].text if room.studio.choices else ""))
        await pilot.press("escape")
        await until(pilot, lambda: server.running == 0)
        await idle(pilot)
        assert room.columns.has_class("-open")
        await pilot.press("2")
        assert room.pad.text.startswith("a v v")
        await pilot.press("ctrl+z", "f7", "r")
        await until(pilot, lambda: server.running == 1)
        await until(pilot, lambda: room.studio.choices is not None and " w w" in room.studio.choices.choices[0].text)
        # Taken while they are being written: what is there is taken, the rest is given up.
        await pilot.press("1")
        await until(pilot, lambda: server.running == 0)
        await idle(pilot)
        assert room.pad.text.startswith("a w w")


async def test_spaces_that_matter_are_seen() -> None:
    async with CompletionServer() as server, studio_on(server, "  a b\tc  \nd ") as (pilot, room):
        assert "<bos>··a b→" in shown(pilot)
        assert "c··" in shown(pilot)
        assert "d·" in shown(pilot)
        await room.run_action("spaces")
        await pilot.pause()
        assert "··a·b→" in shown(pilot)
        assert "↵" in shown(pilot)


async def test_the_text_goes_on_from_the_cursor() -> None:
    async with CompletionServer() as server, studio_on(server, "keep this drop this") as (pilot, room):
        room.pad.go(9)
        await go_on(pilot, "alt+g")
        assert room.pad.text == "keep this one two three."
        await pilot.press("ctrl+z", "ctrl+z")
        assert room.pad.text == "keep this drop this"


async def test_selecting_copying_cutting_and_the_mouse() -> None:
    async with CompletionServer() as server, studio_on(server, "one two\nthree") as (pilot, room):
        await pilot.press("ctrl+home", "ctrl+shift+right", "ctrl+c")
        assert pilot.app.clipboard == "one"
        await pilot.press("ctrl+x", "end", "ctrl+v")
        assert room.pad.text == " twoone\nthree"
        await pilot.double_click("#pad", offset=(8, 1))
        assert room.pad.selected_text == "twoone"
        await pilot.press("backspace")
        assert room.pad.text == " \nthree"
        await pilot.press("shift+down", "shift+end")
        assert room.pad.selected_text == "\nthree"


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12), (300, 100)])
async def test_everything_fits_at_any_size(size: tuple[int, int]) -> None:
    async with CompletionServer() as server, studio_on(server, "a", size) as (pilot, _room):
        await go_on(pilot, "ctrl+g")
        for keys in (("f6",), ("escape", "f7"), ("escape", "alt+c"), ("escape", "alt+m"), ("escape",)):
            await go_on(pilot, *keys)
            assert all(len(line) <= size[0] for line in shown(pilot).splitlines())


HOSTILE = "[bold]x[/] \x1b[31m\x9b2J\x07\x00 \u202eabc\u2066 \ufeff\u200b \x7f\r\n"


async def test_nothing_that_a_model_writes_reaches_the_terminal_as_control() -> None:
    async with (
        CompletionServer(texts=[HOSTILE, HOSTILE, HOSTILE]) as server,
        studio_on(server, HOSTILE) as (pilot, room),
    ):
        await go_on(pilot, "ctrl+g")
        assert room.pad.text == HOSTILE * 2
        for keys in ((), ("f6",), ("escape", "f7"), ("escape",)):
            await go_on(pilot, *keys)
            screen = shown(pilot)
            assert "[bold]x[/]" in screen
            assert not set(screen) & {chr(code) for code in (*range(10), *range(11, 32), *range(127, 160))}
            assert not set(screen) & set("\u202e\u2066\ufeff\u200b")
