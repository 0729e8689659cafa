"""A conversation's tree as rows: turns under one another, indented only where a conversation branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.session.tree import Tree
    from gemma_backend.types import Node

_WHO = {"user": "You", "assistant": "Gemma", "system": "System"}
_MEDIA = {"image": "▣", "audio": "♪"}
_FIRST_WORDS = 200


@dataclass(frozen=True, slots=True)
class BranchRow:
    """One turn: `guide` are the lines of the tree before it, `shown` says that it is on the branch that is shown."""

    node: int
    guide: str
    who: str
    text: str
    place: str
    shown: bool


def branch_rows(tree: Tree) -> list[BranchRow]:
    """A row for each turn, a turn's descendants right below it, siblings in the order of time."""
    shown = {node.id for node in tree.path()}
    rows: list[BranchRow] = []
    waiting: list[tuple[Node, str, str]] = _siblings(tree, None, "")
    while waiting:
        node, before, guide = waiting.pop()
        place, among = tree.siblings(node.id)
        text = " ".join(node.text[:_FIRST_WORDS].split())
        media = "".join(_MEDIA.get(getattr(part, "kind", ""), "") for part in node.parts)
        rows.append(
            BranchRow(
                node.id,
                before + guide,
                _WHO[node.role],
                f"{media} {text}".strip() or "(nothing)",
                f"{place}/{among}" if among > 1 else "",
                node.id in shown,
            )
        )
        below = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[guide]
        waiting.extend(_siblings(tree, node.id, below))
    return rows


def _siblings(tree: Tree, parent: int | None, before: str) -> list[tuple[Node, str, str]]:
    """The children of a turn with their guides, the last one first, as a stack takes them."""
    children = tree.children(parent)
    if len(children) == 1:
        return [(children[0], before, "")]
    last = len(children) - 1
    return [(child, before, "└─ " if index == last else "├─ ") for index, child in reversed(list(enumerate(children)))]
