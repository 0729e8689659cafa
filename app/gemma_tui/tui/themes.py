"""The themes of our own: two calm ones with 4.5:1 of contrast for every text (WCAG 2 AA), two with 7:1 (AAA)."""

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


HIGH_DARK = Theme(
    name="gemma-high-dark",
    primary="#7fd4ff",
    secondary="#e0e0e0",
    accent="#ffb3ff",
    warning="#ffd84d",
    error="#ff9e9e",
    success="#7dff8a",
    foreground="#ffffff",
    background="#000000",
    surface="#0d0d0d",
    panel="#262626",
    dark=True,
    variables={
        "muted": "#d0d0d0",
        "faint": "#8c8c8c",
        "border": "#7fd4ff",
        "border-blurred": "#b0b0b0",
        "input-cursor-background": "#ffffff",
        "input-cursor-foreground": "#000000",
        "input-cursor-text-style": "none",
        "input-selection-background": "#ffd84d",
        "input-selection-foreground": "#000000",
        "footer-key-foreground": "#7fd4ff",
        "block-cursor-background": "#7fd4ff",
        "block-cursor-foreground": "#000000",
        "scrollbar": "#b0b0b0",
        "scrollbar-background": "#000000",
    },
)

HIGH_LIGHT = Theme(
    name="gemma-high-light",
    primary="#00339c",
    secondary="#2e2e2e",
    accent="#5c0a8f",
    warning="#5c3500",
    error="#8a0010",
    success="#004d0d",
    foreground="#000000",
    background="#ffffff",
    surface="#f5f5f5",
    panel="#e6e6e6",
    dark=False,
    variables={
        "muted": "#383838",
        "faint": "#767676",
        "border": "#00339c",
        "border-blurred": "#595959",
        "input-cursor-background": "#000000",
        "input-cursor-foreground": "#ffffff",
        "input-cursor-text-style": "none",
        "input-selection-background": "#00339c",
        "input-selection-foreground": "#ffffff",
        "footer-key-foreground": "#00339c",
        "block-cursor-background": "#00339c",
        "block-cursor-foreground": "#ffffff",
        "scrollbar": "#595959",
        "scrollbar-background": "#ffffff",
    },
)

for _theme in (DARK, LIGHT, HIGH_DARK, HIGH_LIGHT):
    # Textual would blend these with the background, and then some could no longer be read.
    _theme.variables |= {
        f"text-{name}": str(getattr(_theme, name))
        for name in ("primary", "secondary", "accent", "warning", "error", "success")
    } | {"text-muted": _theme.variables["muted"]}

OWN = {theme.name: theme for theme in (DARK, LIGHT, HIGH_DARK, HIGH_LIGHT)}
"""Our own themes by name."""
_NEXT = {
    DARK.name: LIGHT.name, LIGHT.name: DARK.name, HIGH_DARK.name: HIGH_LIGHT.name, HIGH_LIGHT.name: HIGH_DARK.name,
}  # fmt: skip


def other_way_round(theme: Theme) -> str:
    """The name of the theme that is light where this one is dark, and dark where it is light."""
    return _NEXT.get(theme.name) or (LIGHT.name if theme.dark else DARK.name)


def high_contrast(theme: Theme) -> str:
    """The name of our theme of high contrast that is as dark or light as this one; from one of those the calm one."""
    if theme.name in (HIGH_DARK.name, HIGH_LIGHT.name):
        return DARK.name if theme.dark else LIGHT.name
    return HIGH_DARK.name if theme.dark else HIGH_LIGHT.name


def variable_defaults() -> dict[str, str]:
    """The style sheet's own variables, for themes that do not define them: a grey that reads on dark and light."""
    return {"muted": "#828b98", "faint": "#626b78"}
