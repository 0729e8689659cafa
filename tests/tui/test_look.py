"""What every screen looks like: nothing cut off, every text with enough contrast, in small and large terminals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

import pytest
from rich.color import Color as RichColor
from rich.segment import Segment
from textual.color import Color
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.screen import ModalScreen, Screen
from textual.scroll_view import ScrollView
from textual.theme import BUILTIN_THEMES, Theme
from textual.widget import Widget
from textual.widgets import Input, Static

from gemma_tui.tui import screens
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.contrast import contrast, legible
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.themes import HIGH_DARK, HIGH_LIGHT, OWN
from tui.pilots import screen_text, until
from tui.walk import SHOWN, walk, walking

TEXT = re.compile(r"\w")
TERMINALS = ("ansi-dark", "ansi-light")
"""Themes that leave their colours to the terminal."""


def test_the_walk_comes_by_every_screen() -> None:
    found = set()
    for module in iter_modules(screens.__path__):
        for value in vars(import_module(f"gemma_tui.tui.screens.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, ModalScreen) and value.__module__.endswith(module.name):
                found.add(value)
    assert found - {SheetScreen} == set(SHOWN)


# -- contrast


def opaque(colour: RichColor | None) -> Color | None:
    """A colour of a strip; None for one that is the terminal's own."""
    return Color(*colour.triplet) if colour is not None and colour.triplet is not None else None


def texts(screen: Screen[object]) -> Iterator[tuple[str, Color, Color]]:
    """Every piece of text on a screen with its colour and what is behind it."""
    for strip in screen._compositor.render_strips():
        for segment in strip:
            assert isinstance(segment, Segment)
            if segment.style is None or not TEXT.search(segment.text):
                continue
            front, back = opaque(segment.style.color), opaque(segment.style.bgcolor)
            if front is not None and back is not None:
                if segment.style.reverse:
                    front, back = back, front
                yield segment.text, front.blend(back, 0.5) if segment.style.dim else front, back


def settled(app: GemmaApp) -> bool:
    """Whether the transcript, which keeps its colours for speed, has those of the theme that was chosen last."""
    kept = app.main.transcript._prepare().palette["text"].color
    return opaque(kept) == Color.parse(app.theme_variables["foreground"])


@pytest.mark.parametrize("theme", OWN)
async def test_every_text_on_every_screen_can_be_read(theme: str) -> None:
    least = 7.0 if theme in (HIGH_DARK.name, HIGH_LIGHT.name) else 4.5
    faint: dict[tuple[str, str, str], str] = {}
    seen = 0

    async def look(name: str, pilot: Pilot[int]) -> None:
        nonlocal seen
        for text, front, back in texts(pilot.app.screen):
            seen += 1
            if (ratio := contrast(front, back)) < least:
                faint.setdefault((name, front.hex, back.hex), f"{ratio:.2f} {text.strip()[:40]!r}")

    async with walking((120, 40), theme) as (app, pilot):
        await walk(app, pilot, look)
    assert not faint, "\n".join(f"{what}: {said}" for what, said in faint.items())
    assert seen > 500


async def test_themes_of_others_can_be_read_too() -> None:
    others = [name for name in BUILTIN_THEMES if name not in TERMINALS]
    faint: dict[tuple[str, str, str], str] = {}

    async def look(name: str, pilot: Pilot[int]) -> None:
        if name not in ("conversation", "studio tokens", "help"):
            return
        for theme in others:
            pilot.app.theme = theme
            await until(pilot, lambda: settled(pilot.app))  # type: ignore[arg-type]
            for text, front, back in texts(pilot.app.screen):
                if (ratio := contrast(front, back)) < 4.5:
                    faint.setdefault((theme, front.hex, back.hex), f"{ratio:.2f} {name} {text.strip()[:40]!r}")

    async with walking((120, 40)) as (app, pilot):
        await walk(app, pilot, look)
    assert not faint, "\n".join(f"{what}: {said}" for what, said in faint.items())


THEMES = [*OWN.values(), *(legible(theme) for name, theme in BUILTIN_THEMES.items() if name not in TERMINALS)]


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_pair_of_the_palette_can_be_read(theme: Theme) -> None:
    colours = theme.to_color_system().generate() | theme.variables
    for ground in ("background", "surface", "panel"):
        for text in ("foreground", "muted", "primary", "secondary", "accent", "warning", "error", "success"):
            ratio = contrast(Color.parse(colours[text]), Color.parse(colours[ground]))
            assert ratio >= 4.5, (theme.name, text, ground, ratio)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(Color.parse("#000000"), Color.parse("#ffffff")) == pytest.approx(21)
    assert contrast(Color.parse("#777777"), Color.parse("#ffffff")) == pytest.approx(4.48, abs=0.01)
    assert contrast(Color.parse("#0000ff"), Color.parse("#ffffff")) == pytest.approx(8.59, abs=0.01)


# -- room


def scrolls(widget: Widget) -> bool:
    """Whether what does not fit can be reached by scrolling something around the widget."""
    return any(isinstance(around, VerticalScroll | ScrollView) for around in widget.ancestors)


def cut(screen: Screen[object]) -> Iterator[str]:
    """What of a screen lies outside of it, or has no room for what it says."""
    for widget in screen.walk_children(Widget):
        if not widget.display or not widget.visible or any(not around.display for around in widget.ancestors):  # type: ignore[attr-defined]
            continue
        said = f"{type(widget).__name__} #{widget.id or ''}"
        if not scrolls(widget):
            if not screen.region.contains_region(widget.region):
                yield f"{said} lies outside: {widget.region}"
            if widget.styles.height is not None and not widget.region.area:
                yield f"{said} has no room"
        for title in (widget.border_title, widget.border_subtitle):
            if title and len(str(title)) + 4 > widget.outer_size.width:
                yield f"{said} is too narrow for {title!r}"
        if isinstance(widget, Static) and not isinstance(widget, Input) and not scrolls(widget):
            needed = widget.get_content_height(screen.size, screen.size, widget.content_size.width)
            if needed > widget.content_size.height:
                yield f"{said} has {widget.content_size.height} rows and needs {needed}"


@pytest.mark.parametrize("size", [(80, 24), (300, 100)], ids=["80x24", "300x100"])
async def test_nothing_is_cut_off(size: tuple[int, int]) -> None:
    wrong: list[str] = []
    names: list[str] = []

    async def look(name: str, pilot: Pilot[int]) -> None:
        app = pilot.app
        assert isinstance(app, GemmaApp)
        names.append(name)
        wrong.extend(f"{name}: {what}" for what in cut(app.screen))
        # Names of files and words of a person are cut where they are long; what the program says is not.
        rows = screen_text(app).splitlines() if name not in ("branches", "log") else []
        wrong.extend(f"{name}: {row}" for row in rows if re.search(r"\w…", row))

    async with walking(size) as (app, pilot):
        await walk(app, pilot, look)
    assert not wrong, "\n".join(wrong)
    assert len(names) > 30 and len(names) == len(set(names))
