"""What a person does with dashboards: hold them, zoom their courses, choose the latencies' window, write them down."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType

from gemma_backend.metrics.window import WINDOWS
from gemma_tui.tui.widgets import dashboard_words as words
from gemma_tui.tui.widgets.dashboard_board import SPANS
from gemma_tui.tui.widgets.keybar import Key

if TYPE_CHECKING:
    from gemma_backend.metrics.history import History
    from gemma_backend.metrics.poll import Poller
    from gemma_tui.tui.widgets.dashboard import Dashboard

WATCHING_KEYS: list[BindingType] = [
    Binding("space,p", "pause", "Pause"),
    Binding("plus,equals_sign,left", "zoom(-1)", "Shorter charts"),
    Binding("minus,right", "zoom(1)", "Longer charts"),
    Binding("w", "window", "Window of the latencies"),
    Binding("e", "export", "Write CSV and JSON"),
]
"""Bindings of whoever uses the functions below."""


def watching_keys(board: Dashboard, namespace: str) -> tuple[Key, ...]:
    """The keys with what is chosen now; `namespace` is who has their actions: `app` or `screen`."""
    return (
        Key("Space", "Go on" if board.held else "Pause", f"{namespace}.pause"),
        Key("- +", f"Charts {words.span(board.view.span)}", f"{namespace}.zoom(1)"),
        Key("w", f"Latencies {words.span(board.view.window)}", f"{namespace}.window"),
        Key("e", "Export", f"{namespace}.export"),
    )


def hold(boards: Iterable[Dashboard], held: bool) -> None:
    """Let the pictures stand still, or go on."""
    for board in boards:
        board.held = held


def zoom(boards: Iterable[Dashboard], step: int) -> None:
    """Show a longer time in each course, or with a negative `step` a shorter one."""
    for board in boards:
        place = SPANS.index(board.view.span) + step
        board.view = dataclasses.replace(board.view, span=SPANS[max(0, min(place, len(SPANS) - 1))])


def next_window(boards: Iterable[Dashboard], pollers: Iterable[Poller]) -> None:
    """Tell latencies for the next of the windows, from the next sample on."""
    window = WINDOWS[0]
    for board in boards:
        window = WINDOWS[(WINDOWS.index(board.view.window) + 1) % len(WINDOWS)]
        board.view = dataclasses.replace(board.view, window=window)
    for poller in pollers:
        poller.window = window


async def export(histories: Mapping[str, History], folder: Path) -> str:
    """Write histories as CSV and JSON into `folder`; returns a sentence that says where, or why not."""
    from gemma_backend.metrics.export import as_csv, as_json

    now = datetime.datetime.now().astimezone()
    path = folder / f"gemma-tui-{now:%Y%m%d-%H%M%S}"
    try:
        for ending, form in ((".csv", as_csv), (".json", as_json)):
            text = await asyncio.to_thread(form, histories, now)
            await asyncio.to_thread(path.with_suffix(ending).write_text, text, encoding="utf-8")
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror}. Start in another folder."
    return f"Written: {path}.csv and .json"
