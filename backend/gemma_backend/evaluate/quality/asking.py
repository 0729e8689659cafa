"""Asks one endpoint everything: log-probabilities of texts, and greedy answers to questions."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import httpx2

from gemma_backend.chat.stream import stream_chat
from gemma_backend.endpoint.faults import status_sentence, transport_sentence
from gemma_backend.endpoint.http import client
from gemma_backend.evaluate.quality.figures import Place, Text
from gemma_backend.evaluate.quality.questions import Question
from gemma_backend.types import Delta, Endpoint, EndpointError, Failed, Sampling, Turn

# Requests at a time; more would only queue on a server that is made for one person.
AT_ONCE = 4
# Likeliest tokens asked for at each place: vLLM's default limit first (--max-logprobs), then what others allow.
TOPS = (20, 5, 1)
READ_SECONDS = 600.0
ANSWER_TOKENS = 96
# Where a base model would go on with the other side's turn.
STOP = ("\nUser:",)

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Asked:
    """What one endpoint said: `texts` place by place, `said` by kind of question, `missing` why something is not."""

    model: str
    texts: tuple[Text, ...]
    said: dict[str, tuple[str, ...]]
    missing: dict[str, str]


async def ask(
    endpoint: Endpoint,
    model: str,
    texts: Sequence[str],
    questions: dict[str, Sequence[Question]],
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Asked:
    """Read all `texts` and put all `questions`; EndpointError where the server goes away, the rest is in `missing`."""
    missing: dict[str, str] = {}
    read: tuple[Text, ...] = ()
    if texts:
        try:
            read = await _read(endpoint, model, texts, progress)
        except _Refused as error:
            missing["texts"] = str(error)
    said: dict[str, tuple[str, ...]] = {}
    for kind, asked in questions.items():
        told = partial(_tell, progress, kind, len(asked))
        try:
            said[kind] = tuple(await _each(asked, partial(_answer, endpoint, model), told))
        except _Refused as error:
            missing[kind] = str(error)
    return Asked(model, read, said, missing)


def _tell(progress: Callable[[str, int, int], None], kind: str, total: int, done: int) -> None:
    progress(kind, done, total)


class _Refused(Exception):
    """The server does not do what was asked; the sentence says what."""


async def _each(items: Sequence[A], job: Callable[[A], Awaitable[B]], told: Callable[[int], None]) -> list[B]:
    """`job` for all items, a few at a time, results in order; the first failure ends the others."""
    gate, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(item: A) -> B:
        nonlocal done
        async with gate:
            made = await job(item)
        done += 1
        told(done)
        return made

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


async def _read(
    endpoint: Endpoint, model: str, texts: Sequence[str], progress: Callable[[str, int, int], None]
) -> tuple[Text, ...]:
    async with client(endpoint, read_seconds=READ_SECONDS) as connection:
        way = await _way(connection, endpoint, model, texts[0])
        return tuple(
            await _each(
                texts,
                lambda text: _places(connection, endpoint, model, text, way),
                lambda done: progress("texts", done, len(texts)),
            )
        )


async def _way(connection: httpx2.AsyncClient, endpoint: Endpoint, model: str, text: str) -> tuple[bool, int]:
    """Whether the server has vLLM's prompt_logprobs (else `echo` is used), and how many of the likeliest it gives."""
    last = ""
    for echo in (False, True):
        for top in TOPS:
            try:
                if await _places(connection, endpoint, model, text, (echo, top)):
                    return echo, top
            except _Refused as error:
                last = str(error)
    raise _Refused(f"no log-probabilities of prompts are offered ({last or 'the answer held none'})")


async def _places(
    connection: httpx2.AsyncClient, endpoint: Endpoint, model: str, text: str, way: tuple[bool, int]
) -> Text:
    echo, top = way
    body: dict[str, Any] = {"model": model, "prompt": text, "max_tokens": 1, "temperature": 0}
    body |= {"echo": True, "logprobs": top} if echo else {"prompt_logprobs": top, "return_token_ids": True}
    try:
        response = await connection.post("/v1/completions", json=body)
    except (httpx2.TransportError, OSError) as error:
        raise EndpointError(transport_sentence(error, endpoint)) from None
    if response.status_code in (401, 403) or response.status_code >= 500:
        raise EndpointError(status_sentence(response.status_code, response.content, endpoint))
    if response.status_code != 200:
        raise _Refused(status_sentence(response.status_code, response.content, endpoint))
    try:
        choice = response.json()["choices"][0]
        return _echoed(choice) if echo else _listed(choice)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ()


def _listed(choice: dict[str, Any]) -> Text:
    """vLLM's `prompt_logprobs`: a table by token number for each place but the first, the prompt's own token in it."""
    rows = choice.get("prompt_logprobs") or []
    numbers = choice.get("prompt_token_ids") or []
    places = []
    for at, row in enumerate(rows):
        if not row:
            continue
        table = {int(token): float(entry["logprob"]) for token, entry in row.items()}
        # Without the numbers: vLLM lists the prompt's own token first.
        own = int(numbers[at]) if at < len(numbers) and int(numbers[at]) in table else next(iter(table))
        # The prompt's own token is listed even where it is none of the likeliest, which others don't show.
        places.append(Place(own, table[own], table))
    return tuple(places)


def _echoed(choice: dict[str, Any]) -> Text:
    """OpenAI's `echo`: tokens as text, the last one generated; a token's number is a hash of its text."""
    found = choice["logprobs"]
    rows = list(zip(found["tokens"], found["token_logprobs"], found["top_logprobs"], strict=True))[:-1]
    places = []
    for token, logprob, top in rows:
        if logprob is not None:
            table = {_number(each): float(value) for each, value in (top or {}).items()}
            places.append(Place(_number(token), float(logprob), table | {_number(token): float(logprob)}))
    return tuple(places)


def _number(token: str) -> int:
    return zlib.crc32(token.encode("utf-8", "surrogatepass"))


async def _answer(endpoint: Endpoint, model: str, question: Question) -> str:
    said: list[str] = []
    sampling = Sampling(max_tokens=ANSWER_TOKENS, temperature=0.0, stop=STOP)
    async for event in stream_chat(endpoint, model, [Turn("user", question.parts)], sampling):
        if isinstance(event, Delta):
            said.append(event.text)
        if isinstance(event, Failed):
            raise _Refused(event.message)
    return "".join(said).strip()
