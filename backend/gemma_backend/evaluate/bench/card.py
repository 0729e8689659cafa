"""The published card's table, beside what was measured here."""

from __future__ import annotations

from dataclasses import dataclass

from gemma_backend.evaluate.bench.records import Report
from gemma_backend.evaluate.bench.summary import summarise
from gemma_backend.evaluate.bench.tables import NONE, gib, rate, table
from gemma_backend.evaluate.bench.workload import Pace, Span, Workload


@dataclass(frozen=True, slots=True)
class Card:
    """What a model card states: bytes on disk, tokens a second of one stream, bytes of memory, on which device."""

    repository: str
    size: float
    rate: float
    memory: float
    device: str


# huggingface.co/bg-digitalservices/Gemma-4-E2B-NVFP4A16, tables "Key Specs" and "Speed"; all three are given there
# as "about".
PUBLISHED = Card("bg-digitalservices/Gemma-4-E2B-NVFP4A16", 7.5e9, 90.0, 7.5e9, "DGX Spark (GB10)")

WORKLOAD = Workload(prompt_tokens=Span(32, 32), output_tokens=Span(256, 256))
"""The card does not say what was generated; one stream of 256 tokens after a short prompt is what it can mean."""
PACE = Pace(concurrency=1)


def rows(report: Report) -> list[tuple[str, str, str]]:
    """Figure, published and ours, as text; what is not known here is a dash."""
    target = report.target
    single = next((one for one in report.rounds if one.concurrency == 1), None)
    ours = summarise(single) if single is not None else None
    peak = max((one.server.gpu_memory_peak or 0 for one in report.rounds), default=0) or None
    return [
        ("size on disk, GB", f"about {PUBLISHED.size / 1e9:.1f}", _gb(target.checkpoint_bytes)),
        ("tokens a second, one stream", f"about {PUBLISHED.rate:.0f}", rate(ours.output_rate if ours else None)),
        ("weights in memory, GB", f"about {PUBLISHED.memory / 1e9:.1f}", _gb(target.weights_bytes)),
        ("GPU memory in use, GiB", NONE, gib(peak)),
    ]


def sources(report: Report) -> str:
    """What the two columns are of."""
    here = ", ".join(report.target.gpus) or "no GPU"
    return f"published: {PUBLISHED.repository} on {PUBLISHED.device}; here: {report.target.model} on {here}"


def text(report: Report) -> str:
    """The table for a terminal."""
    lines = [f"{label:<28}{published:>12}{here:>12}" for label, published, here in rows(report)]
    return "\n".join([sources(report).replace("; ", "\n"), "", f"{'':<28}{'published':>12}{'here':>12}", *lines])


def markdown(report: Report) -> str:
    """The table as Markdown."""
    return "\n".join([*table(["", "published", "here"], rows(report)), "", sources(report) + "."]) + "\n"


def _gb(value: int | None) -> str:
    return NONE if value is None else f"{value / 1e9:.2f}"
