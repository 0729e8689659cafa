"""How questions, other replies and continued ones become turns of the conversation that a session is in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from gemma_backend.chat.request import PLAIN
from gemma_backend.chat.stream import Patience, stream_chat
from gemma_backend.endpoint.address import place
from gemma_backend.session.answering import answer
from gemma_backend.session.talk import Talk, as_turn
from gemma_backend.session.tree import Tree, text_parts
from gemma_backend.types import Endpoint, Failed, MediaRef, Node, Options, Part, Sampling, StreamEvent, Turn, new_id

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.store.history import History


class Asking:
    """The part of a session that has a conversation; what answers is the other part's affair."""

    profile: Profile | None
    endpoint: Endpoint | None
    model: str
    _raw_form: bool
    _order: asyncio.Lock

    def __init__(self) -> None:
        self.talk = Talk()
        self._history: History | None = None

    @property
    def turns(self) -> list[Turn]:
        """What was said on the branch that is shown, without the media that were not read from disk yet."""
        return [as_turn(node) for node in self.talk.tree.path()]

    @property
    def name(self) -> str:
        """What is talked to, in a word: the profile, or where the endpoint is."""
        if self.profile is not None:
            return self.profile.name
        return place(self.endpoint) if self.endpoint is not None else ""

    def keep_in(self, history: History) -> None:
        """Write conversations to `history` from now on, beginning with a new one."""
        self._history = history
        self.converse(Talk(history))

    def converse(self, talk: Talk | None = None) -> None:
        """Go on with another conversation, by default a new one; what was asked before stays in its own."""
        talk = Talk(self._history) if talk is None else talk
        talk.profile, talk.trouble = self.name, self.talk.trouble
        self.talk = talk

    def chat(
        self,
        parts: Sequence[Part | MediaRef],
        sampling: Sampling | None = None,
        options: Options = PLAIN,
        *,
        ids: tuple[int, int] | None = None,
        beside: int | None = None,
    ) -> AsyncGenerator[StreamEvent]:
        """Ask the next question and stream the reply, after readiness and after replies asked for earlier.

        Question and reply become turns of `talk` with the numbers `ids` (see `new_id`), at the end of the branch that
        is shown then, or as a sibling of the question `beside`. Nothing is raised: the last event is Finished (`abort`
        after a cancel) or Failed.
        """
        question, reply = ids or (new_id(), new_id())

        def begin(tree: Tree) -> Node:
            parent = tree.leaf if beside is None else tree[beside].parent
            tree.add("user", parts, parent, id=question)
            return tree.add("assistant", (), question, id=reply, state="running", model=self.model)

        return self._start_reply(self._answer(self.talk, begin, sampling, options))

    def regenerate(
        self, question: int, sampling: Sampling | None = None, *, id: int | None = None
    ) -> AsyncGenerator[StreamEvent]:
        """Stream another reply to a question, beside those that it has; events as for `chat`."""

        def begin(tree: Tree) -> Node:
            return tree.add("assistant", (), question, id=id, state="running", model=self.model)

        return self._start_reply(self._answer(self.talk, begin, sampling))

    def go_on(self, reply: int, sampling: Sampling | None = None) -> AsyncGenerator[StreamEvent]:
        """Stream more of a reply that was cut off, at the end of its branch, into its turn; events as for `chat`."""

        def begin(tree: Tree) -> Node:
            node = tree[reply]
            # What a template cuts off the end is generated again.
            node = replace(node, parts=text_parts(node.text.rstrip()), state="running", note="", model=self.model)
            tree.change(node)
            return node

        return self._start_reply(self._answer(self.talk, begin, sampling, go_on=True))

    async def _answer(
        self,
        talk: Talk,
        begin: Callable[[Tree], Node],
        sampling: Sampling | None,
        options: Options = PLAIN,
        *,
        go_on: bool = False,
    ) -> AsyncGenerator[StreamEvent]:
        async with self._order:
            if (failed := await self._readiness()) is not None:
                yield failed
                return
            endpoint, chosen = self.endpoint, self._sampling(sampling)
            assert endpoint is not None

            def stream(turns: list[Turn]) -> AsyncGenerator[StreamEvent]:
                return stream_chat(
                    endpoint,
                    self.model,
                    turns,
                    chosen,
                    base=True if self._raw_form else None,
                    options=options,
                    patience=self._patience(),
                    go_on=go_on,
                )

            talk.profile = talk.profile or self.name
            reply = begin(talk.tree)
            async with aclosing(answer(talk, reply, stream, self._explained, chosen, go_on=go_on)) as events:
                async for event in events:
                    yield event

    def _start_reply(self, stream: AsyncGenerator[StreamEvent]) -> AsyncGenerator[StreamEvent]:
        raise NotImplementedError

    async def _readiness(self) -> Failed | None:
        raise NotImplementedError

    async def _explained(self, event: StreamEvent) -> StreamEvent:
        raise NotImplementedError

    def _sampling(self, sampling: Sampling | None) -> Sampling:
        raise NotImplementedError

    def _patience(self) -> Patience:
        raise NotImplementedError
