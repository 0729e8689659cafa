"""A report in words: columns for a terminal, Markdown for a document."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gemma_backend.evaluate.bench.records import Report, Round
from gemma_backend.evaluate.bench.summary import LATENCIES, Spread, Summary, summarise

NONE = "-"
COLUMNS = 5
"""Loads beside each other on a terminal of 80 columns."""
LABEL = 24
COLUMN = 11

Value = Callable[[Round, Summary], float | None]
Form = Callable[[float | None], str]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of every load: a label with its unit, and the values as text."""

    label: str
    values: tuple[str, ...]


def lines(report: Report) -> list[Line]:
    """Every figure that any load has, in the order of interest; of several repeats the median."""
    loads: dict[str, list[tuple[Round, Summary]]] = {}
    for one in report.rounds:
        loads.setdefault(one.load, []).append((one, summarise(one, report.goodput)))
    rows = [Line("load", tuple(loads))]
    for label, of, form in _FIGURES:
        values = [[of(one, summary) for one, summary in repeats] for repeats in loads.values()]
        rows.append(Line(label, tuple(form(_median(each)) for each in values)))
        if label == GENERATION and any(len(each) > 1 for each in values):
            known = [[value for value in each if value is not None] for each in values]
            rows.append(Line("  lowest", tuple(form(min(each, default=None)) for each in known)))
            rows.append(Line("  highest", tuple(form(max(each, default=None)) for each in known)))
    return [line for line in rows if any(value != NONE for value in line.values)]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _latency(name: str, key: str) -> Value:
    def of(one: Round, summary: Summary) -> float | None:
        spread: Spread = getattr(summary, name)
        value: float | None = getattr(spread, key)
        return value

    return of


def rate(value: float | None) -> str:
    """Tokens a second, with a decimal where it says something."""
    return NONE if value is None else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def number(value: float | None, digits: int) -> str:
    """A number with so many digits."""
    return NONE if value is None else f"{value:,.{digits}f}"


def milliseconds(value: float | None) -> str:
    """Seconds as milliseconds with three digits at least."""
    if value is None:
        return NONE
    return f"{value * 1000:,.2f}" if value < 0.01 else f"{value * 1000:,.1f}" if value < 1 else f"{value * 1000:,.0f}"


def share(value: float | None) -> str:
    """A share as a percentage."""
    return NONE if value is None else f"{value * 100:.1f}"


def gib(value: float | None) -> str:
    """Bytes as GiB."""
    return NONE if value is None else f"{value / (1 << 30):.2f}"


def _with(digits: int) -> Form:
    return lambda value: number(value, digits)


def _some(value: float | None) -> str:
    return f"{value:,.0f}" if value else NONE


GENERATION = "generation, tok/s"
_FIGURES: tuple[tuple[str, Value, Form], ...] = (
    (GENERATION, lambda one, summary: summary.output_rate, rate),
    ("one stream, tok/s", lambda one, summary: summary.stream_rate, rate),
    ("prompt, tok/s", lambda one, summary: summary.prompt_rate, rate),
    ("requests/s", lambda one, summary: summary.request_rate, _with(2)),
    ("goodput, requests/s", lambda one, summary: summary.goodput, _with(2)),
    *(
        (f"{name.upper()} {key}, ms", _latency(name, key), milliseconds)
        for name in LATENCIES
        for key in ("p50", "p95", "p99", "mean")
    ),
    ("requests", lambda one, summary: summary.requests, _with(0)),
    ("failed", lambda one, summary: summary.failed, _some),
    ("prompt tokens, mean", lambda one, summary: summary.prompt_tokens, _with(1)),
    ("generated tokens, mean", lambda one, summary: summary.output_tokens, _with(1)),
    ("tokens in a piece, mean", lambda one, summary: summary.tokens_a_piece, _with(2)),
    ("seconds", lambda one, summary: summary.seconds, _with(1)),
    ("KV cache peak, %", lambda one, summary: one.server.kv_cache_peak, share),
    ("prefix cache hits, %", lambda one, summary: one.server.prefix_hit_rate, share),
    ("preemptions", lambda one, summary: one.server.preemptions, _some),
    ("GPU memory peak, GiB", lambda one, summary: one.server.gpu_memory_peak, gib),
    ("GPU power mean, W", lambda one, summary: one.server.gpu_power_mean, _with(0)),
    ("engine memory peak, GiB", lambda one, summary: one.server.engine_memory_peak, gib),
    ("client CPU, % of a core", lambda one, summary: one.client.cpu, share),
)


def heading(report: Report) -> list[str]:
    """What was measured, in a few sentences."""
    target, load = report.target, report.workload
    on = (
        f" on {', '.join(target.gpus)}"
        if target.gpus
        else f" on {target.processors} cores"
        if target.processors
        else ""
    )
    where = f"{target.model} at {target.url}" + (f", {target.server}" if target.server else "") + on
    kinds = "" if load.get("mix") == "text=1" else f", {load.get('mix')}"
    shared = f", {load['shared_prefix']} of them shared" if load.get("shared_prefix") else ""
    said = [
        where,
        f"{load.get('prompt_tokens')} prompt tokens{shared}, {load.get('output_tokens')} generated{kinds}, "
        f"/v1/{'chat/completions' if load.get('api') == 'chat' else 'completions'}, temperature "
        f"{load.get('temperature')}",
    ]
    if report.goodput:
        level = ", ".join(f"{name.upper()} up to {limit * 1000:g} ms" for name, limit in report.goodput.items())
        said.append(f"goodput counts requests with {level}")
    return said


def remarks(report: Report) -> list[str]:
    """What a reader must know to trust the figures."""
    said = []
    for one in report.rounds:
        name = f"{one.load}: "
        if one.client.bottleneck:
            said.append(
                f"{name}this client was the bottleneck ({one.client.cpu:.0%} of its one core): the server can do more "
                "than is shown."
            )
        elif one.client.late:
            said.append(
                f"{name}other work on this machine kept the client waiting, up to {one.client.lag * 1000:.0f} ms: "
                "latencies are uncertain by as much."
            )
        if one.interrupted:
            said.append(f"{name}it was interrupted; what was finished by then is shown.")
        failed = [asked.error for asked in one.asked if asked.error]
        if failed:
            said.append(f"{name}{len(failed)} of {len(one.asked)} requests failed, the first because {failed[0]}")
        if any(asked.prompt_tokens is None for asked in one.asked if not asked.error):
            said.append(f"{name}the server counts no tokens; pieces of text stand for them.")
    return said


def text(report: Report) -> str:
    """The report for a terminal of 80 columns."""
    said = heading(report)
    rows = lines(report)
    for batch in _batches(len(rows[0].values)):
        said.append("")
        said += [
            f"{line.label:<{LABEL}}" + "".join(f"{line.values[index]:>{COLUMN}}" for index in batch) for line in rows
        ]
    notes = remarks(report)
    return "\n".join([*said, *([""] if notes else []), *notes])


def _batches(count: int) -> list[range]:
    return [range(start, min(start + COLUMNS, count)) for start in range(0, count, COLUMNS)]


def markdown(report: Report) -> str:
    """The report as a section of a Markdown document."""
    first, *rest = lines(report)
    said = [f"{report.made}, gemma-tui {report.tool}: " + "; ".join(heading(report)) + ".", ""]
    said += table([first.label, *first.values], [[line.label, *line.values] for line in rest])
    notes = remarks(report)
    return "\n".join([*said, *([""] if notes else []), *notes]) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""

    def joined(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [joined(head), joined(["---"] * len(head)), *(joined(row) for row in rows)]
