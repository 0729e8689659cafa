"""What this client sees of its own requests: figures for servers that publish none."""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass, field

from gemma_backend.types import Delta, Failed, Finished, OwnRow, Quantiles, Sample, Started, StreamEvent, Usage

WINDOW_SECONDS = 60.0
RATE_SECONDS = 2.0
"""Tokens a second are those of this long: the server sends them in bursts."""

MOST = 20_000
"""Spans of tokens that are kept; twenty requests at a time give so many in a minute."""


ROWS = 20
"""Requests that are kept as rows, the latest."""


@dataclass(slots=True)
class OwnRequest:
    """One request on its way; `sent` is a monotonic time in seconds, as is every `at`."""

    sent: float
    measures: OwnMeasures = field(repr=False)
    open: bool = True
    failed: bool = False
    ended: float | None = None
    prompt_tokens: int | None = None
    _tokens: int = 0
    _counted: float | None = None
    _first_at: float | None = None

    def observe(self, event: StreamEvent, at: float) -> None:
        """Take note of an event that came at `at`."""
        match event:
            case Delta(text=text, reasoning=reasoning):
                if (text or reasoning) and self._counted is None:
                    self._first(at)
            case Usage(prompt_tokens=prompt, completion_tokens=tokens):
                self.prompt_tokens = prompt
                self._count(tokens, at)
            case Finished() | Failed():
                self.failed = isinstance(event, Failed)
                self.ended = at
                self.end()
            case Started():
                pass

    def end(self) -> None:
        """Count the request no longer among those running; harmless when it has ended."""
        self.open = False
        self.measures.requests.discard(id(self))

    def row(self, at: float) -> OwnRow:
        """Return what is known of it at `at`."""
        last = self.ended if self.ended is not None else at
        first = self._first_at
        if self.failed:
            state = "failed"
        elif self.open:
            state = "waiting" if first is None else "streaming"
        else:
            state = "done"
        # Until the next count comes, what was counted is what was there then.
        upto = min(last, self._counted) if self._counted is not None else last
        rate = (self._tokens - 1) / (upto - first) if first is not None and self._tokens > 1 and upto > first else None
        return OwnRow(
            state,
            age=max(0.0, at - self.sent),
            ttft=None if first is None else first - self.sent,
            rate=rate,
            tokens=self._tokens,
            prompt_tokens=self.prompt_tokens,
        )

    def _first(self, at: float) -> None:
        self._counted = self._first_at = at
        self.measures.first_tokens.append((at, at - self.sent))

    def _count(self, tokens: int, at: float) -> None:
        fresh = tokens - self._tokens
        if fresh <= 0:
            return
        if self._counted is None:
            self._first(at)
        since = self._counted if self._counted is not None else at
        # The first token came at `since`; the others lie between there and now.
        self.measures.spans.append((since, at, fresh if self._tokens else max(fresh - 1, 0)))
        self._tokens, self._counted = tokens, at


@dataclass(slots=True)
class OwnMeasures:
    """Times and tokens of this client's requests over the last minute."""

    requests: set[int] = field(default_factory=set)
    first_tokens: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MOST))
    spans: deque[tuple[float, float, int]] = field(default_factory=lambda: deque(maxlen=MOST))
    latest: deque[OwnRequest] = field(default_factory=lambda: deque(maxlen=ROWS))

    def begin(self, at: float) -> OwnRequest:
        """Return the record of a request that is sent at `at`; give it every event of the reply."""
        request = OwnRequest(at, self)
        self.requests.add(id(request))
        self.latest.append(request)
        return request

    def rows(self, at: float) -> tuple[OwnRow, ...]:
        """Return the latest requests, the newest first."""
        return tuple(request.row(at) for request in reversed(self.latest))

    def sample(self, at: float) -> Sample:
        """Return what is known at `at`; the server's whole load, its memory and its cache stay None."""
        self._forget(at - WINDOW_SECONDS)
        return Sample(
            at=at,
            generation_rate=self._rate(at),
            running=len(self.requests),
            ttft=spread([(seconds, 1) for _, seconds in self.first_tokens]),
            itl=spread([((end - start) / count, count) for start, end, count in self.spans if count]),
        )

    def fill(self, sample: Sample) -> Sample:
        """Return `sample` with what it lacks and this client knows."""
        own = self.sample(sample.at)
        return dataclasses.replace(
            sample,
            generation_rate=own.generation_rate if sample.generation_rate is None else sample.generation_rate,
            running=own.running if sample.running is None else sample.running,
            ttft=own.ttft if sample.ttft.p50 is None else sample.ttft,
            itl=own.itl if sample.itl.p50 is None else sample.itl,
            own=self.rows(sample.at),
        )

    def _rate(self, at: float) -> float | None:
        """Return tokens a second over the last moments, None before anything was counted."""
        if not self.spans:
            return None if self.first_tokens or self.requests else 0.0
        since = at - RATE_SECONDS
        tokens = 0.0
        for start, end, count in self.spans:
            if end > start:
                tokens += count * max(0.0, min(end, at) - max(start, since)) / (end - start)
            elif since < end <= at:
                tokens += count
        return tokens / RATE_SECONDS

    def _forget(self, before: float) -> None:
        while self.first_tokens and self.first_tokens[0][0] < before:
            self.first_tokens.popleft()
        while self.spans and self.spans[0][1] < before:
            self.spans.popleft()


def spread(values: list[tuple[float, int]]) -> Quantiles:
    """Return the quantiles and mean of (value, how often) pairs: the smallest value that so many do not exceed."""
    count = sum(times for _, times in values)
    if not count:
        return Quantiles()
    ordered = sorted(values)
    found: list[float] = []
    for share in (0.5, 0.95, 0.99):
        seen = 0
        for value, times in ordered:
            seen += times
            if seen >= share * count:
                found.append(value)
                break
        else:
            found.append(ordered[-1][0])
    return Quantiles(found[0], found[1], found[2], sum(value * times for value, times in values) / count)
