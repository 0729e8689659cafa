"""Pictures of the completion studio at 80x24 and 120x40, dark and light."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from gemma_assets import path as asset
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Opened, Opening, Wanted, open_session
from gemma_tui.tui.screens.studio_few_shot import FewShotScreen
from stubs.completion_server import CompletionServer
from tui.pilots import pad_of, ready, until
from tui.studio_pilots import go_on

LOOKS = [((80, 24), "gemma-dark"), ((80, 24), "gemma-light"), ((120, 40), "gemma-dark"), ((120, 40), "gemma-light")]
Compare = Callable[..., bool]
PROMPT = "  Once upon a time\tthere was a girl"
TEXTS = [
    " named Ella, who lived at the edge of the forest. Every morning she counted the birds on the old wall.\n\n"
    'One day the crow spoke. "You count us," it said, "but you never ask our names."',
    " who could not sleep. The night was full of small sounds, and she gave each one a name.",
    " in the north, where winters are so long that people keep their summers in jars.",
]


def studio(theme: str, *, board: bool = False) -> GemmaApp:
    """The app on a server that is started with it, under an address that stays the same."""

    async def opener(wanted: Wanted) -> Opening:
        server = CompletionServer(models=["bg-digitalservices/Gemma-4-E2B-NVFP4A16"], texts=TEXTS)
        await server.__aenter__()
        opened = await open_session(wanted.on(server.url))
        assert isinstance(opened, Opened)
        return dataclasses.replace(opened, title="http://workstation:8000")

    return GemmaApp(Wanted(), opener=opener, poll=False, board=board, now=lambda: 12.0, theme=theme)


def pressed(*keys: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    """Writes the beginning of a story, lets the model go on, then presses `keys`."""

    async def before(pilot: Pilot[int]) -> None:
        await ready(pilot)
        await pilot.press("f2")
        assert isinstance(pilot.app, GemmaApp)
        pad_of(pilot.app).put(PROMPT)
        await go_on(pilot, "ctrl+g")
        for key in keys:
            await go_on(pilot, key)

    return before


@pytest.mark.parametrize(("size", "theme"), LOOKS)
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(("f8", "ctrl+g"), id="written"),
        pytest.param(("f6", *["left"] * 4, "down"), id="tokens"),
        pytest.param(("f9", "f7", "right"), id="alternatives"),
    ],
)
def test_studio(snap_compare: Compare, size: tuple[int, int], theme: str, keys: tuple[str, ...]) -> None:
    assert snap_compare(studio(theme), terminal_size=size, run_before=pressed(*keys))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_with_the_dashboard(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(studio("gemma-dark", board=True), terminal_size=size, run_before=pressed("f6", "left"))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize(
    "keys", [pytest.param(("alt+c", "down", "down", "right"), id="controls"), pytest.param(("alt+m",), id="menu")]
)
def test_sheets(snap_compare: Compare, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    assert snap_compare(studio("gemma-dark"), terminal_size=size, run_before=pressed(*keys))


def test_few_shot(snap_compare: Compare) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await pressed()(pilot)
        await pilot.press("alt+m", *["down"] * 6, "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, FewShotScreen))
        await pilot.press("tab", *"mint")
        await pilot.pause()

    assert snap_compare(studio("gemma-dark"), terminal_size=(80, 24), run_before=before)


def test_media(snap_compare: Compare, tmp_path: Path) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await pressed("f9")(pilot)
        assert isinstance(pilot.app, GemmaApp)
        room = pilot.app.main.studio
        assert room is not None
        room.attach([asset("samples", "scene.png"), asset("samples", "words.wav")], 0, 0)
        await until(pilot, lambda: len(room.studio.document.marks) == 2)
        await pilot.pause()

    assert snap_compare(studio("gemma-light"), terminal_size=(80, 24), run_before=before)
