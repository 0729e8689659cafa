"""Reads one streamed reply for its times and counts; the text itself is not kept."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable
from typing import Any

import msgspec

from gemma_backend.chat.decode import EventReader, EventTooLong
from gemma_backend.endpoint.faults import server_message
from gemma_backend.evaluate.bench.records import Asked


class _Said(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct):
    text: str | None = None
    delta: _Said | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_events = msgspec.json.Decoder(_Event)


class Reply:
    """Takes in one streamed reply: when each piece of text came, and what the server counted."""

    def __init__(self, on_piece: Callable[[float], None]) -> None:
        self.times = array("d")
        self.prompt_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.problem = ""
        self.done = False
        self._events = EventReader()
        self._on_piece = on_piece

    def take(self, body: bytes, at: float) -> None:
        """Take in bytes of the body that came at `at`."""
        try:
            payloads = self._events.feed(body)
            for payload in payloads:
                if payload == b"[DONE]":
                    self.done = True
                    return
                self._read(_events.decode(payload), at)
        except EventTooLong:
            self.problem = "it sent an event without an end"
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.problem = "it sent something that is no part of an OpenAI reply"
        self.done = self.done or bool(self.problem)

    def _read(self, event: _Event, at: float) -> None:
        if event.choices:
            choice = event.choices[0]
            said = choice.text
            if choice.delta is not None:
                # A chat's first event only names the role.
                said = choice.delta.content or choice.delta.reasoning_content or choice.delta.reasoning or None
            # A token may be half a character, whose text is empty.
            if said or (said is not None and choice.finish_reason is None):
                self.times.append(at)
                self._on_piece(at)
        if event.usage is not None:
            self.prompt_tokens, self.output_tokens = event.usage.prompt_tokens, event.usage.completion_tokens
            details = event.usage.prompt_tokens_details
            self.cached_tokens = details.cached_tokens if details is not None else None
        if event.error is not None:
            said = server_message({"error": event.error})
            self.problem = f"it broke off with an error: {said or 'it did not say which'}"

    def record(self, sent: float, begun: float, kind: str) -> Asked:
        """What is kept of it; `sent` and `begun` are when the request and the round began."""
        times = self.times
        error = self.problem or ("" if times else "it answered without a token")
        if error:
            return Asked(round(sent - begun, 6), kind, error=error)
        return Asked(
            at=round(sent - begun, 6),
            kind=kind,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens if self.output_tokens is not None else len(times),
            ttft=round(times[0] - sent, 6),
            e2e=round(times[-1] - sent, 6),
            itl=tuple(round(later - earlier, 6) for earlier, later in itertools.pairwise(times)),
            pieces=len(times),
            cached_tokens=self.cached_tokens,
        )
