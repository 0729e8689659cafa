"""One request and its streamed reply: sent over the OpenAI client, its bytes read here, its events handed on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from gemma_backend.chat import options as offered
from gemma_backend.chat import quirks as learned
from gemma_backend.chat.client import openai_client, request_headers, warm_import
from gemma_backend.chat.decode import EVENT_LIMIT, ReplyReader
from gemma_backend.chat.gather import Gathered
from gemma_backend.endpoint.address import place
from gemma_backend.endpoint.faults import server_message, status_sentence, transport_sentence
from gemma_backend.types import (
    Declined,
    Delta,
    Endpoint,
    Failed,
    Finished,
    GemmaError,
    Started,
    StreamEvent,
)

if TYPE_CHECKING:
    import openai

_ATTEMPTS = 12
_ERROR_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait: `first` until the answer begins (queue and prefill included), `stall` between its pieces."""

    first: float = 600.0
    stall: float = 120.0


PATIENCE = Patience()
Build = Callable[[set[learned.Quirk]], "Request | Failed"]


@dataclass(frozen=True, slots=True)
class Request:
    """A body for `/v1/chat/completions` (`chat`) or `/v1/completions`."""

    chat: bool
    body: dict[str, Any]

    @property
    def path(self) -> str:
        """The path under the server's address."""
        return "/v1/chat/completions" if self.chat else "/v1/completions"


def as_sent(endpoint: Endpoint, model: str, build: Build) -> Request | Failed:
    """The request that `exchange` would send first: adapted to what is known of the server."""
    quirks = learned.known(endpoint, model)
    request = build(quirks)
    if isinstance(request, Failed):
        return request
    body, _ = offered.spelled(learned.adapted(request.body, quirks), endpoint, model)
    return Request(request.chat, body)


async def exchange(endpoint: Endpoint, model: str, build: Build, patience: Patience) -> AsyncGenerator[StreamEvent]:
    """Send what `build` makes and stream the reply: Declined for each option that was left out, Started, Delta, Usage
    and so on as they come, then Finished or Failed; raises nothing.

    `build` is called anew with what was learned where the server refuses. Closing the iterator drops the connection,
    on which vLLM stops generating.
    """
    try:
        await warm_import()
        begun = time.monotonic()
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(openai_client(endpoint, read_seconds=patience.first))
            declined: list[str] = []
            opened = await _open(client, stack, endpoint, model, build, patience, declined)
            known = offered.refused(endpoint, model)
            for option in dict.fromkeys(declined):
                yield Declined(option, known[option])
            if isinstance(opened, Failed):
                yield opened
                return
            response, choices = opened
            yield Started(time.monotonic(), response.headers.get("x-request-id", "")[:80])
            async with aclosing(_reply(response, endpoint, patience, begun, choices)) as events:
                async for event in events:
                    yield event
    except GemmaError as error:
        yield Failed(str(error), exit_code=error.exit_code)


async def _open(
    client: openai.AsyncOpenAI,
    stack: AsyncExitStack,
    endpoint: Endpoint,
    model: str,
    build: Build,
    patience: Patience,
    declined: list[str],
) -> tuple[httpx2.Response, int] | Failed:
    """The reply's beginning and how many alternatives it can have; options left out are added to `declined`."""
    import openai

    quirks = learned.known(endpoint, model)
    for _ in range(_ATTEMPTS):
        request = build(quirks)
        if isinstance(request, Failed):
            return request
        body, left_out = offered.spelled(learned.adapted(request.body, quirks), endpoint, model)
        declined += left_out
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
            return response, body.get("n", 1)
        except openai.APIStatusError as error:
            said = error.response.content[:65536] if error.response.is_closed else b""
            if not learn(error.status_code, said, body, endpoint, model):
                return refusal(error.status_code, said, endpoint)
        except openai.APIConnectionError as error:
            return Failed(transport_sentence(error.__cause__ or error, endpoint))
        except (openai.OpenAIError, httpx2.HTTPError, OSError) as error:
            return Failed(transport_sentence(error, endpoint))
    return Failed(f"{place(endpoint)} refuses requests in one way after another: check that it is an OpenAI server.")


def learn(status: int, said: bytes, sent: dict[str, Any], endpoint: Endpoint, model: str) -> bool:
    """Whether a refusal taught something new, so that another try makes sense."""
    quirks, text = learned.known(endpoint, model), said.decode("utf-8", "replace")
    lesson = learned.lesson(status, text, sent)
    if lesson is not None:
        fresh = lesson not in quirks
        quirks.add(lesson)
        return fresh
    option, known = offered.lesson(status, text, sent), offered.refused(endpoint, model)
    if option is None or option in known:
        return False
    known[option] = f"{place(endpoint)} says: {server_message(said) or 'no'}"
    return True


def refusal(status: int, body: bytes, endpoint: Endpoint) -> Failed:
    """What an answer other than 200 means for a prompt."""
    said = server_message(body)
    if status in (400, 413, 422) and said is not None:
        low = said.lower()
        if "context length" in low or "context size" in low or "maximum model length" in low:
            return Failed(f"The prompt is longer than the model's context; shorten it. The server says: {said}", 5)
        return Failed(f"{place(endpoint)} cannot use this request ({status}). It says: {said}", 5)
    return Failed(status_sentence(status, body, endpoint))


async def _reply(
    response: httpx2.Response, endpoint: Endpoint, patience: Patience, begun: float, choices: int
) -> AsyncGenerator[StreamEvent]:
    where = place(endpoint)
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        async with aclosing(_whole(response, endpoint, patience, begun, choices)) as events:
            async for event in events:
                yield event
        return
    reader = ReplyReader(choices)
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
    response: httpx2.Response, endpoint: Endpoint, patience: Patience, begun: float, choices: int
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
    reader = ReplyReader(choices)
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
