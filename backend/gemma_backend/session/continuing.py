"""A raw text to be continued or scored: which request it makes, with pictures and clips in it or without."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from gemma_backend.chat.exchange import PATIENCE, Patience, Request, as_sent
from gemma_backend.chat.request import PLAIN, split_placeholders
from gemma_backend.chat.score import stream_score
from gemma_backend.chat.stream import completion_build, raw_build, stream_completion, stream_raw
from gemma_backend.types import Endpoint, Failed, Options, Part, Sampling, StreamEvent


@dataclass(frozen=True, slots=True)
class Continuation:
    """What is done with `prompt`: continued as `sampling` and `options` say, or, with `score`, judged.

    `media` stand where their placeholders are in the prompt, in order, or in front of it; with `parts` the prompt is
    already cut into texts and media. `score` is the number of candidates to tell for each token.
    """

    prompt: str
    sampling: Sampling
    options: Options = PLAIN
    media: tuple[Part, ...] = ()
    parts: tuple[Part, ...] | None = None
    score: int | None = None

    def stream(
        self, endpoint: Endpoint, model: str, *, managed: bool, patience: Patience = PATIENCE
    ) -> AsyncGenerator[StreamEvent]:
        """Send it and stream what comes; `managed` tells that the server was started with our transcript template."""
        parts = self._cut()
        if self.score is not None:
            return stream_score(
                endpoint,
                model,
                self.prompt,
                self.score,
                add_special_tokens=self.options.add_special_tokens,
                parts=parts,
                managed=managed,
                patience=patience,
            )
        if parts is not None:
            return stream_raw(
                endpoint, model, parts, self.sampling, managed=managed, options=self.options, patience=patience
            )
        return stream_completion(endpoint, model, self.prompt, self.sampling, options=self.options, patience=patience)

    def as_sent(self, endpoint: Endpoint, model: str, *, managed: bool) -> Request | Failed:
        """The request that continues it, as the server would get it now; Failed says why there is none."""
        parts = self._cut()
        if parts is None:
            build = completion_build(self.prompt, self.sampling, model, self.options)
        else:
            build = raw_build(endpoint, parts, self.sampling, model, managed=managed, options=self.options)
        return as_sent(endpoint, model, build)

    def _cut(self) -> tuple[Part, ...] | None:
        """The prompt in texts and media, None where it is text alone."""
        if self.parts is not None:
            return self.parts
        return split_placeholders(self.prompt, self.media) if self.media else None
