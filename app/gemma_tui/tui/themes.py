"""The two themes of our own: calm, with at least 4.5:1 of contrast for every text (WCAG 2 AA)."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="gemma-dark",
    primary="#82aaff",
    secondary="#a6b3c6",
    accent="#c3a6ff",
    warning="#e6b673",
    error="#ff8b92",
    success="#9fd49b",
    foreground="#d9dee7",
    background="#10141b",
    surface="#171c25",
    panel="#1e2530",
    dark=True,
    variables={
        "muted": "#909bab",
        "faint": "#3a4454",
        "border": "#82aaff",
        "border-blurred": "#3a4454",
        "input-cursor-background": "#d9dee7",
        "input-cursor-foreground": "#10141b",
        "input-cursor-text-style": "none",
        "input-selection-background": "#2f4368",
        "input-selection-foreground": "#ffffff",
        "footer-key-foreground": "#82aaff",
        "block-cursor-background": "#82aaff",
        "block-cursor-foreground": "#10141b",
        "scrollbar": "#3a4454",
        "scrollbar-background": "#10141b",
    },
)

LIGHT = Theme(
    name="gemma-light",
    primary="#1d57c2",
    secondary="#4c5766",
    accent="#6b3fb5",
    warning="#8a5300",
    error="#b3202c",
    success="#23702a",
    foreground="#22272e",
    background="#fbfaf7",
    surface="#f2f0ea",
    panel="#e8e5dc",
    dark=False,
    variables={
        "muted": "#5c6470",
        "faint": "#c3bfb3",
        "border": "#1d57c2",
        "border-blurred": "#c3bfb3",
        "input-cursor-background": "#22272e",
        "input-cursor-foreground": "#fbfaf7",
        "input-cursor-text-style": "none",
        "input-selection-background": "#bcd0f7",
        "input-selection-foreground": "#11151b",
        "footer-key-foreground": "#1d57c2",
        "block-cursor-background": "#1d57c2",
        "block-cursor-foreground": "#fbfaf7",
        "scrollbar": "#c3bfb3",
        "scrollbar-background": "#fbfaf7",
    },
)


def variable_defaults() -> dict[str, str]:
    """The style sheet's own variables, for themes that do not define them: a grey that reads on dark and light."""
    return {"muted": "#828b98", "faint": "#626b78"}
