"""Contrast by WCAG 2, and themes of others made legible: each colour of text is moved until it can be read."""

from __future__ import annotations

from dataclasses import replace

from textual.color import Color
from textual.theme import Theme

LEAST = 4.5
"""WCAG 2.2, success criterion 1.4.3 (AA)."""
_STEPS = 40
# Colours of a theme are rounded on their way to the screen.
_AIM = LEAST + 0.1


def contrast(one: Color, other: Color) -> float:
    """The contrast ratio of two opaque colours, 1 to 21 (WCAG 2.2, "relative luminance")."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def moved(colour: Color, grounds: list[Color], towards: Color, least: float = LEAST) -> Color:
    """`colour`, or the nearest one on the way to `towards` that can be read on each of `grounds`."""
    for step in range(_STEPS + 1):
        shown = colour.blend(towards, step / _STEPS)
        if min(contrast(shown, ground) for ground in grounds) >= least:
            return shown
    return towards


def legible(theme: Theme) -> Theme:
    """The theme with text colours of at least `LEAST` on all of its backgrounds; what can be read stays as it is.

    Themes that leave their colours to the terminal stay as they are: nobody here knows what those are.
    """
    system = theme.to_color_system().generate()
    grounds = [Color.parse(system[name]) for name in ("background", "surface", "panel")]
    if any(ground.ansi is not None for ground in grounds):
        return theme
    towards = Color.parse("#ffffff" if theme.dark else "#000000")
    made = {
        name: moved(Color.parse(system[name]), grounds, towards, _AIM).hex
        for name in ("primary", "secondary", "accent", "warning", "error", "success", "foreground")
    }
    muted = moved(Color.parse(made["foreground"]).blend(grounds[0], 0.35), grounds, towards, LEAST + 0.5).hex
    variables = {
        "muted": muted,
        "faint": Color.parse(made["foreground"]).blend(grounds[0], 0.75).hex,
        "text-muted": muted,
        "border": made["primary"],
        "border-blurred": Color.parse(made["foreground"]).blend(grounds[0], 0.75).hex,
        "footer-key-foreground": made["primary"],
        "block-cursor-background": made["primary"],
        "block-cursor-foreground": grounds[0].hex,
        "input-cursor-background": made["foreground"],
        "input-cursor-foreground": grounds[0].hex,
        "input-selection-background": made["primary"],
        "input-selection-foreground": grounds[0].hex,
        "screen-selection-background": made["primary"],
        "screen-selection-foreground": grounds[0].hex,
        "scrollbar": Color.parse(made["foreground"]).blend(grounds[0], 0.6).hex,
        "scrollbar-background": grounds[0].hex,
    }
    for name in ("primary", "secondary", "accent", "warning", "error", "success"):
        variables[f"text-{name}"] = made[name]
    return replace(
        theme,
        primary=made["primary"],
        secondary=made["secondary"],
        accent=made["accent"],
        warning=made["warning"],
        error=made["error"],
        success=made["success"],
        foreground=made["foreground"],
        background=grounds[0].hex,
        surface=grounds[1].hex,
        panel=grounds[2].hex,
        variables=theme.variables | variables,
    )
