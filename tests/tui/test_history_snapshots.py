"""Pictures of the history, of a chosen turn and of the tree of branches at 80x24 and 120x40."""

import sqlite3
from contextlib import closing

import pytest
from textual.pilot import Pilot

from gemma_backend.store.history import History
from gemma_backend.types import Node, TextPart, new_id
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.screens.branches import BranchScreen
from gemma_tui.tui.screens.history import HistoryScreen
from tui.pilots import idle, ready, screen_text, until
from tui.test_snapshots import SIZES, Compare, feed_dashboard, on_a_server

THEMES = ["gemma-dark", "gemma-light"]
TALKS = (
    (
        "Why is the sky blue, and why are sunsets red?",
        "Air scatters short wavelengths; the light of a low sun lost them.",
    ),
    ("Write a haiku about a lighthouse", "A beam through the fog, the lighthouse keeper yawns"),
    ("How do tides work?", "The Moon pulls on the near side of the Earth more than on the far side."),
)


def fill() -> None:
    """Conversations of days long ago: what is of today would look different each day."""
    history = History()
    for number, (question, answer) in enumerate(TALKS):
        place, asked = history.place(None), Node(new_id(), None, "user", (TextPart(question),))
        reply = Node(new_id(), asked.id, "assistant", (TextPart(answer),), model="gemma-tui/pocket")
        history.begin(place, [asked, reply], leaf=reply.id, profile="pocket", model="gemma-tui/pocket").result()
        if not number:
            history.pin(place.known(), True).result()
            history.set_tags(place.known(), ["physics"]).result()
    history.close()
    with closing(sqlite3.connect(history.path)) as connection:
        connection.execute("UPDATE conversation SET updated = 1500000000 - 90000 * id")
        connection.commit()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", THEMES)
def test_history(snap_compare: Compare, size: tuple[int, int], theme: str) -> None:
    async def before(pilot: Pilot[int]) -> None:
        app = pilot.app
        await ready(pilot)
        await pilot.press("f6")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and len(app.screen.found.items) == 3)
        await pilot.press(*"light")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and len(app.screen.found.items) == 2)
        await pilot.pause()

    fill()
    assert snap_compare(on_a_server(theme=theme), terminal_size=size, run_before=before)


async def _branched(pilot: Pilot[int]) -> GemmaApp:
    app = pilot.app
    assert isinstance(app, GemmaApp)
    await ready(pilot)
    await pilot.press(*"Why does the Moon not fall?", "enter")
    await idle(pilot)
    await pilot.press("f7", "r")
    await until(pilot, lambda: app.main.conversation.answering or len(app.main.talk.tree) == 3)  # type: ignore[union-attr]
    await idle(pilot)
    await pilot.press("f7")
    await until(pilot, lambda: "2/2" in screen_text(app))
    await feed_dashboard(pilot)
    return app


@pytest.mark.parametrize("size", SIZES)
def test_chosen_turn(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await _branched(pilot)

    assert snap_compare(on_a_server(), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES)
def test_branches(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[int]) -> None:
        app = await _branched(pilot)
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, BranchScreen) and "└─ Gemma" in screen_text(app))

    assert snap_compare(on_a_server(), terminal_size=size, run_before=before)
