"""Streams replies: one request over the OpenAI client, its bytes read here, its events handed on as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx2

import gemma_assets
from gemma_backend.chat import quirks as learned
from gemma_backend.chat.client import openai_client, request_headers, warm_import
from gemma_backend.chat.decode import EVENT_LIMIT, ReplyReader
from gemma_backend.chat.gather import Gathered
from gemma_backend.chat.request import (
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
from gemma_backend.endpoint.faults import server_message, status_sentence, transport_sentence
from gemma_backend.types import (
    Delta,
    Endpoint,
    Failed,
    Finished,
    GemmaError,
    Part,
    Sampling,
    Started,
    StreamEvent,
    Turn,
)

if TYPE_CHECKING:
    import openai

_ATTEMPTS = 5
_ERROR_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait: `first` until the answer begins (queue and prefill included), `stall` between its pieces."""

    first: float = 600.0
    stall: float = 120.0


PATIENCE = Patience()
_Build = Callable[[set[learned.Quirk]], "_Request | Failed"]


@dataclass(frozen=True, slots=True)
class _Request:
    chat: bool
    body: dict[str, Any]


async def stream_chat(
    endpoint: Endpoint,
    model: str,
    turns: Sequence[Turn],
    sampling: Sampling,
    *,
    base: bool | None = None,
    patience: Patience = PATIENCE,
) -> AsyncGenerator[StreamEvent]:
    """Stream the reply to `turns`: Started, Delta and Usage as they come, then Finished or Failed; raises nothing.

    A server without a chat template gets the built-in transcript on `/v1/completions`. `base` tells whether the server
    applies that transcript by itself (None: judged by the model's name). Closing the iterator drops the connection, on
    which vLLM stops generating.
    """

    def build(quirks: set[learned.Quirk]) -> _Request | Failed:
        if "no-template" not in quirks:
            return _Request(True, chat_body(turns, sampling, model, base=base))
        if any(has_media(turn.parts) for turn in spoken(turns)):
            return Failed(
                f"{place(endpoint)} has no chat template for {model}, so pictures and clips cannot be sent: start it "
                "with --chat-template, or send text alone.",
                exit_code=5,
            )
        stopping = replace(sampling, stop=with_transcript_stop(sampling.stop))
        return _Request(False, completion_body(transcript_prompt(turns, eos_of(model)), stopping, model))

    begun = False
    async with aclosing(_stream(endpoint, model, build, patience)) as events:
        async for event in events:
            if isinstance(event, Delta) and not begun:
                # After the transcript's "Assistant:" a model writes a space, which is no part of what it says.
                by_server = is_base_model(model) if base is None else base
                transcribed = by_server or "no-template" in learned.known(endpoint, model)
                event = replace(event, text=event.text.lstrip()) if transcribed else event
                begun = bool(event.text)
                if not (event.text or event.reasoning):
                    continue
            yield event


async def stream_completion(
    endpoint: Endpoint, model: str, prompt: str, sampling: Sampling, *, patience: Patience = PATIENCE
) -> AsyncGenerator[StreamEvent]:
    """Stream the continuation of `prompt`, which is sent byte for byte; events and errors as for `stream_chat`."""

    def build(quirks: set[learned.Quirk]) -> _Request:
        return _Request(False, completion_body(prompt, sampling, model))

    async with aclosing(_stream(endpoint, model, build, patience)) as events:
        async for event in events:
            yield event


async def stream_raw(
    endpoint: Endpoint,
    model: str,
    parts: Sequence[Part],
    sampling: Sampling,
    *,
    managed: bool,
    patience: Patience = PATIENCE,
) -> AsyncGenerator[StreamEvent]:
    """Stream the continuation of text with pictures and clips in it, untouched by any chat template.

    `managed` tells that the engine was started with our transcript template, which has a raw form; elsewhere the
    template goes with the request, which a server must allow. Events and errors as for `stream_chat`.
    """

    def build(quirks: set[learned.Quirk]) -> _Request | Failed:
        if "no-request-template" in quirks:
            return Failed(
                f"{place(endpoint)} takes no template with a request, so a raw prompt cannot hold pictures or clips "
                "there: start it with --trust-request-chat-template, or leave them out.",
                exit_code=5,
            )
        template = None if managed else gemma_assets.path("templates", "raw.jinja").read_text(encoding="utf-8")
        return _Request(True, raw_body(parts, sampling, model, template=template))

    async with aclosing(_stream(endpoint, model, build, patience)) as events:
        async for event in events:
            yield event


async def _stream(endpoint: Endpoint, model: str, build: _Build, patience: Patience) -> AsyncGenerator[StreamEvent]:
    try:
        await warm_import()
        begun = time.monotonic()
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(openai_client(endpoint, read_seconds=patience.first))
            opened = await _open(client, stack, endpoint, model, build, patience)
            if isinstance(opened, Failed):
                yield opened
                return
            yield Started(time.monotonic(), opened.headers.get("x-request-id", "")[:80])
            async with aclosing(_reply(opened, endpoint, patience, begun)) as events:
                async for event in events:
                    yield event
    except GemmaError as error:
        yield Failed(str(error), exit_code=error.exit_code)


async def _open(
    client: openai.AsyncOpenAI,
    stack: AsyncExitStack,
    endpoint: Endpoint,
    model: str,
    build: _Build,
    patience: Patience,
) -> httpx2.Response | Failed:
    import openai

    quirks = learned.known(endpoint, model)
    for _ in range(_ATTEMPTS):
        request = build(quirks)
        if isinstance(request, Failed):
            return request
        body = learned.adapted(request.body, quirks)
        # The whole body goes as `extra_body`: the client would copy and transform each message, megabytes of media too.
        api: Any = client.chat.completions if request.chat else client.completions
        rest: dict[str, Any] = {"messages": []} if request.chat else {"prompt": ""}
        rest["extra_headers"] = request_headers(endpoint)
        try:
            async with asyncio.timeout(patience.first + _ERROR_SECONDS):
                answer = await stack.enter_async_context(
                    api.with_streaming_response.create(model=model, stream=True, extra_body=body, **rest)
                )
            response: httpx2.Response = answer.http_response
            return response
        except openai.APIStatusError as error:
            said = error.response.content[:65536] if error.response.is_closed else b""
            lesson = learned.lesson(error.status_code, said.decode("utf-8", "replace"), body)
            if lesson is None or lesson in quirks:
                return _refused(error.status_code, said, endpoint)
            quirks.add(lesson)
        except openai.APIConnectionError as error:
            return Failed(transport_sentence(error.__cause__ or error, endpoint))
        except (openai.OpenAIError, httpx2.HTTPError, OSError) as error:
            return Failed(transport_sentence(error, endpoint))
    return Failed(f"{place(endpoint)} refuses requests in one way after another: check that it is an OpenAI server.")


def _refused(status: int, body: bytes, endpoint: Endpoint) -> Failed:
    said = server_message(body)
    if status in (400, 413, 422) and said is not None:
        low = said.lower()
        if "context length" in low or "context size" in low or "maximum model length" in low:
            return Failed(f"The prompt is longer than the model's context; shorten it. The server says: {said}", 5)
        return Failed(f"{place(endpoint)} cannot use this request ({status}). It says: {said}", 5)
    return Failed(status_sentence(status, body, endpoint))


async def _reply(
    response: httpx2.Response, endpoint: Endpoint, patience: Patience, begun: float
) -> AsyncGenerator[StreamEvent]:
    where = place(endpoint)
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        async with aclosing(_whole(response, endpoint, patience, begun)) as events:
            async for event in events:
                yield event
        return
    reader = ReplyReader()
    ttft: float | None = None
    broken: str | None = None
    try:
        async with Gathered(response, stall_seconds=patience.stall) as body, aclosing(body.pieces()) as pieces:
            async for piece in pieces:
                for event in reader.feed(piece):
                    if ttft is None and isinstance(event, Delta):
                        ttft = time.monotonic() - begun
                        body.start()
                    yield event
                if reader.done or reader.problem:
                    break
    except TimeoutError:
        broken = f"{where} sent nothing for {patience.stall:.0f} s in mid-reply; what came until then is kept."
    except (httpx2.HTTPError, httpx2.StreamError, OSError):
        broken = f"The connection to {where} was cut in mid-reply; what came until then is kept."
    for event in reader.finish():
        yield event
    if reader.problem:
        yield Failed(_told(where, reader.problem))
    elif reader.done or reader.reason is not None:
        yield Finished(reader.reason or "stop", ttft, time.monotonic() - begun)
    else:
        yield Failed(broken or f"{where} ended the connection in mid-reply; what came until then is kept.")


def _told(where: str, problem: str) -> str:
    # What a server says may end its own sentence.
    return f"{where} {problem}" if problem.endswith((".", "!", "?", "…")) else f"{where} {problem}."


async def _whole(
    response: httpx2.Response, endpoint: Endpoint, patience: Patience, begun: float
) -> AsyncGenerator[StreamEvent]:
    """An answer that is no event stream: a reply in one piece, or not a reply at all."""
    body = bytearray()
    try:
        async with asyncio.timeout(patience.first):
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > EVENT_LIMIT:
                    break
    except (TimeoutError, httpx2.HTTPError, OSError) as error:
        yield Failed(transport_sentence(error, endpoint))
        return
    reader = ReplyReader()
    events = reader.whole(bytes(body)) if body[:1] == b"{" else []
    if reader.refused:
        yield Failed(_told(place(endpoint), reader.problem or ""))
    elif not reader.done or reader.reason is None:
        yield Failed(f"{place(endpoint)} is no OpenAI server: it answered a prompt with something that is no reply.")
    else:
        for event in events:
            yield event
        seconds = time.monotonic() - begun
        yield Finished(reader.reason, seconds, seconds)
