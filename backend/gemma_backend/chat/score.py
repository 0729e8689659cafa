"""The probabilities that a model gives to a text that is there already: what perplexity and a heat map are made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec

from gemma_backend.chat import options as offered
from gemma_backend.chat import quirks as learned
from gemma_backend.chat.align import Aligner
from gemma_backend.chat.exchange import PATIENCE, Patience, Request, learn, refusal
from gemma_backend.chat.logprobs import prompt_tokens, reply_tokens
from gemma_backend.chat.request import AUDIO_PLACEHOLDER, IMAGE_PLACEHOLDER, completion_body
from gemma_backend.chat.stream import raw_build
from gemma_backend.endpoint.address import place
from gemma_backend.endpoint.faults import transport_sentence
from gemma_backend.endpoint.http import client
from gemma_backend.types import (
    Declined,
    Echoed,
    Endpoint,
    Failed,
    Finished,
    GemmaError,
    Options,
    Part,
    Sampling,
    StreamEvent,
    Token,
    Usage,
)

_ATTEMPTS = 6
# Twenty candidates for each token of the longest context (131,072) make some 200 MB of JSON.
_ANSWER_LIMIT = 512 << 20
_ONE_TOKEN = Sampling(max_tokens=1, temperature=0.0)
# What vLLM puts around and between the soft tokens of a medium (transformers, Gemma 4's processor).
_MARKS = frozenset({"<|image>", "<image|>", "<|audio>", "<audio|>"})


async def stream_score(
    endpoint: Endpoint,
    model: str,
    prompt: str,
    top: int,
    *,
    add_special_tokens: bool = True,
    parts: Sequence[Part] | None = None,
    managed: bool = False,
    patience: Patience = PATIENCE,
) -> AsyncGenerator[StreamEvent]:
    """Judge `prompt`: one Echoed with a token for each of its own and `top` candidates, then Finished, or Failed.

    Asks for `prompt_logprobs`, which vLLM offers, else for `echo` with logprobs. With pictures and clips in it the text
    goes as `parts`, of which `prompt` is the text with the placeholders; these have no probability.
    """
    options = Options(add_special_tokens=add_special_tokens)
    known = offered.refused(endpoint, model)
    begun = time.monotonic()

    def scoring(quirks: set[learned.Quirk]) -> Request | Failed:
        if "prompt_logprobs" not in known:
            if parts is not None:
                build = raw_build(endpoint, parts, _ONE_TOKEN, model, managed=managed, options=options)
                request = build(quirks)
                if isinstance(request, Failed):
                    return request
                body = request.body | {"stream": False, "prompt_logprobs": top}
                body.pop("stream_options", None)
                return Request(True, body)
            body = completion_body(prompt, _ONE_TOKEN, model, stream=False, options=options)
            return Request(False, body | {"prompt_logprobs": top})
        if "echo" in known or "logprobs" in known or parts is not None:
            return Failed(
                f"{place(endpoint)} tells no probabilities of a text that is there already, so it cannot be scored "
                "there: vLLM and SGLang can do it.",
                exit_code=5,
            )
        echoing = Options(logprobs=max(1, top), echo=True, add_special_tokens=add_special_tokens)
        return Request(False, completion_body(prompt, _ONE_TOKEN, model, stream=False, options=echoing))

    for _ in range(_ATTEMPTS):
        request = scoring(learned.known(endpoint, model))
        if isinstance(request, Failed):
            yield request
            return
        body, left_out = offered.spelled(request.body, endpoint, model)
        for option in left_out:
            yield Declined(option, known[option])
        answer = await _post(endpoint, request.path, body, patience)
        if isinstance(answer, Failed):
            yield answer
            return
        status, said = answer
        if status != 200:
            if not learn(status, said, body, endpoint, model):
                yield refusal(status, said, endpoint)
                return
            continue
        scored = await asyncio.to_thread(_read, said, prompt)
        if scored is not None:
            echoed, usage = scored
            yield echoed
            if usage is not None:
                yield usage
            seconds = time.monotonic() - begun
            yield Finished("stop", seconds, seconds)
            return
        option = "prompt_logprobs" if "prompt_logprobs" in body else "echo"
        known[option] = f"{place(endpoint)} answered without probabilities of the prompt."
        yield Declined(option, known[option])
    yield Failed(f"{place(endpoint)} refuses to score a text in one way after another: look into its log.")


async def _post(endpoint: Endpoint, path: str, body: dict[str, Any], patience: Patience) -> tuple[int, bytes] | Failed:
    try:
        async with (
            client(endpoint, read_seconds=patience.first) as connection,
            connection.stream("POST", path, json=body) as response,
            aclosing(response.aiter_bytes()) as pieces,
        ):
            said = bytearray()
            async for piece in pieces:
                said += piece
                if len(said) > _ANSWER_LIMIT:
                    return Failed(
                        f"{place(endpoint)} sent more than {_ANSWER_LIMIT >> 20} MiB: score a shorter text.", 5
                    )
            return response.status_code, bytes(said)
    except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
        return Failed(transport_sentence(error, endpoint))
    except GemmaError as error:
        return Failed(str(error), error.exit_code)


def _read(said: bytes, prompt: str) -> tuple[Echoed, Usage | None] | None:
    """The prompt's tokens in an answer, None where it has none."""
    try:
        answer = msgspec.json.decode(said)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    choices = answer.get("choices") if isinstance(answer, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return None
    tokens: Sequence[Token] = prompt_tokens(choice.get("prompt_logprobs") or answer.get("prompt_logprobs"))
    if not tokens and isinstance(text := choice.get("text"), str) and text.startswith(prompt):
        tokens = reply_tokens(choice.get("logprobs"))
        # One token was generated, and follows the prompt's own.
        tokens = tokens[: len(Aligner().feed(prompt, tokens))]
    if all(token.logprob is None for token in tokens):
        return None
    return Echoed(prompt, without_media(tokens)), _usage(answer.get("usage"))


def without_media(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """`tokens` with one, that has no probability, in place of all the soft tokens of a picture or a clip."""
    kept: list[Token] = []
    for token in tokens:
        if token.text in _MARKS:
            continue
        if token.text in (IMAGE_PLACEHOLDER, AUDIO_PLACEHOLDER):
            if not (kept and kept[-1].text == token.text):
                kept.append(Token(token.text, None))
            continue
        kept.append(token)
    return tuple(kept)


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    prompt, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Usage(prompt, written) if type(prompt) is int and type(written) is int else None
