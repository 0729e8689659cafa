"""A card above the composer for what a person should know or do something about."""

from __future__ import annotations

from typing import Literal

from textual.content import Content
from textual.widgets import Static

from gemma_backend.text.clean import clean

NoticeKind = Literal["info", "warning", "error"]

_SIGNS: dict[NoticeKind, tuple[str, str]] = {
    "info": ("i", "$primary"),
    "warning": ("!", "$warning"),
    "error": ("✗", "$error"),
}


class Notice(Static):
    """One message at a time: a sentence, and what can be done about it."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self.message = ""
        self.kind: NoticeKind = "info"

    def say(self, message: str, kind: NoticeKind = "info", *, advice: str = "", keys: str = "") -> None:
        """Show `message`, then `advice` and the `keys` that help; all of it is cleaned here."""
        self.message, self.kind = clean(message), kind
        sign, colour = _SIGNS[kind]
        content = Content.assemble((f"{sign} ", f"bold {colour}"), (self.message, "bold"))
        if advice:
            content = content + Content("\n") + Content(clean(advice))
        if keys:
            content = content + Content("\n") + Content.styled(keys, "$muted")
        self.update(content)
        self.set_classes(f"-open -{kind}")

    def close(self) -> None:
        """Take the card away."""
        self.message = ""
        self.set_classes("")
