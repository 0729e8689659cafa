"""Completion mode: a raw prompt, continued in place."""

import pytest

from stubs.openai_server import OpenAIServer, Reply
from tui.pilots import attached, idle, pad_of, ready, screen_text, until


@pytest.mark.parametrize(
    "prompt", ["Once upon a", "  two leading, two trailing  ", "a\n\n", "tab\tand\x0bfeed\u2028end ", "ünï 漢字 🙂\n"]
)
async def test_the_prompt_is_sent_and_kept_as_it_is(server: OpenAIServer, prompt: str) -> None:
    server.reply = Reply(" time there was.\n\nThe end")
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press("f2")
        pad_of(app).put(prompt)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: server.finished == 1)
        await idle(pilot)
        assert pad_of(app).text == prompt + " time there was.\n\nThe end"
        assert not pad_of(app).read_only
    request = next(request for request in server.requests if request.path == "/v1/completions")
    assert request.json["prompt"] == prompt


async def test_typed_keys_make_the_prompt(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press("f2", *"a b", "enter", "tab", "x", "space")
        assert pad_of(app).text == "a b\n\tx "


async def test_it_can_be_stopped_edited_and_continued(server: OpenAIServer) -> None:
    server.reply = Reply(" and on" * 5000, rate=50)
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press("f2", *"On", "ctrl+g")
        await until(pilot, lambda: "and on" in pad_of(app).text)
        await pilot.press("x")
        await pilot.press("escape")
        await until(pilot, lambda: server.running == 0)
        await idle(pilot)
        kept = pad_of(app).text
        assert "x" not in kept
        await pilot.press("x")
        assert pad_of(app).text == kept + "x"
    assert server.aborted == 1


async def test_both_modes_keep_what_is_in_them(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"message", "f2", *"document", "f2")
        assert app.main.composer.text == "message"
        assert app.main.composer.has_focus
        await pilot.press("f2")
        assert pad_of(app).text == "document"
        assert "completion" in screen_text(app)
