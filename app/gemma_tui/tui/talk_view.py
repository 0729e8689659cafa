"""The transcript as a conversation sees it: messages, replies, and how each ended, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from gemma_backend.types import AudioPart, Failed, Finished, MediaRef, Node, Part, TextPart
from gemma_tui.tui.transcript.document import LoadedTurn
from gemma_tui.tui.transcript.furniture import Attachment, NoticeKind
from gemma_tui.tui.transcript.view import Transcript

if TYPE_CHECKING:
    from gemma_backend.session.tree import Tree

QUEUED = "kept, and sent when the engine is ready"
BEHIND = "kept, and sent after the reply before it"
CUT = "Cut off at the limit of tokens. F7 and then G goes on with it."
UNFINISHED = "Cut off when the program ended. F7 and then G goes on with it."
EMPTY = "The model ended its reply without a word."


class TalkView:
    """Puts a conversation on `transcript`; turns that were cleared away meanwhile are passed over.

    `nodes` tells for each turn on screen which one of the conversation it is.
    """

    def __init__(self, transcript: Transcript) -> None:
        self.nodes: dict[int, int] = {}
        self._transcript = transcript
        # What stands behind the name of each turn, by what it is about.
        self._notes: dict[int, dict[str, str]] = {}

    def add_user(self, node: int, text: str, attachments: Sequence[Attachment]) -> int:
        """Show a message and return its turn."""
        turn = self._transcript.add_turn("user", text, attachments)
        self.nodes[turn] = node
        self._notes[turn] = {}
        return turn

    def mark_queued(self, turn: int, *, behind: bool) -> None:
        """A message is kept until the engine is ready, or with `behind` until the reply before it is over."""
        self._note(turn, "queued", BEHIND if behind else QUEUED)

    def mark_sent(self, turn: int) -> None:
        """A message that was kept is on its way."""
        self._note(turn, "queued", "")

    def begin_reply(self, node: int, text: str = "", reasoning: str = "") -> int:
        """Show the beginning of a reply, with what there is of it already, and return its turn."""
        turn = self._transcript.add_turn("assistant")
        if reasoning:
            self._transcript.think(turn, reasoning)
        if text:
            self._transcript.append(turn, text)
        self.nodes[turn] = node
        return turn

    def append(self, turn: int, text: str, reasoning: str = "") -> None:
        """Show more of a reply; reasoning stands apart from the answer, before it."""
        with suppress(KeyError):
            if reasoning:
                self._transcript.think(turn, reasoning)
            if text:
                self._transcript.append(turn, text)

    def end_reply(self, turn: int, event: Finished | Failed, *, empty: bool) -> None:
        """Show that a reply has ended, and how."""
        with suppress(KeyError):
            if isinstance(event, Failed):
                self._transcript.finish(turn, note=f"{event.message} Ctrl+R asks again.", kind="error")
            elif event.reason == "abort":
                self._transcript.finish(turn, note="Stopped.", kind="stopped")
            elif event.reason == "length":
                self._transcript.finish(turn, note=CUT, kind="cut")
            elif empty:
                self._transcript.finish(turn, note=EMPTY, kind="info")
            else:
                self._transcript.finish(turn)

    # -- branches

    def turn_of(self, node: int) -> int | None:
        """The turn on screen that is this one of the conversation, None where it is not there."""
        return next((turn for turn, other in self.nodes.items() if other == node), None)

    def cut_from(self, node: int) -> None:
        """Take a turn of the conversation and all below it off the screen; harmless where it is not there."""
        turn = self.turn_of(node)
        if turn is not None:
            with suppress(KeyError):
                self._transcript.cut_from(turn)
            self._forget_gone()

    def cut_after(self, node: int) -> None:
        """Take all below a turn of the conversation off the screen."""
        turn = self.turn_of(node)
        turns = [record.number for record in self._transcript.document.turns]
        if turn in turns and (below := turns[turns.index(turn) + 1 :]):
            self._transcript.cut_from(below[0])
            self._forget_gone()

    def show_branch(self, tree: Tree) -> list[Node]:
        """Show the branch that the tree shows, keeping what is on screen of it; returns the turns that are new."""
        path = tree.path()
        shown = [record.number for record in self._transcript.document.turns]
        same = 0
        while same < min(len(shown), len(path)) and self.nodes.get(shown[same]) == path[same].id:
            same += 1
        if same < len(shown):
            self._transcript.cut_from(shown[same])
            self._forget_gone()
        new = path[same:]
        loaded = [_loaded(node) for node in new]
        numbers = self._transcript.add_loaded(loaded) if same else self._transcript.load(loaded)
        self.nodes.update(zip(numbers, [node.id for node in new], strict=True))
        self.count_branches(tree)
        return new

    def count_branches(self, tree: Tree) -> None:
        """Say of each turn on screen which of its siblings it is, where it has any."""
        for turn, node in self.nodes.items():
            place, among = tree.siblings(node) if node in tree else (1, 1)
            self._note(turn, "branch", f"{place}/{among}" if among > 1 else "")

    def show_attachments(self, node: int, attachments: Sequence[Attachment]) -> None:
        """Draw a turn's attachments, now that they were read."""
        turn = self.turn_of(node)
        if turn is not None:
            with suppress(KeyError):
                self._transcript.set_attachments(turn, attachments)

    def clear(self) -> None:
        """Empty the screen."""
        self._transcript.clear()
        self._forget_gone()

    def _forget_gone(self) -> None:
        there = {record.number for record in self._transcript.document.turns}
        self.nodes = {turn: node for turn, node in self.nodes.items() if turn in there}
        self._notes = {turn: notes for turn, notes in self._notes.items() if turn in there}

    def _note(self, turn: int, about: str, words: str) -> None:
        notes = self._notes.setdefault(turn, {})
        if notes.get(about, "") == words:
            return
        notes[about] = words
        said = [notes[name] for name in ("branch", "queued") if notes.get(name)]
        with suppress(KeyError):
            self._transcript.set_note(turn, " · ".join(said))


def names_of(parts: Iterable[Part | MediaRef]) -> list[Attachment]:
    """Attachments by their names alone, for as long as they were not read."""
    found = []
    for part in parts:
        if isinstance(part, MediaRef):
            found.append(Attachment(part.name, "", part.kind))
        elif not isinstance(part, TextPart):
            found.append(Attachment(part.name, "", "audio" if isinstance(part, AudioPart) else "image"))
    return found


def _loaded(node: Node) -> LoadedTurn:
    notice, kind = _ending(node)
    return LoadedTurn(node.role, node.text, names_of(node.parts), notice=notice, kind=kind, reasoning=node.reasoning)


def _ending(node: Node) -> tuple[str, NoticeKind]:
    """What stands under a reply that did not come to its end."""
    if node.role != "assistant":
        return "", "info"
    if node.state == "failed":
        return node.note or "Broken off.", "error"
    said: dict[str, tuple[str, NoticeKind]] = {
        "cut": (CUT, "cut"),
        "running": (UNFINISHED, "cut"),
        "stopped": ("Stopped.", "stopped"),
    }
    return said.get(node.state, (EMPTY if not node.text else "", "info"))
