"""The styles that layout uses, by name, resolved from the theme."""

from __future__ import annotations

from collections.abc import Mapping

from rich.style import Style

STRONG, EMPHASIS, STRIKE, CODE, LINK, MATH = 1, 2, 4, 8, 16, 32

NAMES = (
    "text", "muted", "user", "assistant", "system", "prompt", "generated", "reasoning", "heading", "subheading",
    "code", "code-label", "inline-code", "link", "math", "marker", "quote", "rule", "table-head", "ok", "warning",
    "error", "bar", "chosen", "thumb", "more", "keyword", "string", "number", "comment", "function", "type", "constant",
    "operator", "deleted", "inserted", "fold",
)  # fmt: skip
"""Every style; `transcript--NAME` is the component class that a theme or style sheet sets it by."""


class Palette:
    """Rich styles by name, and their combinations for inline Markdown."""

    def __init__(self, styles: Mapping[str, Style]) -> None:
        self._styles = dict(styles)
        self._inline: dict[tuple[str, int], Style] = {}

    def __getitem__(self, name: str) -> Style:
        return self._styles[name]

    def inline(self, name: str, flags: int) -> Style:
        """The style `name` with emphasis, code, link and math marks on top."""
        if not flags:
            return self._styles[name]
        style = self._inline.get((name, flags))
        if style is None:
            style = self._styles[name]
            if flags & CODE:
                style += self._styles["inline-code"]
            if flags & MATH:
                style += self._styles["math"]
            if flags & LINK:
                style += self._styles["link"]
            style += Style(
                bold=True if flags & STRONG else None,
                italic=True if flags & EMPHASIS else None,
                strike=True if flags & STRIKE else None,
            )
            self._inline[(name, flags)] = style
        return style


def plain_palette() -> Palette:
    """A palette without colours, for measuring and for tests."""
    return Palette({name: Style() for name in NAMES})
