"""Takes the prompt that a server echoes apart from what the model wrote after it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from gemma_backend.chat.align import Aligner
from gemma_backend.chat.alternatives import Ask
from gemma_backend.types import (
    Declined,
    Delta,
    Echoed,
    Failed,
    Finished,
    Options,
    Sampling,
    StreamEvent,
    Token,
)


def echoing(ask: Ask, prompt: str) -> Ask:
    """`ask`, with the prompt taken out of the replies to one Echoed where it was asked back."""

    async def asked(sampling: Sampling, options: Options) -> AsyncGenerator[StreamEvent]:
        splitters: dict[int, EchoSplitter] = {}
        expected = options.echo
        async with aclosing(ask(sampling, options)) as events:
            async for event in events:
                if isinstance(event, Declined) and event.option == "echo":
                    expected = False
                elif isinstance(event, Delta) and expected:
                    splitter = splitters.setdefault(event.index, EchoSplitter(prompt))
                    for part in _of(event.index, splitter.feed(event)):
                        yield part
                    continue
                elif isinstance(event, Finished | Failed):
                    for index, splitter in splitters.items():
                        for part in _of(index, splitter.finish()):
                            yield part
                yield event

    return asked


def _of(index: int, parts: list[Echoed | Declined | Delta]) -> list[StreamEvent]:
    """`parts` as those of the alternative `index`; the prompt is told once."""
    if index == 0:
        return list(parts)
    return [replace(part, index=index) for part in parts if isinstance(part, Delta)]


class EchoSplitter:
    """Reads the deltas of one alternative of a reply that was asked for with `echo`.

    The prompt must come back as it was sent: an Echoed tells that it did, a Declined that it did not.
    """

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self._text = ""
        self._tokens: list[Token] = []
        self._over = False

    def feed(self, delta: Delta) -> list[Echoed | Declined | Delta]:
        """Return what `delta` means; nothing while the prompt is still coming."""
        if self._over:
            return [delta]
        self._text += delta.text
        self._tokens += delta.tokens
        length = len(self._prompt)
        if not self._prompt.startswith(self._text[:length]):
            return self._rest(Declined("echo", _difference(self._prompt, self._text)), 0, 0)
        if len(self._text) < length:
            return []
        count = len(Aligner().feed(self._prompt, self._tokens))
        return self._rest(Echoed(self._prompt, tuple(self._tokens[:count])), length, count)

    def finish(self) -> list[Echoed | Declined | Delta]:
        """Return what was held back where the reply ended before the prompt was whole."""
        if self._over or not (self._text or self._tokens):
            return []
        return self._rest(Declined("echo", _difference(self._prompt, self._text)), 0, 0)

    def _rest(self, first: Echoed | Declined, length: int, count: int) -> list[Echoed | Declined | Delta]:
        self._over = True
        text, tokens = self._text[length:], tuple(self._tokens[count:])
        return [first, Delta(text, tokens=tokens)] if text or tokens else [first]


def _difference(prompt: str, text: str) -> str:
    same = next((at for at, (left, right) in enumerate(zip(prompt, text, strict=False)) if left != right), len(text))
    if not same:
        return "The server did not give the prompt back."
    return f"The server gave the prompt back changed: it differs after {len(prompt[:same].encode())} bytes."
