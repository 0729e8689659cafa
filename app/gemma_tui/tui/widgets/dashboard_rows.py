"""What the dashboard shows in so many columns and rows, as text with names of styles: no widget, no colour."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.cells import cell_len

from gemma_backend.metrics.history import History
from gemma_backend.text.clean import clean
from gemma_backend.types import EngineState, GpuMemory, Phase, Quantiles, Sample
from gemma_tui.chart import area, bar, ceiling, columns_of
from gemma_tui.tui.widgets import dashboard_words as words
from gemma_tui.tui.widgets.text_cells import fit, wrap

Run = tuple[str, str]
Row = tuple[Run, ...]

LONG_LABELS = 38
"""From this many columns on labels carry their term: `first token (TTFT)`."""

BAR_COLUMNS = 10
SECONDS_A_COLUMN = 2
"""Samples, which come once a second, behind one column of a course."""
MIN_REQUESTS = 4.0
"""Requests at the top of their scale at least, so that one does not look like the most there can be."""
TALL_CHART = 3
"""Rows of the generation chart where there is room to spare."""

_STATES: dict[EngineState, tuple[str, str]] = {
    "stopped": ("○", "muted"),
    "starting": ("◐", "busy"),
    "ready": ("●", "ready"),
    "stopping": ("◌", "warn"),
    "failed": ("✗", "failed"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the engine is doing: `seconds` since its state began, None where nobody counts."""

    state: EngineState = "stopped"
    phase: Phase | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that belong together: `rank` 0 is what is given up last, `chart` rows go before heads of the same rank."""

    rank: int
    head: tuple[Row, ...]
    chart: tuple[Row, ...] = ()
    group: int = 0


@dataclass(slots=True)
class _Chosen:
    block: Block
    head: bool = False
    chart: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """All that is drawn from."""

    standing: Standing = field(default_factory=Standing)
    sample: Sample | None = None
    history: History = field(default_factory=History)
    under_status: bool = False


def rows(board: Board, width: int, height: int) -> list[Row]:
    """Return at most `height` rows of exactly `width` cells, the least important left out; in two it is one line."""
    if width <= 0 or height <= 0:
        return []
    if height <= 2:
        return [((fit(compact(board), width), "value"),)]
    tall = TALL_CHART if _needed(_blocks(board, width, 1)) + TALL_CHART + 4 <= height else 1
    return _fitted(_blocks(board, width, tall), height, width)


def compact(board: Board) -> str:
    """Return the most important figures in one line, for a terminal without room for a panel.

    Where a status line stands below it, that says what the engine is doing.
    """
    sample, standing = board.sample, board.standing
    parts = [] if board.under_status else [f"{_STATES[standing.state][0]} {_doing(standing)}"]
    if sample is not None:
        if sample.generation_rate is not None:
            parts.append(words.rate(sample.generation_rate))
        if sample.running is not None:
            waiting = f" + {words.whole(sample.waiting)} waiting" if sample.waiting else ""
            parts.append(f"{words.whole(sample.running)} running{waiting}")
        if sample.kv_cache is not None:
            parts.append(f"KV cache {words.share(sample.kv_cache)}")
        if sample.ttft.p50 is not None:
            parts.append(f"first token {words.duration(sample.ttft.p50)}")
        if sample.host is not None and sample.host.engine is not None:
            parts.append(f"engine {words.memory(sample.host.engine)}")
        parts += [f"GPU {words.memory_of(gpu.used, gpu.total)}" for gpu in sample.gpus if gpu.used and gpu.total]
    if board.under_status and standing.state == "starting" and standing.phase is not None and standing.phase.detail:
        parts.insert(0, clean(standing.phase.detail, keep_newlines=False))
    if not parts and sample is not None and sample.host is not None:
        host = sample.host
        parts.append(f"this machine {words.memory_of(host.total - host.available, host.total)}")
    return " · ".join(parts)


def _needed(blocks: list[Block]) -> int:
    return sum(len(block.head) + len(block.chart) for block in blocks)


def _fitted(blocks: list[Block], height: int, width: int) -> list[Row]:
    """Take heads by rank, then charts by rank, then blank rows between groups, while there is room."""
    chosen = [_Chosen(block) for block in blocks]
    left = height
    for item in sorted(chosen, key=lambda item: item.block.rank):
        if len(item.block.head) > left:
            break  # what matters less may be shorter, but would stand there in its place
        item.head = True
        left -= len(item.block.head)
    for item in sorted(chosen, key=lambda item: item.block.rank):
        if item.head and len(item.block.chart) <= left:
            item.chart = True
            left -= len(item.block.chart)
    shown: list[Row] = []
    group = None
    for item in chosen:
        if not item.head:
            continue
        if group is not None and item.block.group != group and left > 0:
            shown.append(((" " * width, "label"),))
            left -= 1
        group = item.block.group
        shown += item.block.head
        if item.chart:
            shown += item.block.chart
    return shown


def _blocks(board: Board, width: int, tall: int) -> list[Block]:
    sample, history = board.sample or Sample(0.0), board.history
    long = width >= LONG_LABELS
    blocks = [_state(board.standing, width)]
    if sample.note:
        blocks.append(Block(2, tuple(((fit(line, width), "note"),) for line in _lines(sample.note, width))))

    def course(name: str, least: float = 0.0, height: int = 1) -> tuple[Row, ...]:
        values = _course(history, name, width)
        if not any(value is not None for value in values):
            return ()
        top = max(least, ceiling(max((value for value in values if value is not None), default=0.0)))
        return tuple(((line, "chart"),) for line in area(values, height, top=top))

    def gauge(name: str, share: float | None) -> tuple[Row, ...]:
        return _gauge(share, history, name, 1.0, width)

    generation = _pair("generation", words.rate(sample.generation_rate), width)
    blocks += [
        Block(1, (generation,), course("generation", height=tall), 1),
        Block(4, (_pair("prompt", words.rate(sample.prompt_rate), width),), course("prompt"), 1),
        Block(3, (_pair("requests", _requests(sample), width),), course("running", MIN_REQUESTS), 1),
        Block(5, (_latency("first token" + " (TTFT)" * long, sample.ttft, width),), course("ttft"), 2),
        Block(6, (_latency("each token" + " (ITL)" * long, sample.itl, width),), course("itl"), 2),
        Block(4, (_pair("KV cache", _cache(sample), width),), gauge("kv_cache", sample.kv_cache), 3),
    ]
    return blocks + _memory(sample, history, width)


def _memory(sample: Sample, history: History, width: int) -> list[Block]:
    blocks = []
    host = sample.host
    if host is not None:
        engine = words.NONE if host.engine is None else words.memory(host.engine)
        if host.engine is not None and host.engine_cpu is not None:
            engine += f" · {host.engine_cpu * 100:.0f} % CPU"
        share = host.engine / host.total if host.engine is not None else None
        blocks.append(
            Block(5, (_pair("engine", engine, width),), _gauge(share, history, "engine_memory", host.total, width), 4)
        )
        used = host.total - host.available
        blocks.append(
            Block(
                7,
                (_pair("this machine", words.memory_of(used, host.total), width),),
                _gauge(used / host.total, history, "host_memory", host.total, width),
                4,
            )
        )
    else:
        blocks.append(Block(8, (_pair("memory", words.NONE, width),), (), 4))
    return blocks + [_gpu(gpu, sample, history, width) for gpu in sample.gpus]


def _gpu(gpu: GpuMemory, sample: Sample, history: History, width: int) -> Block:
    label = "unified memory" if gpu.unified else f"GPU {gpu.index}"
    value = words.NONE
    share = None
    if gpu.used is not None and gpu.total:
        value, share = words.memory_of(gpu.used, gpu.total), gpu.used / gpu.total
    detail = " · ".join(
        text
        for text in (
            "" if gpu.utilisation is None else f"{gpu.utilisation * 100:.0f} % busy",
            "" if gpu.power is None else f"{gpu.power:.0f} W",
            "" if gpu.temperature is None else f"{gpu.temperature:.0f} °C",
        )
        if text
    )
    total = sum(card.total or 0 for card in sample.gpus)
    name = clean(gpu.name, keep_newlines=False).removeprefix("NVIDIA ")
    below: tuple[Row, ...] = ()
    if detail:
        room = cell_len(name) + cell_len(detail) + 3 <= width
        below = (_pair(f"  {name}" if room else "", detail, width, "label"),)
    # One course for all cards together: it stands under the first one.
    if gpu.index == sample.gpus[0].index:
        below += _gauge(share, history, "gpu_memory", total, width)
    return Block(3, (_pair(label, value, width),), below, 5)


def _state(standing: Standing, width: int) -> Block:
    sign, style = _STATES[standing.state]
    elapsed = "" if standing.seconds is None else words.clock(standing.seconds)
    doing = f"{sign} {_doing(standing)}"
    room = width - cell_len(elapsed) - (1 if elapsed else 0)
    head: list[Row] = [((fit(doing, room), style), (" " * (width - room - cell_len(elapsed)) + elapsed, "value"))]
    phase = standing.phase
    if phase is not None and phase.detail and standing.state == "starting":
        head.append(((fit("  " + clean(phase.detail, keep_newlines=False), width), "label"),))
    return Block(0, tuple(head))


def _doing(standing: Standing) -> str:
    if standing.state == "starting" and standing.phase is not None:
        return clean(standing.phase.name, keep_newlines=False)
    return standing.state


def _requests(sample: Sample) -> str:
    if sample.running is None:
        return words.NONE
    waiting = "" if sample.waiting is None else f" · {words.whole(sample.waiting)} waiting"
    return f"{words.whole(sample.running)} running{waiting}"


def _cache(sample: Sample) -> str:
    if sample.kv_cache is None:
        return words.NONE
    capacity = "" if sample.kv_tokens is None else f" of {words.whole(sample.kv_tokens)} tokens"
    return words.share(sample.kv_cache) + capacity


def _latency(label: str, times: Quantiles, width: int) -> Row:
    if times.p50 is None:
        return _pair(label, words.NONE, width)
    return _pair(label, f"{words.duration(times.p50)} · p95 {words.duration(times.p95)}", width)


def _pair(label: str, value: str, width: int, style: str = "value") -> Row:
    """A label at the left and its value at the right; the value has the room it needs."""
    value = fit(value, width) if cell_len(value) > width else value
    if value == words.NONE:
        style = "label"
    room = width - cell_len(value)
    return ((fit(label, room - 1) + " " if room > 0 else "", "label"), (value, style))


def _gauge(share: float | None, history: History, name: str, top: float, width: int) -> tuple[Row, ...]:
    """A bar for now and the course beside it, on the same scale; empty where nothing is known."""
    columns = min(BAR_COLUMNS, width // 3)
    values = _course(history, name, width - columns - 1)
    if share is None and not any(value is not None for value in values):
        return ()
    full, empty = bar(share, columns) if share is not None else ("", " " * columns)
    course = area(values, top=top)[0]
    return (((full, "bar"), (empty, "empty"), (" " + course, "chart")),)


def _course(history: History, name: str, columns: int) -> list[float | None]:
    return columns_of(history.last(name, (columns + 1) * SECONDS_A_COLUMN), history.added, columns, SECONDS_A_COLUMN)


def _lines(text: str, width: int) -> list[str]:
    return wrap(clean(text, keep_newlines=False), width)[:3]
