"""A conversation on an endpoint: readiness, the order of prompts, cancelling, and what is kept of a broken reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from gemma_backend.chat import quirks
from gemma_backend.config.profiles import Profile
from gemma_backend.config.settings import ChatSettings, Settings
from gemma_backend.endpoint.address import parse_url
from gemma_backend.endpoint.recent import Recent, recent
from gemma_backend.session.session import Session, with_defaults
from gemma_backend.types import (
    Delta,
    EndpointError,
    EngineFailed,
    EngineReady,
    EngineStopped,
    Failed,
    Finished,
    Sampling,
    StreamEvent,
    TextPart,
    Turn,
    UsageError,
)
from stubs.openai_server import OpenAIServer, Reply, Request

SETTINGS = Settings()


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has a state folder and a memory of servers of its own."""
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(quirks, "_remembered", {})
    yield


def echo(request: Request) -> Reply:
    """A reply that repeats the last thing said."""
    return Reply(f"You said {request.json['messages'][-1]['content']}.")


async def said(events: AsyncIterator[StreamEvent]) -> tuple[str, StreamEvent]:
    """The text of a reply and its last event."""
    text, last = "", None
    async for event in events:
        if isinstance(event, Delta):
            text += event.text
        last = event
    assert last is not None
    return text, last


def attached(server: OpenAIServer, model: str | None = None, settings: Settings = SETTINGS) -> Session:
    """A session on the stub."""
    return Session.for_endpoint(parse_url(server.url), model, settings)


async def test_a_conversation_keeps_its_turns() -> None:
    async with OpenAIServer(reply=echo) as server:
        session = attached(server)
        await session.start()
        await session.wait_ready()
        assert (session.state, session.model, session.managed) == ("ready", "stub/model", False)
        assert await said(session.chat([TextPart("one")]))
        text, last = await said(session.chat([TextPart("two")]))
        assert text == "You said two."
        assert isinstance(last, Finished)
        assert [(turn.role, turn.text, turn.complete) for turn in session.turns] == [
            ("user", "one", True),
            ("assistant", "You said one.", True),
            ("user", "two", True),
            ("assistant", "You said two.", True),
        ]
        assert [message["content"] for message in server.prompts[1].json["messages"]] == [
            "one",
            "You said one.",
            "two",
        ]
        await session.close()
    assert recent() == [Recent(server.url, "stub/model")]


async def test_prompts_wait_for_readiness_and_keep_their_order() -> None:
    async with OpenAIServer(reply=echo) as server:
        session = attached(server)
        replies = [asyncio.create_task(said(session.chat([TextPart(f"p{number}")]))) for number in range(4)]
        await asyncio.sleep(0)
        assert server.prompts == []
        await session.start()
        assert [text for text, _ in await asyncio.gather(*replies)] == [f"You said p{number}." for number in range(4)]
        assert [turn.text for turn in session.turns if turn.role == "user"] == ["p0", "p1", "p2", "p3"]
        assert [turn.role for turn in session.turns] == ["user", "assistant"] * 4
        await session.close()


async def test_every_watcher_sees_everything() -> None:
    async with OpenAIServer() as server:
        session = attached(server)
        early = asyncio.create_task(collect(session))
        await session.start()
        await session.wait_ready()
        late = asyncio.create_task(collect(session))
        await asyncio.sleep(0)
        await session.close()
        assert await early == await late == [EngineReady(session.endpoint, "stub/model"), EngineStopped()]


async def collect(session: Session) -> list[object]:
    """Everything that a watcher sees."""
    return [event async for event in session.watch()]


async def test_cancel_ends_the_reply_and_the_generating() -> None:
    async with OpenAIServer(reply=Reply("word " * 10_000, rate=200)) as server:
        session = attached(server)
        await session.start()
        text = ""
        last: StreamEvent | None = None
        async for event in session.chat([TextPart("go")]):
            last = event
            if isinstance(event, Delta):
                text += event.text
                await session.cancel()
        assert last == Finished("abort")
        await server.until(running=0, aborted=1)
        assert session.turns[-1] == Turn("assistant", (TextPart(text),), complete=False)
        server.reply = Reply("Fine.")
        assert (await said(session.chat([TextPart("again")])))[0] == "Fine."
        await session.close()


async def test_cancel_before_the_first_token() -> None:
    async with OpenAIServer(reply=Reply(delay=1000)) as server:
        session = attached(server)
        await session.start()
        waiting = asyncio.create_task(said(session.chat([TextPart("go")])))
        await server.until(running=1)
        await session.cancel()
        assert await waiting == ("", Finished("abort"))
        await server.until(running=0, aborted=1)
        server.reply = echo
        await said(session.chat([TextPart("better")]))
        assert [message["content"] for message in server.prompts[-1].json["messages"]] == ["better"]
        await session.close()


async def test_cancel_while_nothing_is_ready_and_while_another_waits() -> None:
    async with OpenAIServer(reply=echo) as server:
        session = attached(server)
        first = asyncio.create_task(said(session.chat([TextPart("first")])))
        second = asyncio.create_task(said(session.chat([TextPart("second")])))
        await asyncio.sleep(0)
        await session.cancel()
        assert await first == ("", Finished("abort"))
        await session.start()
        assert (await second)[0] == "You said second."
        assert [turn.text for turn in session.turns] == ["second", "You said second."]
        await session.close()


async def test_cancel_with_nothing_to_end_is_harmless() -> None:
    async with OpenAIServer() as server:
        session = attached(server)
        await session.cancel()
        await session.start()
        await session.cancel()
        await session.close()
        await session.close()


async def test_leaving_the_events_early_ends_the_reply() -> None:
    async with OpenAIServer(reply=Reply("word " * 10_000, rate=200)) as server:
        session = attached(server)
        await session.start()
        async with aclosing(session.chat([TextPart("go")])) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break
        await server.until(running=0, aborted=1)
        assert not session.turns[-1].complete
        await session.close()


async def test_a_cut_reply_is_kept_as_incomplete() -> None:
    async with OpenAIServer(reply=Reply("one two three four", fault="cut", after=2)) as server:
        session = attached(server)
        await session.start()
        text, last = await said(session.chat([TextPart("go")]))
        assert isinstance(last, Failed)
        assert session.turns[-1] == Turn("assistant", (TextPart(text),), complete=False)
        assert text == "one two"
        assert session.state == "ready"
        await session.close()


async def test_an_endpoint_that_is_not_there_and_then_is() -> None:
    async with OpenAIServer(key="sesame") as server:
        session = attached(server)
        await session.start()
        with pytest.raises(EndpointError, match="wants an API key"):
            await session.wait_ready()
        assert session.state == "failed"
        assert session.failure is not None
        _, last = await said(session.chat([TextPart("kept")]))
        assert isinstance(last, Failed)
        assert last.exit_code == 4
        assert session.turns == []
        server.key = None
        await session.start()
        await session.wait_ready()
        assert (await said(session.chat([TextPart("kept")])))[0]
        seen = asyncio.create_task(collect(session))
        await session.close()
        assert [type(event) for event in await seen] == [EngineFailed, EngineReady, EngineStopped]


async def test_several_models_need_a_choice() -> None:
    async with OpenAIServer(models=["a", "b"]) as server:
        undecided = attached(server)
        await undecided.start()
        with pytest.raises(UsageError, match="a, b"):
            await undecided.wait_ready()
        await undecided.close()
        chosen = attached(server, "b")
        await chosen.start()
        await said(chosen.chat([TextPart("go")]))
        assert server.prompts[0].json["model"] == "b"
        await chosen.close()


async def test_a_profile_with_an_address_attaches(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sesame\n")
    async with OpenAIServer(key="sesame") as server:
        profile = Profile(name="far", url=server.url, api_key_file=str(key))
        session = Session.for_profile(profile, SETTINGS)
        await session.start()
        await session.wait_ready()
        assert (await said(session.chat([TextPart("go")])))[0]
        await session.close()


async def test_a_completion_leaves_the_turns_alone() -> None:
    async with OpenAIServer(reply=Reply(" and on")) as server:
        session = attached(server)
        await session.start()
        assert (await said(session.complete("Once\n")))[0] == " and on"
        assert server.prompts[0].json["prompt"] == "Once\n"
        assert session.turns == []
        await session.close()


async def test_settings_fill_in_what_a_prompt_leaves_open() -> None:
    chat = ChatSettings(max_tokens=7, temperature=0.5, seed=3)
    assert with_defaults(Sampling(temperature=0.0), chat) == Sampling(max_tokens=7, temperature=0.0, seed=3)
    async with OpenAIServer() as server:
        session = attached(server, settings=Settings(chat=chat))
        await session.start()
        await said(session.chat([TextPart("go")]))
        assert server.prompts[0].json["max_tokens"] == 7
        await session.close()


async def test_closing_ends_a_reply_and_those_waiting() -> None:
    async with OpenAIServer(reply=Reply(delay=1000)) as server:
        session = attached(server)
        await session.start()
        replies = [asyncio.create_task(said(session.chat([TextPart("go")]))) for _ in range(3)]
        await server.until(running=1)
        await session.close()
        assert [last for _, last in await asyncio.gather(*replies)] == [Finished("abort")] * 3
        await server.until(running=0)
        assert len(server.prompts) == 1


async def test_what_is_said_beforehand_is_a_turn_of_the_branch_and_goes_first() -> None:
    async with OpenAIServer() as server:
        session = attached(server)
        await session.start()
        session.talk.instruct("Be brief.")
        await said(session.chat([TextPart("One?")]))
        session.talk.instruct("Be kind.")
        session.talk.instruct("Be kind.")
        await said(session.chat([TextPart("Two?")]))
        assert session.talk.system == "Be kind."
        assert [turn.role for turn in session.turns] == ["system", "user", "assistant", "system", "user", "assistant"]
        sent = [[(m["role"], m["content"]) for m in request.json["messages"]][:2] for request in server.prompts]
        assert sent == [
            [("system", "Be brief."), ("user", "One?")],
            [("system", "Be kind."), ("user", "One?")],
        ]
        session.talk.instruct("")
        assert session.talk.system == ""
        await session.close()
