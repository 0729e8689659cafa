"""Which characters of a document were generated; what lies between the spans was typed. Pure functions on values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Origin = Literal["generated", "offered"]
"""`offered` was generated last, and the person has neither accepted nor rejected it."""


class Span(NamedTuple):
    """The characters from `start` to before `end`."""

    start: int
    end: int
    origin: Origin


Spans = tuple[Span, ...]


def replaced(spans: Spans, start: int, end: int, length: int, origin: Origin | None = None) -> Spans:
    """The spans after the characters from `start` to before `end` gave way to `length` others of that origin."""
    shift = length - (end - start)
    kept: list[Span] = []
    for span in spans:
        if span.start < start:
            kept.append(span._replace(end=min(span.end, start)))
        if span.end > end:
            kept.append(Span(max(span.start, end) + shift, span.end + shift, span.origin))
    if origin is not None:
        kept.append(Span(start, start + length, origin))
    return joined(kept)


def accepted(spans: Spans) -> Spans:
    """The spans with what was offered as generated."""
    return joined(Span(span.start, span.end, "generated") for span in spans)


def offered(spans: Spans) -> Span | None:
    """What was generated last and is not decided on; it is in one piece."""
    pieces = [span for span in spans if span.origin == "offered"]
    return Span(pieces[0].start, pieces[-1].end, "offered") if pieces else None


def joined(spans: Iterable[Span]) -> Spans:
    """The spans in order, without empty ones, neighbours of one origin as one."""
    found: list[Span] = []
    for span in sorted(span for span in spans if span.end > span.start):
        if found and found[-1].origin == span.origin and found[-1].end >= span.start:
            found[-1] = found[-1]._replace(end=max(found[-1].end, span.end))
        else:
            found.append(span)
    return tuple(found)
