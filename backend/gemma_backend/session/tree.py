"""A conversation as a tree of turns: each question and each reply can have siblings, and one branch is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gemma_backend.types import MediaRef, Node, Part, Role, TextPart, TurnState, new_id


class Tree:
    """Turns by number; `leaf` is the last one of the branch that is shown, None for an empty conversation."""

    def __init__(self, nodes: Iterable[Node] = (), leaf: int | None = None) -> None:
        self._nodes: dict[int, Node] = {}
        self._children: dict[int | None, list[int]] = {}
        # Which child was looked at last below each turn, so that going back to a branch shows it as it was left.
        self._shown: dict[int | None, int] = {}
        self.leaf: int | None = None
        # A parent may come after its child: imported turns can have any times.
        self._nodes = {node.id: node for node in nodes}
        for node in list(self._nodes.values()):
            self._put(node)
        self.leaf = leaf if leaf in self._nodes else self._deepest(None)
        self._remember()

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, id: object) -> bool:
        return id in self._nodes

    def __getitem__(self, id: int) -> Node:
        """The turn of that number; KeyError where there is none."""
        return self._nodes[id]

    @property
    def nodes(self) -> list[Node]:
        """All turns, each after its parent."""
        found: list[Node] = []
        waiting = list(reversed(self._children.get(None, [])))
        while waiting:
            id = waiting.pop()
            found.append(self._nodes[id])
            waiting.extend(reversed(self._children.get(id, [])))
        return found

    def path(self, to: int | None = None) -> list[Node]:
        """The turns from the first to `to`, by default to the end of the branch that is shown."""
        id = self.leaf if to is None else to
        turns: list[Node] = []
        while id is not None:
            node = self._nodes[id]
            turns.append(node)
            id = node.parent
        turns.reverse()
        return turns

    def children(self, id: int | None) -> list[Node]:
        """The turns that follow `id` directly, oldest first; of None the conversation's beginnings."""
        return [self._nodes[child] for child in self._children.get(id, [])]

    def siblings(self, id: int) -> tuple[int, int]:
        """Which of its siblings a turn is, from 1, and how many there are."""
        among = self._children[self._nodes[id].parent]
        return among.index(id) + 1, len(among)

    def sibling(self, id: int, step: int) -> int | None:
        """The sibling so many places on, or None at the end of the row."""
        among = self._children[self._nodes[id].parent]
        place = among.index(id) + step
        return among[place] if 0 <= place < len(among) else None

    def below(self, id: int) -> list[Node]:
        """A turn and all that follow from it."""
        found: list[Node] = []
        waiting = [id]
        while waiting:
            id = waiting.pop()
            found.append(self._nodes[id])
            waiting.extend(self._children.get(id, []))
        return found

    def add(
        self,
        role: Role,
        parts: Sequence[Part | MediaRef],
        parent: int | None,
        *,
        id: int | None = None,
        state: TurnState = "done",
        model: str = "",
    ) -> Node:
        """Add a turn below `parent` and show the branch that it ends."""
        id = new_id() if id is None else id
        node = Node(id, parent, role, tuple(parts), state, model=model, created=(id >> 20) / 1000)
        self._put(node)
        self.leaf = id
        self._remember()
        return node

    def change(self, node: Node) -> None:
        """Put `node` in place of the turn of its number, which has the same parent."""
        self._nodes[node.id] = node

    def show(self, id: int) -> None:
        """Show the branch through a turn, below it as it was last looked at."""
        self.leaf = self._deepest(id)
        self._remember()

    def remove(self, id: int) -> None:
        """Remove a turn and all that follow from it; a sibling is shown in its place, or else what came before."""
        node = self._nodes[id]
        on_path = any(turn.id == id for turn in self.path())
        beside = self.sibling(id, -1) or self.sibling(id, 1)
        for gone in self.below(id):
            del self._nodes[gone.id]
            self._children.pop(gone.id, None)
            self._shown.pop(gone.id, None)
        self._children[node.parent].remove(id)
        if self._shown.get(node.parent) == id:
            del self._shown[node.parent]
        if on_path:
            self.leaf = self._deepest(beside) if beside is not None else node.parent
            self._remember()

    def copy(self, to: int) -> Tree:
        """The branch from the first turn to `to` as a tree of its own, with new numbers."""
        forked = Tree()
        for node in self.path(to):
            forked.add(node.role, node.parts, forked.leaf, state=_ended(node.state), model=node.model)
            assert forked.leaf is not None
            added = forked[forked.leaf]
            forked.change(replace(added, reasoning=node.reasoning, note=node.note, created=node.created))
        return forked

    def _put(self, node: Node) -> None:
        # With a parent that is not there the turn would never be seen.
        parent = node.parent if node.parent in self._nodes else None
        self._nodes[node.id] = node if parent == node.parent else replace(node, parent=parent)
        self._children.setdefault(parent, []).append(node.id)

    def _deepest(self, id: int | None) -> int | None:
        """The end of the branch below `id`: where there is a choice, the child looked at last, or else the newest."""
        while children := self._children.get(id):
            id = self._shown.get(id) or children[-1]
        return id

    def _remember(self) -> None:
        for node in self.path():
            self._shown[node.parent] = node.id


def _ended(state: TurnState) -> TurnState:
    return "stopped" if state == "running" else state


def text_parts(text: str) -> tuple[TextPart, ...]:
    """A reply's parts: its text, or nothing."""
    return (TextPart(text),) if text else ()
