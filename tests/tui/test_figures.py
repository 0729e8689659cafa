"""The dashboard over the whole screen, from the main one."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App

from gemma_backend.metrics.poll import Poller
from gemma_backend.types import Sample
from gemma_tui.tui.screens.figures import FiguresScreen
from gemma_tui.tui.themes import DARK
from gemma_tui.tui.widgets.dashboard import Dashboard


class Small(App[None]):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self.board = Dashboard()
        self.poller = Poller(None)
        self.folder = folder

    def on_mount(self) -> None:
        self.mount(self.board)
        self.push_screen(FiguresScreen(self.board, self.poller, self.folder))


async def test_it_shares_history_and_shows_what_the_panel_is_given(tmp_path: Path) -> None:
    app = Small(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        app.board.show_engine("ready")
        app.board.show(Sample(1.0, generation_rate=123.4))
        figures = app.screen
        assert isinstance(figures, FiguresScreen)
        while "123.4 tok/s" not in figures.board.words():
            await pilot.pause(0.05)
        assert figures.board.history is app.board.history
        assert len(figures.board.history) == 1
        await pilot.press("w", "minus", "space")
        assert app.poller.window == 300
        assert figures.board.view.span == 300
        app.board.show(Sample(2.0, generation_rate=99.9))
        await pilot.pause(0.7)
        assert "123.4 tok/s" in figures.board.words()
        await pilot.press("e")
        while len(list(tmp_path.iterdir())) < 2:
            await pilot.pause(0.05)
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is not figures
        # What was chosen there holds for the panel, too.
        assert app.board.view.span == 300


@pytest.mark.parametrize("size", [(80, 24), (60, 15)])
async def test_it_fits_small_terminals(tmp_path: Path, size: tuple[int, int]) -> None:
    app = Small(tmp_path)
    async with app.run_test(size=size) as pilot:
        app.board.show(Sample(1.0, generation_rate=123.4))
        await pilot.pause(0.7)
        figures = app.screen
        assert isinstance(figures, FiguresScreen)
        assert "generation" in figures.board.words()
        assert figures.board.size.height == size[1] - 1
