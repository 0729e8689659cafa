"""A conversation as Markdown: who speaks as headings, what was said as it was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote

from gemma_backend.store.exports.branches import clock, ending
from gemma_backend.types import MediaRef, Node, Summary, TextPart

Place = Callable[[MediaRef], str | None]
"""Says under which path, relative to the Markdown file, a picture or clip can be found; None where it cannot."""

_WHO = {"user": "You", "assistant": "Model", "system": "System"}


def to_markdown(about: Summary, turns: Sequence[Node], place: Place = lambda ref: None) -> str:
    """The turns under a heading with title, day and model; a completion document is its text, fenced."""
    facts = [clock(about.created), about.model, about.profile, " ".join(f"#{tag}" for tag in about.tags)]
    pieces = [f"# {about.title or 'Untitled'}", " · ".join(fact for fact in facts if fact)]
    for node in turns:
        if about.kind == "chat":
            said = f" ({words})" if (words := ending(node)) else ""
            pieces.append(f"## {_WHO[node.role]}{said}")
        pieces += [_medium(part, place) for part in node.parts if isinstance(part, MediaRef)]
        if node.reasoning:
            reasoning = node.reasoning.strip("\n")
            fence = _fence(reasoning)
            pieces.append(f"<details><summary>Reasoning</summary>\n\n{fence}text\n{reasoning}\n{fence}\n\n</details>")
        text = "".join(part.text for part in node.parts if isinstance(part, TextPart))
        if about.kind == "completion":
            fence = _fence(text)
            pieces.append(f"{fence}text\n{text}\n{fence}")
        elif text:
            pieces.append(text.strip("\n"))
        if node.note:
            pieces.append(f"*{node.note}*")
    return "\n\n".join(pieces) + "\n"


def _medium(ref: MediaRef, place: Place) -> str:
    name = ref.name.replace("[", "(").replace("]", ")").replace("\n", " ")
    target = place(ref)
    if target is None:
        return f"*{'Picture' if ref.kind == 'image' else 'Clip'}: {name}*"
    return f"{'!' if ref.kind == 'image' else ''}[{name}]({quote(target)})"


def _fence(text: str) -> str:
    """A row of backquotes that is nowhere in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return fence
