"""What can be done with a turn of the conversation: choosing, wording anew, branching, going on, deleting."""

from collections.abc import Callable
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from gemma_backend.store.history import History
from gemma_backend.store.query import Query
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.screens.branches import BranchScreen
from gemma_tui.tui.screens.line import SureScreen
from stubs.openai_server import OpenAIServer, Reply, Request
from tui.pilots import attached, idle, ready, said, screen_text, until


def echo(request: Request) -> Reply:
    content = request.json["messages"][-1]["content"]
    return Reply(f"You said {content if isinstance(content, str) else content[-1]['text']}.")


def asked(server: OpenAIServer) -> list[str]:
    """What the last request carried, turn by turn."""
    return [str(message["content"]) for message in server.prompts[-1].json["messages"]]


async def talked(pilot: Pilot[int], *messages: str) -> GemmaApp:
    """The app once each message was answered."""
    app = pilot.app
    assert isinstance(app, GemmaApp)
    await ready(pilot)
    for message in messages:
        app.main.composer.put(message)
        await pilot.press("enter")
        await until(pilot, lambda: app.main.conversation.answering or not app.main.conversation.waiting)
        await idle(pilot)
    return app


def stored() -> list[tuple[str, str]]:
    """Role and text of every turn in the history's newest conversation."""
    history = History()
    number = history.search(Query())[0].summary.id
    return [(node.role, node.text) for node in history.load(number).nodes]


async def written(pilot: Pilot[int], true: Callable[[], object]) -> None:
    """Return once what is in the history is as `true()` wants it."""
    await until(pilot, true)


@pytest.fixture
def echoing(server: OpenAIServer) -> OpenAIServer:
    server.reply = echo
    return server


async def test_a_turn_is_chosen_and_left(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test() as pilot:
        await talked(pilot, "one")
        await pilot.press("f7")
        await until(pilot, lambda: app.main.chosen_node and app.main.chosen_node.text == "You said one.")
        await until(pilot, lambda: "e Edit   r Again   g Go on   b Branches" in screen_text(app))
        await pilot.press("up")
        assert app.main.chosen_node is not None
        assert app.main.chosen_node.text == "one"
        await pilot.press("down", "down")
        await until(pilot, lambda: app.main.chosen is None and app.main.composer.has_focus)
        await pilot.press("alt+up", "escape")
        await until(pilot, lambda: app.main.chosen is None and app.main.composer.has_focus)
        await until(pilot, lambda: "F1 Help" in screen_text(app))


async def test_what_is_typed_with_a_turn_chosen_goes_to_the_message(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test() as pilot:
        await talked(pilot, "one")
        await pilot.press("f7", "x")
        await until(pilot, lambda: app.main.composer.text == "x" and app.main.chosen is None)
        await pilot.press("e", "r", "d")
        assert app.main.composer.text == "xerd"


async def test_a_turn_is_chosen_with_the_mouse(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test() as pilot:
        await talked(pilot, "one")
        row = next(y for y, text in enumerate(screen_text(app).split("\n")) if "Gemma" in text)
        await pilot.click(offset=(4, row))
        await until(pilot, lambda: app.main.chosen_node and app.main.chosen_node.text == "You said one.")


async def test_another_reply_stands_beside_the_first(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test() as pilot:
        await talked(pilot, "one")
        echoing.reply = Reply("Another.")
        await pilot.press("f7", "r")
        await until(pilot, lambda: len(echoing.prompts) == 2)
        await idle(pilot)
        assert said(app) == [("user", "one"), ("assistant", "Another.")]
        assert asked(echoing) == ["one"]
        await until(pilot, lambda: "Gemma  2/2" in screen_text(app))
        await pilot.press("f7", "left")
        await until(pilot, lambda: said(app)[-1][1] == "You said one.")
        await until(pilot, lambda: "Gemma  1/2" in screen_text(app))
        await pilot.press("left", "right")
        await until(pilot, lambda: said(app)[-1][1] == "Another.")
        await written(pilot, lambda: len(stored()) == 3)


async def test_a_question_is_worded_anew_as_a_branch(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test() as pilot:
        await talked(pilot, "one", "two")
        await pilot.press("f7", "up", "e")
        await until(pilot, lambda: app.main.composer.text == "two" and app.main.composer.has_focus)
        await until(pilot, lambda: "your question, worded anew" in screen_text(app))
        await pilot.press(*" too", "enter")
        await until(pilot, lambda: len(echoing.prompts) == 3)
        await idle(pilot)
        assert asked(echoing) == ["one", "You said one.", "two too"]
        assert said(app)[2:] == [("user", "two too"), ("assistant", "You said two too.")]
        await until(pilot, lambda: "You  2/2" in screen_text(app))
        await pilot.press(*"three", "enter")
        await until(pilot, lambda: len(echoing.prompts) == 4)
        await idle(pilot)
        assert asked(echoing)[2] == "two too"
        await written(pilot, lambda: len(stored()) == 8)


async def test_wording_anew_can_be_left(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test() as pilot:
        await talked(pilot, "one")
        await pilot.press("f7", "up", "e")
        await until(pilot, lambda: app.main.composer.text == "one")
        await pilot.press("escape")
        await until(pilot, lambda: app.main.composer.text == "" and app.main.editing is None)
        await pilot.press(*"two", "enter")
        await idle(pilot)
        assert [text for _, text in said(app)][2] == "two"


async def test_a_picture_stays_with_its_question(echoing: OpenAIServer, picture: Path) -> None:
    app = attached(echoing.url)
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        app.main.composer.post_message(events.Paste(f"'{picture}'"))
        await until(pilot, lambda: app.main.chips.chips and app.main.chips.chips[0].part)
        await talked(pilot, "what?")
        await pilot.press("f7", "up", "e")
        await until(pilot, lambda: app.main.chips.chips and app.main.composer.text == "what?")
        await pilot.press(*" now", "enter")
        await until(pilot, lambda: len(echoing.prompts) == 2)
        await idle(pilot)
        sent = echoing.prompts[-1].json["messages"]
        assert [part["type"] for part in sent[0]["content"]] == ["image_url", "text"]
        assert sent[0]["content"][1]["text"] == "what? now"


async def test_a_reply_in_the_persons_words(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test() as pilot:
        await talked(pilot, "one")
        await pilot.press("f7", "e")
        await until(pilot, lambda: app.main.composer.text == "You said one.")
        app.main.composer.put("My own.")
        await pilot.press("enter")
        await until(pilot, lambda: said(app)[-1] == ("assistant", "My own."))
        await pilot.press("escape", *"two", "enter")
        await until(pilot, lambda: len(echoing.prompts) == 2)
        await idle(pilot)
        assert asked(echoing) == ["one", "My own.", "two"]


async def test_a_reply_that_was_cut_goes_on_in_its_turn(server: OpenAIServer) -> None:
    server.reply = Reply("One, two,", finish="length")
    app = attached(server.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await talked(pilot, "count")
        await until(pilot, lambda: "Cut off at the limit of tokens. F7 and then G goes on" in screen_text(app))
        server.reply = Reply(" three.")
        await pilot.press("f7", "g")
        await until(pilot, lambda: len(server.prompts) == 2)
        await idle(pilot)
        assert said(app) == [("user", "count"), ("assistant", "One, two, three.")]
        assert server.prompts[1].json["continue_final_message"] is True
        await until(pilot, lambda: "Cut off" not in screen_text(app))
        await written(pilot, lambda: stored() == [("user", "count"), ("assistant", "One, two, three.")])


async def test_deleting_takes_what_follows_along(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test() as pilot:
        await talked(pilot, "one", "two")
        await pilot.press("f7", "up", "d")
        await until(pilot, lambda: isinstance(app.screen, SureScreen) and "The turn after it too." in screen_text(app))
        await pilot.press("escape")
        assert len(said(app)) == 4
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, SureScreen))
        await pilot.press("enter")
        await until(pilot, lambda: [text for _, text in said(app)] == ["one", "You said one."])
        await written(pilot, lambda: len(stored()) == 2)


async def test_a_fork_leaves_the_conversation_as_it_was(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test() as pilot:
        await talked(pilot, "one", "two")
        await pilot.press("f7", "up", "up", "f")
        await until(pilot, lambda: [text for _, text in said(app)] == ["one", "You said one."])
        await pilot.press(*"three", "enter")
        await until(pilot, lambda: len(echoing.prompts) == 3)
        await idle(pilot)
        assert asked(echoing) == ["one", "You said one.", "three"]

        def lengths() -> list[int]:
            return sorted(hit.summary.turns for hit in History().search(Query()))

        await written(pilot, lambda: lengths() == [4, 4])


async def test_the_tree_leads_to_every_branch(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await talked(pilot, "one")
        echoing.reply = Reply("Another.")
        await pilot.press("f7", "r")
        await until(pilot, lambda: len(echoing.prompts) == 2)
        await idle(pilot)
        await pilot.press("f7", "b")
        await until(
            pilot, lambda: isinstance(app.screen, BranchScreen) and "├─ Gemma: You said one." in screen_text(app)
        )
        rows = [row for row in screen_text(app).split("\n") if ": " in row]
        assert "You: one" in rows[0]
        assert "└─ Gemma: Another." in rows[2]
        assert "2/2" in rows[2]
        await pilot.press("up", "enter")
        await until(pilot, lambda: said(app)[-1][1] == "You said one.")
        await pilot.press("escape")
        app.main.composer.put("/branches")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, BranchScreen))


async def test_nothing_is_done_while_a_reply_is_under_way(server: OpenAIServer) -> None:
    server.reply = Reply("word " * 5000, rate=50)
    app = attached(server.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press(*"go", "enter")
        await until(pilot, lambda: server.running == 1)
        for key in ("e", "r", "g", "f", "d", "b"):
            app.main.notice.close()
            await pilot.press("f7", key)
            await until(pilot, lambda: "Wait for the reply that is under way" in screen_text(app))
            await pilot.press("escape")
            await until(pilot, lambda: app.main.chosen is None)
        assert app.main.conversation.answering
        await pilot.press("escape")
        await idle(pilot)
        assert len(app.main.talk.tree) == 2  # type: ignore[union-attr]


async def test_copying_a_turn(echoing: OpenAIServer) -> None:
    app = attached(echoing.url)
    async with app.run_test() as pilot:
        await talked(pilot, "one")
        await pilot.press("f7", "up", "c")
        await until(pilot, lambda: app.clipboard == "one")
