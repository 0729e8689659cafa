"""Which turns of a conversation are written: those of the branch that is shown, or of every branch."""

from __future__ import annotations

from datetime import datetime

from gemma_backend.types import Node, Stored

_ENDINGS = {
    "running": "unfinished",
    "stopped": "stopped",
    "cut": "cut off at the limit of tokens",
    "failed": "broken off",
}


def shown_branch(stored: Stored) -> list[Node]:
    """The turns of the branch that is shown, the first one first."""
    return _path({node.id: node for node in stored.nodes}, stored.leaf)


def every_branch(stored: Stored) -> list[list[Node]]:
    """Each branch to its last turn, in the order of these."""
    nodes = {node.id: node for node in stored.nodes}
    parents = {node.parent for node in stored.nodes}
    return [_path(nodes, node.id) for node in stored.nodes if node.id not in parents]


def clock(seconds: float) -> str:
    """A moment in local time, to the minute."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def ending(node: Node) -> str:
    """What there is to say of a reply that did not come to its end, in a few words; empty for one that did."""
    return _ENDINGS.get(node.state, "")


def _path(nodes: dict[int, Node], leaf: int | None) -> list[Node]:
    turns: list[Node] = []
    id = leaf
    while id is not None and id in nodes:
        turns.append(nodes[id])
        id = nodes[id].parent
    turns.reverse()
    return turns
