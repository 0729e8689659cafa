"""Probabilities as colours: the less a model expected a token, the warmer the ground that it stands on."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.style import Style
from textual.color import Color

from gemma_tui.tui.contrast import moved

STEPS = (0.9, 0.5, 0.2, 0.05, 0.01)
"""A probability of at least the first is level 0, of at least the second level 1, and so on."""
_LOGARITHMS = tuple(math.log(step) for step in STEPS)
# Share of the theme's warning colour, then of its error colour, in the background.
_MIX = ((0.0, 0.0), (0.16, 0.0), (0.32, 0.0), (0.0, 0.24), (0.0, 0.36), (0.0, 0.48))


def level(logprob: float | None) -> int:
    """From 0, expected, to 5, a surprise; a token without a probability is no surprise."""
    if logprob is None:
        return 0
    return next((number for number, edge in enumerate(_LOGARITHMS) if logprob >= edge), len(STEPS))


def heat_styles(variables: Mapping[str, str]) -> tuple[Style, ...]:
    """A style for each level, to be laid over a text's own; the two highest are underlined for those who see no colour.

    `variables` are those of the theme.
    """
    ground = Color.parse(variables["background"])
    warm, hot = Color.parse(variables["warning"]), Color.parse(variables["error"])
    front = Color.parse(variables["foreground"])
    styles = [Style()]
    for number, (warning, error) in enumerate(_MIX[1:], start=1):
        mixed = ground.blend(warm, warning).blend(hot, error)
        underline = True if number >= len(STEPS) - 1 else None
        shown = moved(front, [mixed], mixed.get_contrast_text(1.0))
        styles.append(Style(color=shown.rich_color, bgcolor=mixed.rich_color, underline=underline))
    return tuple(styles)


def percent(logprob: float | None) -> str:
    """A probability in at most six characters."""
    if logprob is None:
        return "-"
    share = math.exp(logprob)
    if share >= 0.0995:
        return f"{share:.1%}"
    return f"{share:.2%}" if share >= 0.0001 else "<0.01%"
