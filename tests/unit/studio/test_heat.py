"""The heat map: which token gets which colour, and that its text can be read in both themes."""

from __future__ import annotations

import math

import pytest
from textual.color import Color

from gemma_tui.tui.studio.heat import STEPS, heat_styles, level, percent
from gemma_tui.tui.themes import DARK, LIGHT


def luminance(color: Color) -> float:
    """Relative luminance by WCAG 2."""
    channels = [value / 255 for value in (color.r, color.g, color.b)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Color, other: Color) -> float:
    """Contrast ratio by WCAG 2."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT])
def test_text_on_every_level_can_be_read_and_levels_can_be_told_apart(theme: object) -> None:
    names = ("background", "warning", "error", "foreground")
    styles = heat_styles({name: getattr(theme, name) for name in names})
    assert len(styles) == len(STEPS) + 1
    grounds = [Color.from_rich_color(style.bgcolor) for style in styles[1:]]
    front = Color.from_rich_color(styles[1].color)
    assert all(contrast(front, ground) >= 4.5 for ground in grounds)
    assert len({ground.hex for ground in grounds}) == len(grounds)
    # Not by colour alone.
    assert [bool(style.underline) for style in styles] == [False, False, False, False, True, True]


@pytest.mark.parametrize(
    ("share", "expected"), [(1.0, 0), (0.9, 0), (0.89, 1), (0.5, 1), (0.3, 2), (0.1, 3), (0.02, 4), (0.001, 5)]
)
def test_levels_go_by_probability(share: float, expected: int) -> None:
    assert level(math.log(share)) == expected
    assert level(None) == 0
    assert level(-9999.0) == 5


@pytest.mark.parametrize(
    ("logprob", "shown"),
    [(0.0, "100.0%"), (math.log(0.123), "12.3%"), (math.log(0.0123), "1.23%"), (-20.0, "<0.01%"), (None, "-")],
)
def test_probabilities_are_short(logprob: float | None, shown: str) -> None:
    assert percent(logprob) == shown
