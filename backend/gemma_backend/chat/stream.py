"""Streams replies: a conversation's next turn, the continuation of a text, of a text with pictures and clips in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

import gemma_assets
from gemma_backend.chat import quirks as learned
from gemma_backend.chat.alternatives import alternatives
from gemma_backend.chat.echo import echoing
from gemma_backend.chat.exchange import PATIENCE, Build, Patience, Request, exchange
from gemma_backend.chat.request import (
    PLAIN,
    chat_body,
    completion_body,
    eos_of,
    has_media,
    is_base_model,
    raw_body,
    spoken,
    transcript_prompt,
    with_transcript_stop,
)
from gemma_backend.endpoint.address import place
from gemma_backend.types import Delta, Endpoint, Failed, Options, Part, Sampling, StreamEvent, Turn

__all__ = ["PATIENCE", "Patience", "completion_build", "raw_build", "stream_chat", "stream_completion", "stream_raw"]


async def stream_chat(
    endpoint: Endpoint,
    model: str,
    turns: Sequence[Turn],
    sampling: Sampling,
    *,
    base: bool | None = None,
    options: Options = PLAIN,
    patience: Patience = PATIENCE,
    go_on: bool = False,
) -> AsyncGenerator[StreamEvent]:
    """Stream the reply to `turns`: Started, Delta and Usage as they come, then Finished or Failed; raises nothing.

    A server without a chat template gets the built-in transcript on `/v1/completions`. `base` tells whether the server
    applies that transcript by itself (None: judged by the model's name). With `options` a Declined comes first for each
    one that the server does not offer. With `go_on` the last turn is a reply, and more of it is streamed. Closing the
    iterator drops the connection, on which vLLM stops generating.
    """

    def build(sampling: Sampling, options: Options) -> Build:
        def built(quirks: set[learned.Quirk]) -> Request | Failed:
            if "no-template" not in quirks:
                return Request(True, chat_body(turns, sampling, model, base=base, options=options, go_on=go_on))
            if any(has_media(turn.parts) for turn in spoken(turns)):
                return Failed(
                    f"{place(endpoint)} has no chat template for {model}, so pictures and clips cannot be sent: start "
                    "it with --chat-template, or send text alone.",
                    exit_code=5,
                )
            stopping = replace(sampling, stop=with_transcript_stop(sampling.stop))
            prompt = transcript_prompt(turns, eos_of(model), go_on=go_on)
            return Request(False, completion_body(prompt, stopping, model, options=options))

        return built

    def ask(sampling: Sampling, options: Options) -> AsyncGenerator[StreamEvent]:
        return exchange(endpoint, model, build(sampling, options), patience)

    begun: set[int] = set()
    async with aclosing(alternatives(endpoint, model, ask, sampling, options)) as events:
        async for event in events:
            if isinstance(event, Delta) and event.index not in begun and not go_on:
                # After the transcript's "Assistant:" a model writes a space, which is no part of what it says.
                by_server = is_base_model(model) if base is None else base
                transcribed = by_server or "no-template" in learned.known(endpoint, model)
                event = replace(event, text=event.text.lstrip()) if transcribed else event
                if event.text:
                    begun.add(event.index)
                elif not (event.reasoning or event.tokens):
                    continue
            yield event


async def stream_completion(
    endpoint: Endpoint,
    model: str,
    prompt: str,
    sampling: Sampling,
    *,
    options: Options = PLAIN,
    patience: Patience = PATIENCE,
) -> AsyncGenerator[StreamEvent]:
    """Stream the continuation of `prompt`, which is sent byte for byte; events and errors as for `stream_chat`.

    With `echo` the prompt comes back as one Echoed and is no part of the Deltas.
    """

    def ask(sampling: Sampling, options: Options) -> AsyncGenerator[StreamEvent]:
        return exchange(endpoint, model, completion_build(prompt, sampling, model, options), patience)

    async with aclosing(alternatives(endpoint, model, echoing(ask, prompt), sampling, options)) as events:
        async for event in events:
            yield event


async def stream_raw(
    endpoint: Endpoint,
    model: str,
    parts: Sequence[Part],
    sampling: Sampling,
    *,
    managed: bool,
    options: Options = PLAIN,
    patience: Patience = PATIENCE,
) -> AsyncGenerator[StreamEvent]:
    """Stream the continuation of text with pictures and clips in it, untouched by any chat template.

    `managed` tells that the engine was started with our transcript template, which has a raw form; elsewhere the
    template goes with the request, which a server must allow. Events and errors as for `stream_chat`.
    """

    def ask(sampling: Sampling, options: Options) -> AsyncGenerator[StreamEvent]:
        build = raw_build(endpoint, parts, sampling, model, managed=managed, options=options)
        return exchange(endpoint, model, build, patience)

    async with aclosing(alternatives(endpoint, model, ask, sampling, options)) as events:
        async for event in events:
            yield event


def completion_build(prompt: str, sampling: Sampling, model: str, options: Options) -> Build:
    """The request that continues `prompt`."""
    return lambda quirks: Request(False, completion_body(prompt, sampling, model, options=options))


def raw_build(
    endpoint: Endpoint, parts: Sequence[Part], sampling: Sampling, model: str, *, managed: bool, options: Options
) -> Build:
    """The request that continues `parts` as they stand, or why the server cannot take it."""

    def build(quirks: set[learned.Quirk]) -> Request | Failed:
        if "no-request-template" in quirks:
            return Failed(
                f"{place(endpoint)} takes no template with a request, so a raw prompt cannot hold pictures or clips "
                "there: start it with --trust-request-chat-template, or leave them out.",
                exit_code=5,
            )
        template = None if managed else gemma_assets.path("templates", "raw.jinja").read_text(encoding="utf-8")
        return Request(True, raw_body(parts, sampling, model, template=template, options=options))

    return build
