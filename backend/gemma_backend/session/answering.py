"""A reply on its way into a conversation: what comes is put into its turn, whichever way it ends."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from gemma_backend.session.talk import Talk
from gemma_backend.session.tree import text_parts
from gemma_backend.types import (
    Delta,
    Failed,
    Finished,
    GemmaError,
    Node,
    Sampling,
    StreamEvent,
    Turn,
    TurnState,
    Usage,
)

Stream = Callable[[list[Turn]], AsyncGenerator[StreamEvent]]


async def answer(
    talk: Talk,
    reply: Node,
    stream: Stream,
    explained: Callable[[StreamEvent], Awaitable[StreamEvent]],
    sampling: Sampling,
    *,
    go_on: bool = False,
) -> AsyncGenerator[StreamEvent]:
    """Stream a reply to the turns before it into `reply`; with `go_on` its own text so far is among those turns.

    Of several alternatives the others become siblings of `reply`. Question and reply are on disk before anything is
    sent, unless the conversation is not kept.
    """
    said, reasoned = [reply.text], [reply.reasoning]
    others: dict[int, list[str]] = {}
    usage: Usage | None = None
    last: Finished | Failed | None = None
    try:
        await talk.asked(reply)
        to = reply.id if go_on else reply.parent
        assert to is not None
        try:
            turns = await talk.turns(to)
        except GemmaError as error:
            last = Failed(str(error), error.exit_code)
            yield last
            return
        async with aclosing(stream(turns)) as events:
            async for event in events:
                event = await explained(event)
                if isinstance(event, Delta) and event.index:
                    others.setdefault(event.index, []).append(event.text)
                elif isinstance(event, Delta):
                    said.append(event.text)
                    reasoned.append(event.reasoning)
                    talk.grow(event.text, event.reasoning)
                elif isinstance(event, Usage):
                    usage = event
                elif isinstance(event, Finished | Failed):
                    last = event
                yield event
    finally:
        state, note = _ended(last)
        node = dataclasses.replace(
            reply, parts=text_parts("".join(said)), reasoning="".join(reasoned), state=state, note=note
        )
        talk.answered(node, _details(last, usage, sampling))
        for index in sorted(others):
            talk.add_beside(node, "".join(others[index]))


def _ended(last: Finished | Failed | None) -> tuple[TurnState, str]:
    if isinstance(last, Failed):
        return "failed", last.message
    if last is None or last.reason == "abort":
        return "stopped", ""
    return ("cut" if last.reason == "length" else "done"), ""


def _details(last: Finished | Failed | None, usage: Usage | None, sampling: Sampling) -> dict[str, Any]:
    details: dict[str, Any] = {
        "sampling": {k: v for k, v in dataclasses.asdict(sampling).items() if v not in (None, ())}
    }
    if isinstance(last, Finished):
        details |= {"finish": last.reason, "ttft": last.ttft, "seconds": last.seconds}
    if usage is not None:
        details |= {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    return details
