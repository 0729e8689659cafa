"""Talking on the main screen, over a real HTTP server."""

import asyncio
from typing import Any

import pytest
from textual import events

from gemma_backend.session.tree import Tree
from gemma_backend.store.history import History
from gemma_backend.store.query import Query
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Opening, Wanted, open_session
from stubs.openai_server import OpenAIServer, Reply
from tui.pilots import attached, idle, pad_of, ready, said, screen_rows, screen_text, until


def prompts(server: OpenAIServer) -> list[dict[str, Any]]:
    return [request.json for request in server.requests if request.path.endswith("completions")]


async def test_a_message_is_answered(server: OpenAIServer) -> None:
    server.reply = Reply("Hello **there**.")
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"Hi you", "enter")
        await idle(pilot)
        assert said(app) == [("user", "Hi you"), ("assistant", "Hello **there**.")]
        await until(pilot, lambda: "Hello there." in screen_text(app))
        assert app.main.composer.text == ""
        assert "context" in app.main.status.words()
    assert len(prompts(server)) == 1
    assert "Hi you" in str(prompts(server)[0]["messages"])


async def test_what_is_typed_before_the_engine_is_ready_is_kept_and_sent(server: OpenAIServer) -> None:
    gate = asyncio.Event()

    async def opener(wanted: Wanted) -> Opening:
        await gate.wait()
        return await open_session(wanted)

    app = GemmaApp(Wanted(url=server.url), opener=opener, poll=False)
    async with app.run_test() as pilot:
        await pilot.press(*"one", "enter", *"two", "enter")
        await until(pilot, lambda: len(app.main.conversation.waiting) == 2)
        await until(pilot, lambda: "2 queued" in app.main.status.words())
        # Whatever becomes of the program now, they are there: another one finds them on disk.
        (kept,) = History().search(Query())
        assert [node.text for node in History().load(kept.summary.id).nodes] == ["one", "two"]
        await until(pilot, lambda: "kept, and sent when the engine is ready" in screen_text(app))
        assert not prompts(server)
        gate.set()
        await until(pilot, lambda: len(prompts(server)) == 2)
        await idle(pilot)
        await until(pilot, lambda: "kept, and sent" not in screen_text(app))
        assert [role for role, _ in said(app)].count("assistant") == 2
    (kept,) = History().search(Query())
    stored = History().load(kept.summary.id)
    assert [node.role for node in Tree(stored.nodes, stored.leaf).path()] == ["user", "assistant"] * 2
    assert [message["messages"][-1]["content"] for message in prompts(server)] == ["one", "two"]


async def test_escape_stops_the_reply_at_the_server(server: OpenAIServer) -> None:
    server.reply = Reply("word " * 5000, rate=50)
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"go", "enter")
        await until(pilot, lambda: server.running == 1 and "word word" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: server.running == 0)
        await idle(pilot)
        await until(pilot, lambda: "Stopped." in screen_text(app))
    assert server.aborted == 1


async def test_a_second_message_waits_for_the_first_reply(server: OpenAIServer) -> None:
    server.reply = Reply("one two three", rate=2)
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"a", "enter", *"b", "enter")
        await until(pilot, lambda: "kept, and sent after the reply before it" in screen_text(app))
        (kept,) = History().search(Query())
        stored = History().load(kept.summary.id)
        assert [node.text for node in Tree(stored.nodes, stored.leaf).path() if node.role == "user"] == ["a", "b"]
        server.reply = Reply("four")
        await until(pilot, lambda: len(prompts(server)) == 2)
        await idle(pilot)
    roles = [message["role"] for message in prompts(server)[1]["messages"] if message["role"] != "system"]
    assert roles == ["user", "assistant", "user"]


async def test_a_cut_connection_keeps_what_came_and_can_be_asked_again(server: OpenAIServer) -> None:
    server.reply = Reply("one two three four five", rate=50, fault="cut", after=3)
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"count", "enter")
        await until(pilot, lambda: app.main.conversation.unanswered)
        assert said(app)[1][1].startswith("one two")
        await until(pilot, lambda: "Ctrl+R asks again" in " ".join(screen_text(app).split()))
        server.reply = Reply("all five")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: said(app)[-1][1] == "all five")
        await idle(pilot)
    assert [message["content"] for message in prompts(server)[1]["messages"] if message["role"] == "user"] == ["count"]


async def test_lines_and_history_in_the_composer(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"a", "ctrl+j", *"b", "enter")
        await idle(pilot)
        assert said(app)[0] == ("user", "a\nb")
        await pilot.press(*"draft", "up")
        assert app.main.composer.text == "a\nb"
        await pilot.press("down")
        assert app.main.composer.text == "draft"


async def test_new_conversation_forgets_what_was_said(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"first", "enter")
        await idle(pilot)
        await pilot.press("ctrl+n", *"second", "enter")
        await idle(pilot)
        assert said(app)[0] == ("user", "second")
    assert "first" not in str(prompts(server)[-1]["messages"])


HOSTILE = (
    "\x1b]0;owned\x07 \x1b[31mred \x9b5m \x1b]52;c;aGk=\x07 [bold]markup[/bold] [/] [@click=app.quit]x[/] \u202egnp"
)


async def test_nothing_from_outside_reaches_the_terminal_as_control(server: OpenAIServer) -> None:
    server.reply = Reply(HOSTILE)
    server.models = [f"model {HOSTILE}"]
    app = attached(server.url)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.main.composer.put(HOSTILE)
        await pilot.press("enter")
        await idle(pilot)
        app.main.refuse(f"a sentence with {HOSTILE}")
        await pilot.press("f2")
        pad_of(app).put(HOSTILE)
        await pilot.pause()
        in_pad = screen_text(app)
        await pilot.press("f2")
        await pilot.pause()
        shown = in_pad + screen_text(app)
        controls = [c for row in [*screen_rows(app), *in_pad.split("\n")] for c in row if not c.isprintable()]
        assert controls == []
        assert "[bold]markup[/bold]" in shown
        assert "\u241b" in shown


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (300, 100)])
async def test_nothing_is_clipped(server: OpenAIServer, size: tuple[int, int]) -> None:
    server.reply = Reply("A reply. " * 40)
    app = attached(server.url)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        await pilot.press(*"hello", "enter")
        await idle(pilot)
        for widget in (app.main.transcript, app.main.composer, app.main.status, app.main.keys):
            assert widget.region.area
            assert widget.region in app.main.region
        rows = screen_rows(app)
        assert "ready" in rows[-2]
        assert "Quit" in rows[-1]
        assert all(len(row) == size[0] for row in rows)


async def test_typing_finds_the_message_wherever_the_focus_is(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        await pilot.press(*"one", "enter")
        await idle(pilot)
        app.main.transcript.focus()
        await pilot.press("k")
        await until(pilot, lambda: app.main.composer.text == "k" and app.main.composer.has_focus)
        app.main.transcript.focus()
        await pilot.pause()
        app.screen._forward_event(events.Paste("pasted"))
        await until(pilot, lambda: app.main.composer.text == "kpasted")


async def test_commands_by_name(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        commands = {command.title: command.callback for command in app.get_system_commands(app.main)}
        for title in ("Begin a new conversation", "Switch between chat and completion", "Copy the last reply", "Quit"):
            assert title in commands
        await commands["Switch between chat and completion"]()
        await pilot.pause()
        assert app.main.mode == "completion"
