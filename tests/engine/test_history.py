"""A conversation on a real vLLM: a reply that was cut goes on, others stand beside it, and all of it comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from gemma_assets import path as asset
from gemma_backend.config.settings import Settings
from gemma_backend.media.load import load
from gemma_backend.session.session import Session
from gemma_backend.session.talk import Talk
from gemma_backend.store.history import History
from gemma_backend.types import Delta, Endpoint, Finished, Sampling, StreamEvent, TextPart, new_id

pytestmark = pytest.mark.engine
QUESTION = "Count from three to seven."
ANSWER = "Three, four, five, six, seven"


async def said(events: AsyncIterator[StreamEvent]) -> tuple[str, StreamEvent]:
    text, last = "", None
    async for event in events:
        if isinstance(event, Delta):
            text += event.text
        last = event
    assert last is not None
    return text, last


@pytest.fixture
async def session(real_endpoint: Endpoint, tmp_path: Path) -> AsyncIterator[Session]:
    """A session on the run's engine that keeps what is said in a history of its own."""
    history = History(tmp_path / "history")
    opened = Session.for_endpoint(real_endpoint, None, Settings())
    opened.keep_in(history)
    opened.talk.trouble = pytest.fail
    await opened.start()
    await opened.wait_ready()
    yield opened
    await opened.close()
    assert history.close()


async def test_a_reply_that_was_cut_goes_on_where_it_ended(session: Session) -> None:
    ids = new_id(), new_id()
    whole, _ = await said(session.chat([TextPart(QUESTION)], Sampling(temperature=0)))
    assert whole.startswith(ANSWER)
    session.converse()
    first, last = await said(session.chat([TextPart(QUESTION)], Sampling(temperature=0, max_tokens=4), ids=ids))
    assert isinstance(last, Finished)
    assert last.reason == "length"
    assert session.talk.tree[ids[1]].state == "cut"
    rest, last = await said(session.go_on(ids[1], Sampling(temperature=0)))
    assert isinstance(last, Finished)
    assert 0 < len(first) < len(whole)
    assert session.turns[-1].text == first.rstrip() + rest == whole
    assert len(session.turns) == 2


async def test_a_conversation_with_a_picture_comes_back_and_goes_on(session: Session, tmp_path: Path) -> None:
    ids = new_id(), new_id()
    picture = load(asset("samples", "scene.png"))
    asked = session.chat([picture, TextPart("What is in the picture?")], Sampling(temperature=0), ids=ids)
    seen, _ = await said(asked)
    assert "star" in seen
    async with aclosing(session.regenerate(ids[0], Sampling(temperature=0, max_tokens=2))) as events:
        assert [event async for event in events][-1]
    history = History(tmp_path / "history")
    latest = history.latest()
    assert latest is not None
    assert (latest.turns, latest.images) == (3, 1)
    session.converse(Talk(history, history.load(latest.id)))
    session.talk.show(ids[1])
    again, _ = await said(session.regenerate(ids[0], Sampling(temperature=0)))
    assert again == seen
    assert history.close()
