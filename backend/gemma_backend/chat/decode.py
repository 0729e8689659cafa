"""From the bytes of a streamed reply to its text, token counts and end; no input or output happens here."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from gemma_backend.chat.logprobs import reply_tokens
from gemma_backend.endpoint.faults import server_message
from gemma_backend.types import ChoiceEnded, Delta, Token, Usage

# One event carries a few tokens, a few hundred bytes; logprobs make it some ten times that.
EVENT_LIMIT = 4 << 20
# Token counts beyond this are nonsense, and would not fit where they are shown.
_COUNT_LIMIT = 1 << 40


class _Said(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: _Said | None = None
    message: _Said | None = None
    text: Any = None
    finish_reason: Any = None
    logprobs: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None
    message: Any = None


_decoder = msgspec.json.Decoder(_Chunk)
_Event = Delta | ChoiceEnded | Usage


class EventTooLong(Exception):
    """An event grew beyond EVENT_LIMIT bytes."""


class EventReader:
    """Cuts the bytes of a `text/event-stream` into the payloads of its events, wherever the pieces were cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads of the events that `data` completes; raises EventTooLong."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        payloads: list[bytes] = []
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if line.startswith(b"data:"):
                self._lines.append(line[6:] if line[5:6] == b" " else line[5:])
                self._size += len(line)
            elif line.startswith(b"error:"):
                # llama.cpp names the field after what happened.
                payloads.append(line[6:].strip())
            elif not line and self._lines:
                payloads.append(self._lines[0] if len(self._lines) == 1 else b"\n".join(self._lines))
                self._lines, self._size = [], 0
        if len(self._rest) + self._size > EVENT_LIMIT:
            raise EventTooLong
        return payloads

    def finish(self) -> list[bytes]:
        """Return the payload of a last event that no blank line followed."""
        return self.feed(b"\n\n") if self._rest or self._lines else []


class _Alternative:
    """What one read adds to one of the alternatives, and the half of a character that waits for the rest of it."""

    __slots__ = ("half", "reason", "reasoning", "text", "tokens")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.tokens: list[Token] = []
        self.half = ""
        self.reason: str | None = None

    def take(self, index: int, *, last: bool) -> Delta | None:
        """The delta of what was added, if anything was; `last` tells that nothing can follow."""
        text, reasoning, tokens = self._mended("".join(self.text), last), "".join(self.reasoning), tuple(self.tokens)
        self.text.clear()
        self.reasoning.clear()
        self.tokens.clear()
        return Delta(text, reasoning, index, tokens) if text or reasoning or tokens else None

    def _mended(self, text: str, last: bool) -> str:
        # A character beyond U+FFFF can come as two halves in two events, each an escape of its own.
        text = self.half + text
        self.half = ""
        if text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text):
            return text
        if "\ud800" <= text[-1] <= "\udbff" and not last:
            text, self.half = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class ReplyReader:
    """Reads one streamed reply of `/v1/chat/completions` or `/v1/completions`, with up to `choices` alternatives.

    `reason` is the server's reason for the end of the first one once it is known, `done` is true after the stream's own
    end mark, and `problem` tells in the middle of a sentence ("sent ...") why the reply cannot be read on; with
    `refused` that is what the server itself said.
    """

    def __init__(self, choices: int = 1) -> None:
        self._events = EventReader()
        self._choices = choices
        self._alternatives: dict[int, _Alternative] = {}
        self._ended: list[ChoiceEnded] = []
        self._written: dict[str, int] = {}
        self.done = False
        self.problem: str | None = None
        self.refused = False
        self.usage: Usage | None = None

    @property
    def reason(self) -> str | None:
        """The reason for the end of the first alternative."""
        return self._alternatives[0].reason if 0 in self._alternatives else None

    @property
    def seen(self) -> set[int]:
        """The alternatives of which something came."""
        return set(self._alternatives)

    def feed(self, data: bytes) -> list[_Event]:
        """Return what `data` adds: at most one Delta for each alternative, and one Usage with the newest counts.

        Where there are several alternatives, a ChoiceEnded follows the last Delta of each.
        """
        try:
            payloads = self._events.feed(data)
        except EventTooLong:
            self.problem = f"sent an event of more than {EVENT_LIMIT >> 20} MiB, which no reply holds"
            return []
        return self._read(payloads)

    def finish(self) -> list[_Event]:
        """Return what was still waiting for the end of its event when the connection ended."""
        return [] if self.done or self.problem else self._read(self._events.finish())

    def whole(self, body: bytes) -> list[_Event]:
        """Read a reply that a server sent in one piece though a stream was asked for."""
        events = self._read([body])
        self.done = self.problem is None
        return events

    def _read(self, payloads: list[bytes]) -> list[_Event]:
        counted = self.usage
        for payload in payloads:
            if self.done or self.problem:
                break
            if payload.strip() == b"[DONE]":
                self.done = True
            elif payload:
                self._take(payload)
        events: list[_Event] = []
        for index, alternative in self._alternatives.items():
            if (delta := alternative.take(index, last=self.done)) is not None:
                events.append(delta)
        events += self._ended
        self._ended.clear()
        if self.usage is not None and self.usage != counted:
            events.append(self.usage)
        return events

    def _take(self, payload: bytes) -> None:
        chunk = _decoded(payload)
        if chunk is None:
            self.problem = "sent something that is no part of an OpenAI reply"
            return
        if chunk.error is not None or chunk.object == "error":
            message = server_message({"error": chunk.error or chunk.message})
            self.refused = True
            self.problem = f"broke the reply off with an error: {message or 'it did not say which'}"
            return
        if chunk.usage is not None:
            self._count(chunk)
        for choice in chunk.choices or ():
            index = 0 if choice.index is None else choice.index
            if type(index) is not int or not 0 <= index < self._choices:
                continue
            said = choice.delta or choice.message
            content = choice.text if said is None else said.content
            thought = None if said is None else said.reasoning_content or said.reasoning
            if not (content is None or isinstance(content, str)) or not (thought is None or isinstance(thought, str)):
                self.problem = "sent a reply whose text is no text"
                return
            self._add(index, choice, content, thought)

    def _count(self, chunk: _Chunk) -> None:
        usage = _usage(chunk.usage)
        if usage is not None and self._choices > 1 and chunk.choices:
            # vLLM counts in each event the tokens of its own alternative, and all of them in the last.
            self._written[str(chunk.choices[0].index)] = usage.completion_tokens
            usage = Usage(usage.prompt_tokens, sum(self._written.values()), usage.cached_tokens)
        self.usage = usage or self.usage

    def _add(self, index: int, choice: _Choice, content: str | None, thought: str | None) -> None:
        alternative = self._alternatives.setdefault(index, _Alternative())
        if content:
            alternative.text.append(content)
        if thought:
            alternative.reasoning.append(thought)
        if choice.logprobs is not None:
            alternative.tokens += reply_tokens(choice.logprobs)
        if choice.finish_reason is not None:
            alternative.reason = str(choice.finish_reason)[:40]
            if self._choices > 1:
                self._ended.append(ChoiceEnded(index, alternative.reason))


def _decoded(payload: bytes) -> _Chunk | None:
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    # The standard library takes what msgspec does not: halves of a surrogate pair, NaN, numbers of any length.
    try:
        return msgspec.convert(json.loads(payload), _Chunk)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    details = usage.get("prompt_tokens_details")
    return Usage(prompt, completion, _count(details.get("cached_tokens")) if isinstance(details, dict) else None)


def _count(value: Any) -> int | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and 0 <= value < _COUNT_LIMIT else None
