"""Messages on their way: kept until the engine is ready, asked one after the other, their replies put on screen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from gemma_backend.metrics.own import OwnMeasures, OwnRequest
from gemma_backend.types import Delta, Failed, Finished, GemmaError, MediaRef, Part, Started, StreamEvent, Usage, new_id

if TYPE_CHECKING:
    from gemma_backend.session.session import Session
    from gemma_backend.session.talk import Talk
    from gemma_backend.session.tree import Tree
    from gemma_tui.tui.transcript.furniture import Attachment


Spawn = Callable[[Coroutine[object, object, None]], object]
"""Runs a coroutine beside everything else; what it raises must not be lost."""


class View(Protocol):
    """What a conversation needs of the transcript."""

    def add_user(self, node: int, text: str, attachments: Sequence[Attachment]) -> int:
        """Show a message, the turn `node` of the conversation, and return its turn on screen."""

    def mark_queued(self, turn: int, *, behind: bool) -> None:
        """A message is kept until the engine is ready, or with `behind` until the reply before it is over."""

    def mark_sent(self, turn: int) -> None:
        """A message that was kept is on its way."""

    def begin_reply(self, node: int, text: str = "", reasoning: str = "") -> int:
        """Show the beginning of a reply, with what there is of it already, and return its turn."""

    def append(self, turn: int, text: str, reasoning: str = "") -> None:
        """Show more of a reply."""

    def end_reply(self, turn: int, event: Finished | Failed, *, empty: bool) -> None:
        """Show that a reply has ended, and how."""

    def cut_from(self, node: int) -> None:
        """Take a turn of the conversation and all below it off the screen."""

    def cut_after(self, node: int) -> None:
        """Take all below a turn of the conversation off the screen."""

    def count_branches(self, tree: Tree) -> None:
        """Say of each turn which of its siblings it is."""


@dataclass(slots=True)
class Message:
    """A message that has not been answered yet: a question, or one that stands already and gets another reply.

    `beside` is the question that this one is another wording of. With `more` it is a reply that is to go on. `kept`
    once it is on disk while it waits, or nothing is written there; `shown` and `attachments` stand on the screen.
    """

    parts: tuple[Part | MediaRef, ...]
    turn: int | None = None
    question: int = field(default_factory=new_id)
    beside: int | None = None
    more: int | None = None
    kept: bool = False
    shown: str = ""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """How the latest reply goes: seconds since it was asked for, tokens a second, tokens in the context."""

    answering: bool = False
    seconds: float = 0.0
    rate: float | None = None
    used: int | None = None


class Meter:
    """Measures one reply from its events; tokens are those that the server counts."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._asked = now()
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] | None = None
        self._used: int | None = None

    def take(self, event: StreamEvent) -> None:
        """Count `event`."""
        if isinstance(event, Usage) and event.completion_tokens > 0:
            point = (self._now(), event.completion_tokens)
            self._first = self._first or point
            self._last = point
            self._used = event.prompt_tokens + event.completion_tokens

    def pace(self, *, answering: bool) -> Pace:
        """Where things stand."""
        rate = None
        if self._first and self._last and self._last[0] > self._first[0]:
            rate = (self._last[1] - self._first[1]) / (self._last[0] - self._first[0])
        return Pace(answering, self._now() - self._asked, rate, self._used)


class Conversation:
    """The messages of one screen and the task that sends them; everything runs in the screen's event loop."""

    def __init__(
        self, view: View, changed: Callable[[], None], spawn: Spawn, now: Callable[[], float] = monotonic
    ) -> None:
        self.session: Session | None = None
        self.waiting: list[Message] = []
        self.unanswered: Message | None = None
        # The question that the next message is another wording of.
        self.beside: int | None = None
        self._system = ""
        self._view = view
        self._changed = changed
        self._spawn = spawn
        self._now = now
        self.measures = OwnMeasures()
        self._own: OwnRequest | None = None
        self._meter: Meter | None = None
        self._pace = Pace()
        self._sending = False
        # Before there is a session: what makes the conversation that is said into, and that conversation.
        self.early_talk: Callable[[], Awaitable[Talk]] | None = None
        self._early: Talk | None = None
        self._writing = asyncio.Lock()

    @property
    def answering(self) -> bool:
        """Whether a reply is on its way."""
        return self._meter is not None

    @property
    def pace(self) -> Pace:
        """How the reply in flight goes, or how the last one went."""
        return self._meter.pace(answering=True) if self._meter else self._pace

    def attach(self, session: Session) -> None:
        """Use `session` from now on; what waits is sent when it is ready."""
        self.session = session
        if self._early is not None:
            session.converse(self._early)
            self._early = None
        if self._system:
            session.talk.instruct(self._system)
        self.pump()

    @property
    def system(self) -> str:
        """What is said to the model beforehand."""
        return self.session.talk.system if self.session is not None else self._system

    def instruct(self, text: str) -> None:
        """Say to the model beforehand how replies should be; an empty text says nothing any more."""
        self._system = text
        if self.session is not None:
            self.session.talk.instruct(text)
        self._changed()

    def submit(self, text: str, parts: Sequence[Part | MediaRef], attachments: Sequence[Attachment]) -> None:
        """Show a message and send it as soon as that can be; as another wording of the question `beside`, if set."""
        beside, self.beside = self.beside, None
        waits = self._sending or self.session is None or self.session.state != "ready"
        self.unanswered = None
        message = Message(tuple(parts), beside=beside, shown=text, attachments=tuple(attachments))
        if beside is not None:
            self._view.cut_from(beside)
        message.turn = self._view.add_user(message.question, text, attachments)
        self.waiting.append(message)
        if waits:
            self._spawn(self._put_by(message))
        self.pump()

    def regenerate(self, question: int) -> None:
        """Ask for another reply to a question of the conversation."""
        self.unanswered = None
        self._view.cut_after(question)
        self.waiting.append(Message((), question=question))
        self.pump()

    def go_on(self, reply: int) -> None:
        """Ask for more of a reply at the end of the branch."""
        self.unanswered = None
        self.waiting.append(Message((), more=reply))
        self.pump()

    def pump(self) -> None:
        """Send what waits, unless that is being done."""
        if self.session is not None and self.waiting and not self._sending:
            self._sending = True
            self._spawn(self._send_all(self.session))
        self._changed()

    def ask_again(self) -> bool:
        """Send the message that got no answer once more; whether there was one."""
        message = self.unanswered
        if message is None or self.session is None or self.answering:
            return False
        self.unanswered = None
        if not self.waiting:
            self._view.cut_after(message.question)
        self.waiting.insert(0, message)
        self.pump()
        return True

    def forget(self) -> None:
        """Begin anew: nothing waits, and the model knows nothing of what was said."""
        self.waiting.clear()
        self.unanswered = None
        self._pace = Pace()
        self._early = None
        if self.session is not None:
            system = self.system
            self.session.converse()
            if system:
                self.session.talk.instruct(system)
        self._changed()

    def use(self, talk: Talk) -> None:
        """Go on with another conversation."""
        assert self.session is not None
        self.waiting.clear()
        self.unanswered = None
        self._pace = Pace()
        self.session.converse(talk)
        self._system = talk.system
        self._changed()

    async def cancel(self) -> bool:
        """End the reply in flight; whether there was one."""
        if self.session is None or not self.answering:
            return False
        await self.session.cancel()
        return True

    async def measured(self, events: AsyncGenerator[StreamEvent]) -> AsyncGenerator[StreamEvent]:
        """Pass on the events of a reply that is no turn of the conversation, and measure it."""
        self._begin()
        try:
            async with aclosing(events):
                async for event in events:
                    self._count(event)
                    yield event
        finally:
            self._end()

    async def _put_by(self, message: Message) -> None:
        """Write a message that has to wait; only then it is shown as queued."""
        async with self._writing:
            try:
                talk = await self._talk_now()
            except GemmaError:
                # What keeps the history from being opened is said where the engine is brought up.
                talk = None
            if message not in self.waiting or message.turn is None:
                return
            if talk is not None and message.question not in talk.tree:
                writing = talk.put_by(message.question, message.parts, message.beside)
                if writing is not None:
                    await asyncio.wait([asyncio.wrap_future(writing)])
        message.kept = True
        if message in self.waiting:
            behind = self.session is not None and self.session.state == "ready"
            self._view.mark_queued(message.turn, behind=behind)
        self._changed()

    async def _talk_now(self) -> Talk | None:
        if self.session is None and self._early is None and self.early_talk is not None:
            early = await self.early_talk()
            # Meanwhile a session may have come.
            self._early = early if self.session is None else None
        return self.session.talk if self.session is not None else self._early

    @property
    def queued(self) -> int:
        """How many messages wait."""
        return sum(message.kept or message.turn is None for message in self.waiting)

    async def _send_all(self, session: Session) -> None:
        try:
            while self.waiting:
                await session.wait_ready()
                message = self.waiting.pop(0)
                if message.turn is not None:
                    self._view.mark_sent(message.turn)
                await self._ask(session, message)
        except GemmaError:
            # What waits stays; the screen shows why, and a retry sends it.
            pass
        finally:
            self._sending = False
        if self.session is not session:
            # Another engine has taken the place of this one: what waits is for that.
            self.pump()
        self._changed()

    async def _ask(self, session: Session, message: Message) -> None:
        self._begin()
        tree, reply = session.talk.tree, new_id() if message.more is None else message.more
        behind = [other for other in self.waiting if other.turn is not None]
        if behind:
            self._view.cut_from(behind[0].question)
        if message.more is not None:
            self._view.cut_from(reply)
            turn = self._view.begin_reply(reply, tree[reply].text.rstrip(), tree[reply].reasoning)
        else:
            turn = self._view.begin_reply(reply)
        # A reply stands below its question, and what waits below the reply.
        for other in behind:
            other.turn = self._view.add_user(other.question, other.shown, other.attachments)
            if other.kept:
                self._view.mark_queued(other.turn, behind=True)
        empty, ended = message.more is None, False
        try:
            async with _closing(self._reply(session, message, reply)) as events:
                async for event in events:
                    self._count(event)
                    if isinstance(event, Started):
                        self._view.count_branches(tree)
                    if isinstance(event, Delta):
                        empty = empty and not event.text
                        self._view.append(turn, event.text, event.reasoning)
                    elif isinstance(event, Finished | Failed):
                        ended = True
                        if isinstance(event, Failed):
                            self.unanswered = message
                        self._view.end_reply(turn, event, empty=empty)
        finally:
            if not ended:
                self._view.end_reply(turn, Finished("abort"), empty=empty)
            self._view.count_branches(tree)
            self._end()

    def _reply(self, session: Session, message: Message, reply: int) -> AsyncGenerator[StreamEvent]:
        if message.more is not None:
            return session.go_on(message.more)
        if message.question in session.talk.tree:
            return session.regenerate(message.question, id=reply)
        return session.chat(message.parts, ids=(message.question, reply), beside=message.beside)

    def _begin(self) -> None:
        self._meter = Meter(self._now)
        self._own = self.measures.begin(self._now())
        self._changed()

    def _count(self, event: StreamEvent) -> None:
        if self._meter is not None:
            self._meter.take(event)
        if self._own is not None:
            self._own.observe(event, self._now())

    def _end(self) -> None:
        if self._own is not None:
            self._own.end()
        if self._meter is not None:
            self._pace = self._meter.pace(answering=False)
        self._meter = None
        self._changed()


def _closing(events: AsyncIterator[StreamEvent]) -> aclosing[AsyncGenerator[StreamEvent]]:
    assert isinstance(events, AsyncGenerator)
    return aclosing(events)
