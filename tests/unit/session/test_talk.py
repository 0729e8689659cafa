"""A conversation and its history: what is on disk when, and what is done with turns."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from faults.history_torture import unsound
from gemma_backend.chat import quirks
from gemma_backend.config.settings import Settings
from gemma_backend.endpoint.address import parse_url
from gemma_backend.session.session import Session
from gemma_backend.session.talk import Talk
from gemma_backend.session.tree import Tree
from gemma_backend.store import writer
from gemma_backend.store.history import History
from gemma_backend.store.query import Query
from gemma_backend.types import Delta, Failed, Finished, Sampling, StreamEvent, TextPart, UsageError, first_id, new_id
from stubs.openai_server import OpenAIServer, Reply, Request
from stubs.parts import clip, image


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(quirks, "_remembered", {})


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(reply=echo) as running:
        yield running


@pytest.fixture
async def session(server: OpenAIServer) -> AsyncIterator[Session]:
    """A session that keeps what is said."""
    history = History()
    opened = Session.for_endpoint(parse_url(server.url), None, Settings())
    opened.keep_in(history)
    opened.talk.trouble = pytest.fail
    await opened.start()
    await opened.wait_ready()
    yield opened
    await opened.close()
    assert history.close()


def echo(request: Request) -> Reply:
    return Reply(f"You said {text_of(request)}.")


def text_of(request: Request) -> str:
    content = request.json["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


async def said(events: AsyncIterator[StreamEvent]) -> tuple[str, StreamEvent]:
    text, last = "", None
    async for event in events:
        if isinstance(event, Delta):
            text += event.text
        last = event
    assert last is not None
    return text, last


async def settled(session: Session) -> None:
    """Wait until all was written that is to be written."""
    assert await asyncio.to_thread(history_of(session).close)


def history_of(session: Session) -> History:
    assert session._history is not None
    return session._history


def rows() -> list[tuple[str, str, str]]:
    """Role, state and text of every turn on disk, with what was saved of running replies."""
    try:
        with closing(sqlite3.connect(f"file:{History().path}?mode=ro", uri=True)) as connection:
            return connection.execute(
                "SELECT role, state, text || coalesce("
                "(SELECT group_concat(text, '') FROM piece WHERE turn = turn.id), '') FROM turn ORDER BY id"
            ).fetchall()
    except sqlite3.OperationalError:
        return []


async def until(true: Callable[[], object]) -> None:
    """Return once `true()` holds."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - what is waited for is on disk
            await asyncio.sleep(0.02)


async def test_the_question_is_on_disk_before_it_is_sent(server: OpenAIServer, session: Session) -> None:
    on_disk: list[list[tuple[str, str, str]]] = []

    def reply(request: Request) -> Reply:
        on_disk.append(rows())
        return Reply("Fine.")

    server.reply = reply
    await said(session.chat([image(), TextPart("what?")]))
    assert on_disk == [[("user", "done", "what?"), ("assistant", "running", "")]]
    await settled(session)
    assert rows() == [("user", "done", "what?"), ("assistant", "done", "Fine.")]


async def test_a_running_reply_is_saved_while_it_grows(
    server: OpenAIServer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.05)
    server.reply = Reply("word " * 10_000, rate=200)
    task = asyncio.create_task(said(session.chat([TextPart("go")])))
    seen: set[str] = set()

    def grown() -> bool:
        if found := rows():
            seen.add(found[-1][2])
            assert found[-1][1] == "running"
        return len(seen) >= 4

    await until(grown)
    await session.cancel()
    text, _ = await task
    await settled(session)
    assert rows()[-1] == ("assistant", "stopped", text)
    assert all(text.startswith(part) for part in seen)


async def test_a_conversation_comes_back_whole(server: OpenAIServer, session: Session) -> None:
    server.reply = Reply("A star.", reasoning="Looks like one.")
    await said(session.chat([image(), clip(), TextPart("what?")]))
    server.reply = Reply("one two three", fault="cut", after=2)
    await said(session.chat([TextPart("and now?")]))
    await settled(session)
    number = session.talk.number
    assert number is not None
    stored = history_of(session).load(number)
    assert [(node.role, node.text, node.state) for node in stored.nodes] == [
        ("user", "what?", "done"),
        ("assistant", "A star.", "done"),
        ("user", "and now?", "done"),
        ("assistant", "one two", "failed"),
    ]
    assert stored.nodes[1].reasoning == "Looks like one."
    assert "cut in mid-reply" in stored.nodes[3].note
    assert (stored.summary.title, stored.summary.images, stored.summary.clips) == ("what?", 1, 1)
    assert stored.summary.model == "stub/model"
    server.reply = echo
    session.converse(Talk(history_of(session), stored))
    await said(session.chat([TextPart("more")]))
    first = server.prompts[-1].json["messages"][0]["content"]
    assert [part["type"] for part in first] == ["image_url", "input_audio", "text"]
    await settled(session)
    assert len(history_of(session).load(number).nodes) == 6


async def test_a_picture_that_is_gone_from_disk_is_told(server: OpenAIServer, session: Session) -> None:
    await said(session.chat([image(), TextPart("what?")]))
    await settled(session)
    assert session.talk.number is not None
    history = history_of(session)
    session.converse(Talk(history, history.load(session.talk.number)))
    history.media.path(image().digest).write_bytes(b"other")
    _, last = await said(session.chat([TextPart("again")]))
    assert isinstance(last, Failed)
    assert last.exit_code == 5
    assert "a.png is no longer in the history" in last.message
    assert len(server.prompts) == 1


async def test_another_reply_stands_beside_the_first(server: OpenAIServer, session: Session) -> None:
    question, first = new_id(), new_id()
    await said(session.chat([TextPart("q")], ids=(question, first)))
    server.reply = Reply("Another.")
    await said(session.regenerate(question))
    assert [message["content"] for message in server.prompts[-1].json["messages"]] == ["q"]
    assert [turn.text for turn in session.turns] == ["q", "Another."]
    assert session.talk.tree.siblings(session.talk.tree.path()[-1].id) == (2, 2)
    session.talk.show(first)
    await settled(session)
    assert session.talk.number is not None
    stored = history_of(session).load(session.talk.number)
    assert (stored.leaf, len(stored.nodes)) == (first, 3)


async def test_an_edited_question_begins_a_branch(server: OpenAIServer, session: Session) -> None:
    ids = new_id(), new_id()
    await said(session.chat([TextPart("one")]))
    await said(session.chat([TextPart("two")], ids=ids))
    await said(session.chat([TextPart("2")], beside=ids[0]))
    assert [message["content"] for message in server.prompts[-1].json["messages"]] == ["one", "You said one.", "2"]
    assert [turn.text for turn in session.turns] == ["one", "You said one.", "2", "You said 2."]


async def test_an_edited_first_question_has_the_history_before_it_empty(server: OpenAIServer, session: Session) -> None:
    ids = new_id(), new_id()
    await said(session.chat([TextPart("one")], ids=ids))
    await said(session.chat([TextPart("uno")], beside=ids[0]))
    assert [turn.text for turn in session.turns] == ["uno", "You said uno."]
    assert session.talk.tree.siblings(session.talk.tree.path()[0].id) == (2, 2)


async def test_a_reply_in_a_persons_words(server: OpenAIServer, session: Session) -> None:
    ids = new_id(), new_id()
    await said(session.chat([TextPart("q")], ids=ids))
    session.talk.rewrite(ids[1], "Mine.")
    await said(session.chat([TextPart("next")]))
    assert [message["content"] for message in server.prompts[-1].json["messages"]] == ["q", "Mine.", "next"]
    await settled(session)
    assert [row[2] for row in rows()] == ["q", "You said q.", "Mine.", "next", "You said next."]


async def test_a_reply_that_was_cut_goes_on(server: OpenAIServer, session: Session) -> None:
    ids = new_id(), new_id()
    server.reply = Reply("One, two, ", finish="length")
    _, last = await said(session.chat([TextPart("count")], Sampling(max_tokens=3), ids=ids))
    assert isinstance(last, Finished)
    assert session.talk.tree[ids[1]].state == "cut"
    server.reply = Reply(" three.")
    assert (await said(session.go_on(ids[1])))[0] == " three."
    sent = server.prompts[-1].json
    assert [message["content"] for message in sent["messages"]] == ["count", "One, two,"]
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)
    assert session.turns[-1].text == "One, two, three."
    await settled(session)
    assert rows()[-1] == ("assistant", "done", "One, two, three.")
    assert len(rows()) == 2


async def test_a_reply_goes_on_at_a_server_without_a_template(server: OpenAIServer, session: Session) -> None:
    server.template = False
    ids = new_id(), new_id()
    server.reply = Reply(" One,", finish="length")
    await said(session.chat([TextPart("count")], ids=ids))
    server.reply = Reply(" two.")
    await said(session.go_on(ids[1]))
    assert server.prompts[-1].json["prompt"] == "User: count\nAssistant: One,"
    assert session.turns[-1].text == "One, two."


async def test_deleting_takes_the_media_that_no_other_turn_uses(session: Session) -> None:
    first, second = (new_id(), new_id()), (new_id(), new_id())
    await said(session.chat([image(), TextPart("one")], ids=first))
    await said(session.chat([image(), clip(), TextPart("two")], ids=second))
    session.talk.delete(second[0])
    await settled(session)
    media = history_of(session).folder / "media"
    assert [path.name for path in media.iterdir()] == [image().digest]
    assert [turn.text for turn in session.turns] == ["one", "You said one."]
    session.talk.delete(first[0])
    await settled(session)
    assert list(media.iterdir()) == []
    assert rows() == []


async def test_a_fork_is_a_conversation_of_its_own(session: Session) -> None:
    ids = new_id(), new_id()
    await said(session.chat([image(), TextPart("one")], ids=ids))
    await said(session.chat([TextPart("two")]))
    fork = session.talk.fork(ids[1])
    old = session.talk
    session.converse(fork)
    await said(session.chat([TextPart("three")]))
    await settled(session)
    assert fork.number not in (None, old.number)
    history = history_of(session)
    assert old.number is not None
    assert [node.text for node in history.load(old.number).nodes] == ["one", "You said one.", "two", "You said two."]
    await asyncio.wrap_future(history.delete([old.number]))
    assert fork.number is not None
    stored = history.load(fork.number)
    assert [node.text for node in stored.nodes] == ["one", "You said one.", "three", "You said three."]
    assert history.part(stored.nodes[0].parts[0]).digest == image().digest  # type: ignore[union-attr]


async def test_a_conversation_that_is_not_kept_writes_nothing(session: Session) -> None:
    session.talk.keep(False)
    await said(session.chat([image(), TextPart("secret")]))
    session.talk.rename("title")
    session.talk.show(session.talk.tree.path()[-1].id)
    await settled(session)
    assert not history_of(session).folder.exists()
    session.talk.keep(True)
    await settled(session)
    assert [row[2] for row in rows()] == ["secret", "You said secret."]


async def test_the_switch_holds_in_mid_reply(
    server: OpenAIServer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.05)
    server.reply = Reply("word " * 10_000, rate=200)
    came: list[StreamEvent] = []

    async def collect() -> None:
        came.extend([event async for event in session.chat([TextPart("go")])])

    task = asyncio.create_task(collect())
    await until(lambda: rows() and rows()[-1][2])
    session.talk.keep(False)
    await settled(session)
    kept = rows()
    generated = server.generated
    await until(lambda: server.generated > generated + 20)
    await session.cancel()
    await task
    text = "".join(event.text for event in came if isinstance(event, Delta))
    await settled(session)
    assert rows() == kept
    assert len(kept[-1][2]) < len(text)
    session.talk.keep(True)
    await settled(session)
    assert rows()[-1] == ("assistant", "stopped", text)


async def test_without_a_history_the_switch_says_why(server: OpenAIServer, tmp_path: Path) -> None:
    history = History(keep=False)
    session = Session.for_endpoint(parse_url(server.url), None, Settings())
    session.keep_in(history)
    await session.start()
    await said(session.chat([image(), TextPart("secret")]))
    assert not session.talk.kept
    with pytest.raises(UsageError, match="--no-history"):
        session.talk.keep(True)
    await session.close()
    assert history.close()
    assert not history.folder.exists()


async def test_a_conversation_deleted_elsewhere_goes_on_unkept(session: Session) -> None:
    told: list[str] = []
    await said(session.chat([TextPart("one")]))
    await settled(session)
    session.talk.trouble = told.append
    other = History()
    assert session.talk.number is not None
    await asyncio.wrap_future(other.delete([session.talk.number]))
    assert (await said(session.chat([TextPart("two")])))[0] == "You said two."
    await settled(session)
    await asyncio.sleep(0)
    assert told and "another window deleted it" in told[0]
    assert not session.talk.kept
    assert rows() == []
    session.talk.trouble = pytest.fail
    session.talk.keep(True)
    await settled(session)
    assert [row[2] for row in rows()] == ["one", "You said one.", "two", "You said two."]
    other.close()


async def test_a_folder_that_cannot_be_written_is_told(server: OpenAIServer, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    history = History(blocked / "history")
    session = Session.for_endpoint(parse_url(server.url), None, Settings())
    session.keep_in(history)
    told: list[str] = []
    session.talk.trouble = told.append
    await session.start()
    assert (await said(session.chat([TextPart("one")])))[0] == "You said one."
    await asyncio.sleep(0.1)
    assert told and "cannot be made" in told[0]
    # Once it can be written again, all that was said is written.
    blocked.unlink()
    assert (await said(session.chat([TextPart("two")])))[0] == "You said two."
    assert await asyncio.to_thread(history.close)
    assert session.talk.number is not None
    assert [node.text for node in history.load(session.talk.number).nodes][::2] == ["one", "two"]
    await session.close()


async def test_two_windows_on_one_conversation_make_branches(session: Session, server: OpenAIServer) -> None:
    await said(session.chat([TextPart("one")]))
    await settled(session)
    assert session.talk.number is not None
    other_history = History()
    other = Session.for_endpoint(parse_url(server.url), None, Settings())
    other.keep_in(other_history)
    other.converse(Talk(other_history, other_history.load(session.talk.number)))
    await other.start()
    await asyncio.gather(said(session.chat([TextPart("here")])), said(other.chat([TextPart("there")])))
    await settled(session)
    assert await asyncio.to_thread(other_history.close)
    stored = other_history.load(session.talk.number)
    assert sorted(node.text for node in stored.nodes if node.role == "user") == ["here", "one", "there"]
    replies = [node for node in stored.nodes if node.text == "You said one."]
    assert [node.parent for node in stored.nodes if node.text in ("here", "there")] == [replies[0].id] * 2
    await other.close()


def test_numbers_of_turns_are_in_the_order_of_time() -> None:
    numbers = [new_id() for _ in range(10_000)]
    assert numbers == sorted(set(numbers))
    assert first_id(time.time() - 60) < numbers[0] < first_id(time.time() + 60)


async def test_what_waits_is_on_disk_at_once_and_in_its_place_once_it_is_asked(session: Session) -> None:
    talk, history = session.talk, History()
    first, second, third = new_id(), new_id(), new_id()
    picture = image()
    for question, parts in ((first, [TextPart("one")]), (second, [picture, TextPart("two")])):
        writing = talk.put_by(question, parts)
        assert writing is not None
        await asyncio.wrap_future(writing)
    assert talk.number is not None

    def shown() -> list[tuple[str, str]]:
        """What another program would show after this one was killed."""
        assert talk.number is not None
        stored = history.load(talk.number)
        return [(node.role, node.text) for node in Tree(stored.nodes, stored.leaf).path()]

    assert shown() == [("user", "one"), ("user", "two")]
    events = session.chat([TextPart("one")], ids=(first, new_id()))
    async for event in events:
        if isinstance(event, Delta):
            # One that comes while a reply runs, behind the one that waits already.
            if third not in {node.id for node in history.load(talk.number).nodes}:
                writing = talk.put_by(third, [TextPart("three")])
                assert writing is not None
                await asyncio.wrap_future(writing)
            assert [text for role, text in shown() if role == "user"] == ["one", "two", "three"]
    await said(session.chat([picture, TextPart("two")], ids=(second, new_id())))
    await said(session.chat([TextPart("three")], ids=(third, new_id())))
    await settled(session)
    stored = history.load(talk.number)
    path = Tree(stored.nodes, stored.leaf).path()
    assert [node.role for node in path] == ["user", "assistant"] * 3
    assert len(stored.nodes) == 6
    assert [len(node.parts) for node in path if node.role == "user"] == [1, 2, 1]
    assert [hit.summary.turns for hit in history.search(Query(("three",)))] == [6]
    assert unsound(history.folder) == []


async def test_what_waits_is_written_with_the_rest_once_a_conversation_is_kept(session: Session) -> None:
    session.talk.keep(False)
    assert session.talk.put_by(new_id(), [TextPart("one")]) is None
    assert session.talk.number is None
    session.talk.keep(True)
    await said(session.chat([TextPart("two")]))
    assert session.talk.number is not None
    assert "one" in [node.text for node in History().load(session.talk.number).nodes]
