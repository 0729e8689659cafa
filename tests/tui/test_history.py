"""The history on the screen: finding, opening, naming, tagging, pinning, exporting, deleting, and not keeping."""

from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from gemma_backend.media.load import load
from gemma_backend.store.history import History
from gemma_backend.store.query import Query
from gemma_backend.types import Document, Node, Part, TextPart, TurnState, new_id
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Wanted
from gemma_tui.tui.screens.history import HistoryScreen
from gemma_tui.tui.screens.line import LineScreen, SureScreen
from stubs.openai_server import OpenAIServer, Reply
from tui.pilots import attached, idle, ready, said, screen_text, until


def kept(*texts: str, media: tuple[Part, ...] = (), state: TurnState = "done", note: str = "") -> int:
    """A conversation of these turns in the history; its number."""
    history = History()
    place, nodes = history.place(None), list[Node]()
    for number, text in enumerate(texts):
        last = number == len(texts) - 1
        parts = (*(media if not number else ()), TextPart(text))
        parent = nodes[-1].id if nodes else None
        role = "assistant" if number % 2 else "user"
        nodes.append(Node(new_id(), parent, role, parts, state if last else "done", note if last else ""))  # type: ignore[arg-type]
    history.begin(place, nodes, leaf=nodes[-1].id, profile="pocket").result()
    assert history.close()
    return place.known()


async def history_shown(pilot: Pilot[int], rows: int) -> HistoryScreen:
    """The history's screen once it shows so many conversations."""
    app = pilot.app
    await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and len(app.screen.found.items) == rows)
    assert isinstance(app.screen, HistoryScreen)
    return app.screen


def titles() -> list[str]:
    return [hit.summary.title for hit in History().search(Query())]


async def test_a_conversation_is_found_and_goes_on(server: OpenAIServer) -> None:
    kept("What is a lighthouse?", "A tower with a light.")
    kept("Something else", "No.")
    app = attached(server.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press("f6")
        await history_shown(pilot, 2)
        await pilot.press(*"tower")
        await history_shown(pilot, 1)
        await until(pilot, lambda: "A tower with a light." in screen_text(app))
        await pilot.press("enter")
        await until(
            pilot, lambda: said(app) == [("user", "What is a lighthouse?"), ("assistant", "A tower with a light.")]
        )
        await until(pilot, lambda: app.main.composer.has_focus)
        await pilot.press(*"More", "enter")
        await until(pilot, lambda: len(server.prompts) == 1)
        await idle(pilot)
        sent = [message["content"] for message in server.prompts[0].json["messages"]]
        assert sent == ["What is a lighthouse?", "A tower with a light.", "More"]
        await until(pilot, lambda: History().search(Query())[0].summary.turns == 4)
    assert titles() == ["What is a lighthouse?", "Something else"]


async def test_pictures_clips_and_broken_off_replies_come_back(server: OpenAIServer, picture: Path, clip: Path) -> None:
    kept("what?", "Half an ans", media=(load(picture), load(clip)), state="running")
    kept("why?", "Because", state="failed", note="The connection was cut.")
    app = attached(server.url)
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press("f6")
        await history_shown(pilot, 2)
        await pilot.press("down", "enter")
        await until(pilot, lambda: said(app) and said(app)[0][1] == "what?")
        await until(pilot, lambda: "64 × 32" in screen_text(app) and "1.0 s" in screen_text(app))
        assert "▀▀▀" in screen_text(app)
        assert "Cut off when the program ended. F7 and then G goes on" in screen_text(app)
        server.reply = Reply("wer.")
        await pilot.press("f7", "g")
        await until(pilot, lambda: server.prompts)
        await idle(pilot)
        assert said(app)[-1][1] == "Half an answer."
        assert len(server.prompts[0].json["messages"][0]["content"]) == 3
        await pilot.press("f6")
        await history_shown(pilot, 2)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "✗ The connection was cut." in screen_text(app))


async def test_a_picture_that_is_gone_is_shown_by_its_name(server: OpenAIServer, picture: Path) -> None:
    part = load(picture)
    kept("what?", "A square.", media=(part,))
    history = History()
    history.media.path(part.digest).unlink()
    app = attached(server.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press("f6")
        await history_shown(pilot, 1)
        await pilot.press("enter")
        await until(pilot, lambda: "no longer on disk" in screen_text(app))
        await pilot.press(*"more", "enter")
        await idle(pilot)
        await until(pilot, lambda: "delete the turn that it" in screen_text(app))
        assert not server.prompts


async def test_naming_tagging_and_pinning(server: OpenAIServer) -> None:
    kept("first one", "a")
    kept("second one", "b")
    app = attached(server.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press("f6")
        screen = await history_shown(pilot, 2)
        await pilot.press("down", "f2")
        await until(pilot, lambda: isinstance(app.screen, LineScreen))
        await pilot.press("ctrl+u", *"A name", "enter")
        await until(pilot, lambda: app.screen is screen and "A name" in screen_text(app))
        assert screen.chosen is not None
        assert screen.chosen.title == "A name"
        await pilot.press("f3")
        await until(pilot, lambda: isinstance(app.screen, LineScreen))
        await pilot.press(*"work, later", "enter")
        await until(pilot, lambda: app.screen is screen and "#later  #work" in screen_text(app))
        await pilot.press("f5")
        await until(pilot, lambda: "▌ ★ A name" in screen_text(app))
        assert titles() == ["A name", "second one"]
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.screen, LineScreen))
        await pilot.press("ctrl+u", "enter")
        await until(pilot, lambda: app.screen is screen and "★ first one" in screen_text(app))


async def test_deleting_after_a_yes(server: OpenAIServer, picture: Path) -> None:
    kept("first one", "a")
    number = kept("second one", "b", media=(load(picture),))
    app = attached(server.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press("f6")
        await history_shown(pilot, 2)
        await pilot.press("enter")
        await until(pilot, lambda: said(app))
        assert app.main.talk is not None
        assert app.main.talk.number == number
        await pilot.press("f6")
        screen = await history_shown(pilot, 2)
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, SureScreen) and "2 turns with 1 pictures" in screen_text(app))
        await pilot.press("n")
        await until(pilot, lambda: app.screen is screen)
        assert len(titles()) == 2
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, SureScreen))
        await pilot.press("y")
        await history_shown(pilot, 1)
        # The conversation on screen was the one: a new one begins.
        await until(pilot, lambda: said(app) == [])
        await pilot.press("escape")
        await pilot.press(*"anew", "enter")
        await idle(pilot)
        await until(pilot, lambda: titles() == ["anew", "first one"])
    assert list((History().folder / "media").iterdir()) == []


async def test_exporting(server: OpenAIServer, tmp_path: Path) -> None:
    kept("What is it?", "A **star**.")
    app = attached(server.url)
    target = tmp_path / "out.html"
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press("f6")
        screen = await history_shown(pilot, 1)
        await pilot.press("f6")
        await until(pilot, lambda: isinstance(app.screen, LineScreen) and "what-is-it.md" in screen_text(app))
        await pilot.press("ctrl+u", *str(target), "enter")
        await until(pilot, lambda: app.screen is screen and "Written to" in screen_text(app))
        assert "<strong>star</strong>" in target.read_text()
        await pilot.press("f6")
        await until(pilot, lambda: isinstance(app.screen, LineScreen))
        await pilot.press("ctrl+u", *str(target), "enter")
        await until(pilot, lambda: "is there already" in " ".join(screen_text(app).split()))


async def test_filters_are_typed_among_the_words(server: OpenAIServer, picture: Path) -> None:
    kept("with picture", "a", media=(load(picture),))
    kept("without", "b")
    app = attached(server.url)
    async with app.run_test() as pilot:
        await ready(pilot)
        app.main.composer.put("/history has:image")
        await pilot.press("enter")
        screen = await history_shown(pilot, 1)
        assert screen.words.value == "has:image"
        await pilot.press("ctrl+u", *"nowhere")
        await until(pilot, lambda: "Nothing was found." in screen_text(app))
        await pilot.press("enter")
        assert app.screen is screen


async def test_the_history_is_there_without_an_engine() -> None:
    kept("What is it?", "A star.")
    app = GemmaApp(Wanted(profile="nowhere"), poll=False)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.state == "failed")
        await pilot.press("f6")
        await until(pilot, lambda: "nowhere" in screen_text(app) or isinstance(app.screen, HistoryScreen))


async def test_a_conversation_is_not_kept_once_it_is_said(server: OpenAIServer, tmp_path: Path) -> None:
    app = attached(server.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press("alt+k")
        await until(pilot, lambda: "Nothing of this conversation is written" in screen_text(app))
        await until(pilot, lambda: "not kept · chat" in app.main.status.words())
        await pilot.press(*"secret", "enter")
        await idle(pilot)
        assert not (tmp_path / "state" / "history").exists()
        app.main.composer.put("/keep on")
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "state" / "history").exists() and titles() == ["secret"])
        assert "not kept" not in app.main.status.words()
        await pilot.press("ctrl+n", *"other", "enter")
        await idle(pilot)
        await until(pilot, lambda: titles() == ["other", "secret"])


async def test_no_history_writes_nothing(server: OpenAIServer, tmp_path: Path, picture: Path) -> None:
    app = attached(server.url, no_history=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        app.main.composer.post_message(events.Paste(f"'{picture}'"))
        await until(pilot, lambda: app.main.chips.chips and app.main.chips.chips[0].part)
        await pilot.press(*"secret", "enter")
        await idle(pilot)
        await until(pilot, lambda: "not kept" in app.main.status.words())
        await pilot.press("alt+k")
        await until(pilot, lambda: "--no-history" in screen_text(app))
        app.main.composer.put("/title x")
        await pilot.press("enter", "f6")
        await history_shown(pilot, 0)
        await until(pilot, lambda: "Nothing was said yet." in screen_text(app))
    assert not (tmp_path / "state" / "history").exists()


async def test_title_and_tags_of_the_conversation_on_screen(server: OpenAIServer) -> None:
    app = attached(server.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        for command in ("/title Too early", "/tags early"):
            app.main.composer.put(command)
            await pilot.press("enter")
            await until(pilot, lambda: app.main.notice.kind == "warning")
            app.main.composer.put("")
        await pilot.press(*"hello", "enter")
        await idle(pilot)
        for command, says in (
            ("/title A name", "Title: A name"),
            ("/tags a b", "Tags: #a #b"),
            ("/tags none", "no tags"),
        ):
            app.main.composer.put(command)
            await pilot.press("enter")
            await until(pilot, lambda says=says: says in screen_text(app))
        await until(pilot, lambda: titles() == ["A name"])


async def test_the_conversation_on_screen_is_exported_kept_or_not(server: OpenAIServer, tmp_path: Path) -> None:
    app = attached(server.url, no_history=True)
    target = tmp_path / "out.md"
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press(*"hello", "enter")
        await idle(pilot)
        app.main.composer.put(f"/export {target}")
        await pilot.press("enter")
        await until(pilot, lambda: "Written to" in screen_text(app))
    assert "## You\n\nhello\n\n## Model\n\n" in target.read_text()


async def test_a_kill_of_the_writing_is_told_and_talking_goes_on(server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "history").write_text("in the way")
    app = attached(server.url)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press(*"hello", "enter")
        await idle(pilot)
        await until(pilot, lambda: "history" in app.main.notice.message)
        assert len(said(app)) == 2


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (300, 100)])
async def test_nothing_of_the_history_is_clipped(server: OpenAIServer, size: tuple[int, int]) -> None:
    for number in range(60):
        kept(f"A long question number {number} " + "with words " * 12, "a")
    history = History()
    history.save_document(Document("a document")).result()
    history.close()
    app = attached(server.url)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        await pilot.press("f6")
        screen = await history_shown(pilot, 61)
        await until(pilot, lambda: "F8 Delete" in screen_text(app) and "¶ a document" in screen_text(app))
        for widget in (screen.words, screen.found, screen.keys):
            assert widget.region in screen.region
        await pilot.press("pagedown", "pagedown", "pagedown", *["down"] * 60)
        assert screen.found.place == 60
        await until(pilot, lambda: "question number 0 " in screen_text(app))
