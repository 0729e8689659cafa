"""Several replies to one prompt: by `n` where the server offers it, else by as many requests at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from gemma_backend.chat import options as offered
from gemma_backend.endpoint.address import place
from gemma_backend.types import (
    ChoiceEnded,
    Declined,
    Delta,
    Endpoint,
    Failed,
    Finished,
    Options,
    Sampling,
    Started,
    StreamEvent,
    Usage,
)

Ask = Callable[[Sampling, Options], AsyncGenerator[StreamEvent]]
"""Begins one request and streams its reply."""


async def alternatives(
    endpoint: Endpoint, model: str, ask: Ask, sampling: Sampling, options: Options
) -> AsyncGenerator[StreamEvent]:
    """Stream what `ask` streams, with `options.n` alternatives also from a server that knows no `n`.

    What turned out not to be offered though it was not refused (probabilities that never came) is told by a Declined.
    """
    told: set[str] = set()
    async with aclosing(_all(endpoint, model, ask, sampling, options)) as events:
        async for event in events:
            if isinstance(event, Declined):
                if event.option in told:
                    continue
                told.add(event.option)
            yield event


async def _all(
    endpoint: Endpoint, model: str, ask: Ask, sampling: Sampling, options: Options
) -> AsyncGenerator[StreamEvent]:
    known = offered.refused(endpoint, model)
    if options.n > 1 and "n" in known:
        yield Declined("n", known["n"])
        async with aclosing(_together(ask, sampling, options, range(options.n))) as together:
            async for event in together:
                yield event
        return
    seen: set[int] = set()
    judged = texts = False
    missing: Sequence[int] = ()
    async with aclosing(ask(sampling, options)) as events:
        async for event in events:
            if isinstance(event, Declined) and event.option == "n":
                missing = range(options.n)
                yield event
                break
            if isinstance(event, Delta):
                seen.add(event.index)
                judged, texts = judged or bool(event.tokens), texts or bool(event.text)
            elif isinstance(event, Finished):
                if texts and not judged and options.logprobs is not None and "logprobs" not in known:
                    known["logprobs"] = f"{place(endpoint)} sent a reply without probabilities."
                    yield Declined("logprobs", known["logprobs"])
                missing = [index for index in range(options.n) if index not in seen] if seen == {0} else ()
                if missing:
                    known["n"] = f"{place(endpoint)} sent one reply where {options.n} were asked for."
                    yield Declined("n", known["n"])
                    continue
            yield event
    if missing:
        async with aclosing(_together(ask, sampling, options, missing)) as together:
            async for event in together:
                yield event


async def _together(
    ask: Ask, sampling: Sampling, options: Options, indices: Sequence[int]
) -> AsyncGenerator[StreamEvent]:
    """One request for each of `indices`, their events merged; the first failure ends it once the others are over."""
    begun = time.monotonic()
    queue: asyncio.Queue[tuple[int, StreamEvent | BaseException]] = asyncio.Queue()

    async def run(index: int) -> None:
        # The same seed would give the same reply each time.
        own = replace(sampling, seed=sampling.seed + index) if sampling.seed is not None else sampling
        try:
            async with aclosing(ask(own, replace(options, n=1))) as events:
                async for event in events:
                    queue.put_nowait((index, event))
        except Exception as error:
            queue.put_nowait((index, error))

    tasks = [asyncio.create_task(run(index)) for index in indices]
    try:
        async with aclosing(_merged(queue, indices, begun)) as merged:
            async for event in merged:
                yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _merged(
    queue: asyncio.Queue[tuple[int, StreamEvent | BaseException]], indices: Sequence[int], begun: float
) -> AsyncGenerator[StreamEvent]:
    running, failed, counts = set(indices), None, dict[int, Usage]()
    ends: dict[int, Finished] = {}
    while running:
        index, event = await queue.get()
        if isinstance(event, BaseException):
            raise event
        match event:
            case Delta():
                yield replace(event, index=index)
            case Usage():
                counts[index] = event
                written = sum(usage.completion_tokens for usage in counts.values())
                yield Usage(event.prompt_tokens, written, event.cached_tokens)
            case Finished() | Failed():
                running.discard(index)
                if isinstance(event, Finished):
                    ends[index] = event
                else:
                    failed = failed or event
                yield ChoiceEnded(index, event.reason if isinstance(event, Finished) else "error")
            case Declined():
                yield event
            case Started() if index != indices[0]:
                pass
            case _ if index == indices[0]:
                yield event
            case _:
                pass
    if failed is not None:
        yield failed
        return
    first = ends[indices[0]]
    times = [end.ttft for end in ends.values() if end.ttft is not None]
    yield Finished(first.reason, min(times, default=None), time.monotonic() - begun)
