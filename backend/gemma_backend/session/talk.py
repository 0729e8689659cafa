"""The conversation that a session is in: its tree of turns, and their way into the history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gemma_backend.session.tree import Tree, text_parts
from gemma_backend.types import AudioPart, MediaRef, Node, Part, Stored, Summary, TextPart, Turn, UsageError

if TYPE_CHECKING:
    from gemma_backend.store.history import History
    from gemma_backend.store.writer import Growing


class Talk:
    """One conversation; everything is called in the event loop, and what is written is written in another thread.

    `kept` is the switch of this conversation: while it is off nothing is written. `trouble` is called with a sentence
    when something could not be written; the conversation goes on, and what is missing is written with the next turn.
    """

    def __init__(self, history: History | None = None, stored: Stored | None = None, *, profile: str = "") -> None:
        self.tree = Tree(stored.nodes, stored.leaf) if stored else Tree()
        self.title = stored.summary.title if stored and stored.summary.named else ""
        self.profile = profile
        self.trouble: Callable[[str], None] = lambda sentence: None
        self._told = ""
        self._history = history
        self._place = history.place(stored.summary.id if stored else None) if history else None
        self._kept = history is not None and history.keep
        # Turns whose rows are on disk, or on their way there, and those whose rows are older than they are.
        self._written = {node.id for node in stored.nodes} if stored else set()
        self._stale: set[int] = set()
        self._growing: Growing | None = None
        # Questions that wait for their turn, each with the question that it is another wording of.
        self._waiting: list[tuple[Node, int | None]] = []

    @property
    def number(self) -> int | None:
        """The conversation's number in the history, None as long as it is not there."""
        return self._place.number if self._place else None

    @property
    def kept(self) -> bool:
        """Whether what is said from now on is written to the history."""
        return self._kept

    def keep(self, kept: bool) -> None:
        """Switch writing on or off; switched on, all that was said so far is written too.

        Raises UsageError where the program keeps no history.
        """
        if kept and (self._history is None or not self._history.keep):
            raise UsageError("Nothing is kept with --no-history (`history.keep`): start without it to keep something.")
        self._kept = kept
        if self._history is None or self._place is None:
            return
        if kept:
            if len(self.tree) or self._waiting:
                self._write()
            for turn in self._stale & self._written:
                self._watch(self._history.end(self._place, None, self.tree[turn], {}))
            self._stale.clear()
        elif self._growing is not None:
            self._watch(self._history.let_go(self._growing))
            self._growing = None

    @property
    def system(self) -> str:
        """What is said to the model beforehand on the branch that is shown: the last system turn's text."""
        return next((node.text for node in reversed(self.tree.path()) if node.role == "system"), "")

    def instruct(self, text: str) -> None:
        """Say `text` to the model beforehand from now on, in place of what was said; an empty one says nothing.

        It is a turn at the end of the branch, so that branches and copies have their own; a request carries the last
        one, in front. It is written with the next question.
        """
        if text != self.system:
            self.tree.add("system", text_parts(text), self.tree.leaf)

    async def turns(self, to: int) -> list[Turn]:
        """The turns from the first to `to`, media read from disk; raises StoreError where a file is gone."""
        turns = []
        for node in self.tree.path(to):
            if any(isinstance(part, MediaRef) for part in node.parts):
                node = replace(node, parts=await asyncio.to_thread(self._loaded, node.parts))
                self.tree.change(node)
            turns.append(as_turn(node))
        return turns

    def stored(self) -> Stored:
        """The conversation as it is now, as if it came from the history."""
        nodes = tuple(self.tree.nodes)
        media = [part for node in nodes for part in node.parts if not isinstance(part, TextPart)]
        clips = sum(isinstance(part, AudioPart) or getattr(part, "kind", "") == "audio" for part in media)
        about = Summary(
            id=self.number or 0,
            kind="chat",
            title=self.title or next((node.text[:60] for node in nodes if node.role == "user"), ""),
            profile=self.profile,
            model=next((node.model for node in reversed(nodes) if node.model), ""),
            created=nodes[0].created if nodes else 0.0,
            updated=nodes[-1].created if nodes else 0.0,
            pinned=False,
            turns=len(nodes),
            named=bool(self.title),
            images=len(media) - clips,
            clips=clips,
        )
        return Stored(about, nodes, self.tree.leaf)

    # -- what a session does

    def put_by(self, question: int, parts: Sequence[Part | MediaRef], beside: int | None = None) -> Future[None] | None:
        """Write a question that has to wait, so that it outlives the program; None where nothing is kept.

        It joins the tree when it is asked; until then it stands on disk behind all that is there.
        """
        self._waiting.append((Node(question, None, "user", tuple(parts), created=(question >> 20) / 1000), beside))
        return self._write() if self._kept else None

    async def asked(self, reply: Node) -> None:
        """Put on disk what is not there yet, `reply` the last of it; what it gets from now on is saved as it grows."""
        self._waiting = [one for one in self._waiting if one[0].id not in self.tree]
        if not self._kept or self._history is None or self._place is None:
            return
        from gemma_backend.store.writer import Growing

        loop = asyncio.get_running_loop()

        def failed(error: Exception) -> None:
            loop.call_soon_threadsafe(self._failed, error)

        growing = Growing(reply.id, failed)
        if reply.id in self._written:
            writing = self._history.resume(self._place, growing, reply)
            self._watch(writing)
        else:
            writing = self._write(growing)
        written = asyncio.wrap_future(writing)
        await asyncio.wait([written])
        if written.exception() is None:
            self._growing = growing

    def grow(self, text: str, reasoning: str) -> None:
        """More of the reply has come."""
        if self._growing is not None:
            self._growing.append(text, reasoning)

    def answered(self, node: Node, data: Mapping[str, Any]) -> None:
        """A reply is at its end; `data` are JSON values about how it was made."""
        self.tree.change(node)
        growing, self._growing = self._growing, None
        if not self._kept:
            self._stale.add(node.id)
        elif node.id not in self._written:
            self._write()
        elif self._history is not None and self._place is not None:
            self._watch(self._history.end(self._place, growing, node, data))

    def add_beside(self, reply: Node, text: str) -> None:
        """Add another reply that came with `reply`, which stays the one that is shown."""
        self.tree.add(reply.role, text_parts(text), reply.parent, model=reply.model)
        self.tree.show(reply.id)
        if self._kept:
            self._write()

    # -- what a person does with turns

    def show(self, turn: int) -> None:
        """Show the branch through a turn."""
        self.tree.show(turn)
        if self._kept and self._history and self._place and self._written:
            self._watch(self._history.show_branch(self._place, self._last_written()))

    def rewrite(self, turn: int, text: str) -> Node:
        """Put another reply beside a reply, in a person's words, and show it."""
        added = self.tree.add("assistant", text_parts(text), self.tree[turn].parent)
        if self._kept:
            self._write()
        return added

    def delete(self, turn: int) -> None:
        """Delete a turn and all that follow from it, in the history too, also while nothing else is written there."""
        gone = {node.id for node in self.tree.below(turn)}
        self.tree.remove(turn)
        if self._history and self._place and turn in self._written:
            self._watch(self._history.delete_turn(self._place, turn, self._last_written()))
        self._written -= gone

    def fork(self, turn: int) -> Talk:
        """A conversation of its own with the turns up to `turn`, kept as this one is."""
        forked = Talk(self._history, profile=self.profile)
        forked.tree = self.tree.copy(turn)
        forked.title, forked.trouble, forked._kept = self.title, self.trouble, self._kept
        if forked._kept:
            forked._write()
        return forked

    def rename(self, title: str) -> None:
        """Give the conversation a title; an empty one brings back the first words."""
        self.title = " ".join(title.split())
        if self._history and self._place and self._written:
            self._watch(self._history.rename(self._place, title))

    # -- within

    def _loaded(self, parts: Sequence[Part | MediaRef]) -> tuple[Part, ...]:
        assert self._history is not None
        return tuple(self._history.part(part) for part in parts)

    def _last_written(self) -> int | None:
        return next((node.id for node in reversed(self.tree.path()) if node.id in self._written), None)

    def _write(self, growing: Growing | None = None) -> Future[None]:
        """Write what is not on disk yet, and which branch is shown; only where the conversation is kept."""
        assert self._history is not None and self._place is not None
        nodes = [node for node in self.tree.nodes if node.id not in self._written]
        self._written.update(node.id for node in nodes)
        waiting = self._in_line()
        writing = self._history.begin(
            self._place,
            nodes + waiting,
            growing,
            leaf=waiting[-1].id if waiting else self.tree.leaf,
            profile=self.profile,
            model=next((node.model for node in reversed(nodes) if node.model), ""),
            title=self.title,
        )
        self._watch(writing, nodes)
        return writing

    def _in_line(self) -> list[Node]:
        """What waits, one below the other, as it would be found if the program ended now."""
        found: list[Node] = []
        for node, beside in self._waiting:
            parent = found[-1].id if found else self.tree.leaf
            if beside is not None and beside in self.tree:
                parent = self.tree[beside].parent
            found.append(replace(node, parent=parent))
        return found

    def _watch(self, writing: Future[None], nodes: Sequence[Node] = ()) -> None:
        loop = asyncio.get_running_loop()

        def done(written: Future[None]) -> None:
            error = written.exception()
            if error is None:
                self._told = ""
            elif not loop.is_closed():
                loop.call_soon_threadsafe(self._failed, error, nodes)

        writing.add_done_callback(done)

    def _failed(self, error: BaseException, nodes: Sequence[Node] = ()) -> None:
        from gemma_backend.store.faults import NotKept

        self._written -= {node.id for node in nodes}
        if isinstance(error, NotKept) and self._history is not None:
            # Deleted in another window: what is said here from now on is this window's affair alone.
            self._kept = False
            self._written.clear()
            self._stale.clear()
            self._place = self._history.place(None)
        # Question, reply and title fail for one reason, which is said once until something was written again.
        if self._told != str(error):
            self._told = str(error)
            self.trouble(self._told)


def as_turn(node: Node) -> Turn:
    """A turn as a request carries it; media that are still on disk only are left out."""
    parts = tuple(part for part in node.parts if not isinstance(part, MediaRef))
    return Turn(node.role, parts, node.state in ("done", "cut"))
