"""The dashboard's blocks on speed: state, throughput, limit, requests, latencies, cache, replicas, own requests."""

from __future__ import annotations

from rich.cells import cell_len

from gemma_backend.text.clean import clean
from gemma_backend.types import EngineState, Quantiles, Sample
from gemma_tui.chart import bar
from gemma_tui.tui.widgets import dashboard_words as words
from gemma_tui.tui.widgets.dashboard_board import (
    BAR_COLUMNS,
    Block,
    Board,
    Row,
    Standing,
    course,
    gauge,
    pair,
    text_row,
)
from gemma_tui.tui.widgets.text_cells import fit, wrap

LONG_LABELS = 38
"""From this many columns on labels carry their term: `first token (TTFT)`."""
ALL_QUANTILES = 48
"""From this many columns on latencies have their p99."""
MIN_REQUESTS = 4.0
"""Requests at the top of their scale at least, so that one does not look like the most there can be."""
NOTE_ROWS = 3
OWN_ROWS = 6
MOST_REPLICAS = 8

STATES: dict[EngineState, tuple[str, str]] = {
    "stopped": ("○", "muted"),
    "starting": ("◐", "busy"),
    "ready": ("●", "ready"),
    "stopping": ("◌", "warn"),
    "failed": ("✗", "failed"),
}


def speed_blocks(board: Board, width: int, tall: int) -> list[Block]:
    """Blocks for a column of `width` cells; the generation's course is `tall` rows high."""
    sample = board.sample or Sample(0.0)
    blocks = [_state(board.standing, width)]
    if sample.note:
        note = wrap(clean(sample.note, keep_newlines=False), width)[:NOTE_ROWS]
        blocks.append(Block(2, tuple(text_row(line, width, "note") for line in note)))
    generation = course(board, "generation", width, tall, "tok/s")
    blocks.append(Block(1, (pair("generation", words.rate(sample.generation_rate), width),), generation, 1))
    blocks += _limit(board, sample, width)
    small = max(1, tall // 3)
    prompt = course(board, "prompt", width, small, "tok/s")
    running = course(board, "running", width, small, "", MIN_REQUESTS)
    blocks += [
        Block(6, (pair("prompt", words.rate(sample.prompt_rate), width),), prompt, 1),
        Block(3, (pair("requests", _requests(sample), width),), running, 2),
    ]
    if sample.request_rate is not None or sample.preemptions is not None:
        blocks.append(Block(13, (_served(sample, width),), (), 2))
    latencies = (
        ("first token", "TTFT", "ttft", sample.ttft, 8),
        ("each token", "ITL", "itl", sample.itl, 9),
        ("whole reply", "E2E", "e2e", sample.e2e, 11),
    )
    blocks.append(Block(14, (text_row(f"latencies, last {words.span(board.view.window)}", width),), (), 3))
    blocks += [
        Block(rank, (_latency(label, term, times, width),), course(board, name, width, small, "s"), 3)
        for label, term, name, times, rank in latencies
    ]
    blocks.append(
        Block(4, (pair("KV cache", _cache(sample), width),), gauge(board, sample.kv_cache, "kv_cache", 1.0, width), 4)
    )
    blocks += _hits(sample, width)
    return blocks + _replicas(sample, width) + _own(sample, width)


def compact(board: Board) -> str:
    """The most important figures in one line, for a terminal without room for a panel.

    Where a status line stands below it, that says what the engine is doing.
    """
    sample, standing = board.sample, board.standing
    parts = [] if board.under_status else [f"{STATES[standing.state][0]} {_doing(standing)}"]
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


def _state(standing: Standing, width: int) -> Block:
    sign, style = STATES[standing.state]
    elapsed = "" if standing.seconds is None else words.clock(standing.seconds)
    doing = f"{sign} {_doing(standing)}"
    room = width - cell_len(elapsed) - (1 if elapsed else 0)
    head: list[Row] = [((fit(doing, room), style), (" " * (width - room - cell_len(elapsed)) + elapsed, "value"))]
    phase = standing.phase
    if phase is not None and phase.detail and standing.state == "starting":
        head.append(text_row("  " + clean(phase.detail, keep_newlines=False), width))
    return Block(0, tuple(head))


def _doing(standing: Standing) -> str:
    if standing.state == "starting" and standing.phase is not None:
        return clean(standing.phase.name, keep_newlines=False)
    return standing.state


def _limit(board: Board, sample: Sample, width: int) -> list[Block]:
    """How near the engine comes to what its memory allows, and why in a sentence."""
    facts = board.facts
    if facts is None or board.standing.state != "ready":
        return []
    found = facts.limit(sample)
    if found is None:
        if not facts.why_not:
            return []
        said = [text_row(line, width) for line in wrap(clean(facts.why_not, keep_newlines=False), width)[:NOTE_ROWS]]
        return [Block(16, (pair("of the limit", words.NONE, width), *said), (), 1)]
    head = pair("at most", words.rate(found.rate), width)
    if found.share is not None:
        full, empty = bar(found.share, min(BAR_COLUMNS, width // 3))
        value = f" {words.share(found.share)}"
        room = width - cell_len(full + empty + value)
        head = ((fit("of the limit", room), "label"), (full, "bar"), (empty, "empty"), (value, "value"))
    lines = wrap(clean(found.sentence, keep_newlines=False), width)
    return [Block(7, (head,), tuple(text_row(line, width) for line in lines), 1)]


def _requests(sample: Sample) -> str:
    if sample.running is None:
        return words.NONE
    waiting = "" if sample.waiting is None else f" · {words.whole(sample.waiting)} waiting"
    return f"{words.whole(sample.running)} running{waiting}"


def _served(sample: Sample, width: int) -> Row:
    parts = []
    if sample.request_rate is not None:
        parts.append(f"{words.number(sample.request_rate)}/s done")
    if sample.preemptions is not None:
        parts.append(f"{words.whole(sample.preemptions)} preempted")
    return pair("", " · ".join(parts), width, "label")


def _latency(label: str, term: str, times: Quantiles, width: int) -> Row:
    said = words.NONE
    if times.p50 is not None:
        said = f"{words.duration(times.p50)} · p95 {words.duration(times.p95)}"
        if width >= ALL_QUANTILES:
            said = f"p50 {said} · p99 {words.duration(times.p99)}"
    long = f"{label} ({term})"
    return pair(long if width >= LONG_LABELS and cell_len(long) + cell_len(said) < width else label, said, width)


def _cache(sample: Sample) -> str:
    if sample.kv_cache is None:
        return words.NONE
    capacity = "" if sample.kv_tokens is None else f" of {words.whole(sample.kv_tokens)} tokens"
    return words.share(sample.kv_cache) + capacity


def _hits(sample: Sample, width: int) -> list[Block]:
    """What was found in caches, and what speculation got right."""
    rows = []
    if sample.prefix_hit_rate is not None or sample.mm_hit_rate is not None:
        parts = []
        if sample.prefix_hit_rate is not None:
            parts.append(f"prefixes {words.share(sample.prefix_hit_rate)}")
        if sample.mm_hit_rate is not None:
            parts.append(f"media {words.share(sample.mm_hit_rate)}")
        found = " · ".join(parts)
        rows.append(pair("cache hits" if cell_len(f"cache hits {found}") <= width else "cached", found, width))
    if sample.accepted is not None:
        rows.append(pair("speculated right", words.share(sample.accepted), width))
    if sample.steps is not None:
        batch = ""
        if sample.generation_rate and sample.steps:
            batch = f" · {sample.generation_rate / sample.steps:.1f} tok each"
        rows.append(pair("steps", f"{words.number(sample.steps)}/s{batch}", width))
    if sample.api_cpu is not None:
        rows.append(pair("API server", f"{sample.api_cpu * 100:.0f} % of a core", width))
    return [Block(12 + number, (row,), (), 4) for number, row in enumerate(rows)]


def _replicas(sample: Sample, width: int) -> list[Block]:
    """One row for each engine of a server that runs several."""
    if not sample.replicas:
        return []
    rows = []
    for replica in sample.replicas[:MOST_REPLICAS]:
        parts = [words.rate(replica.generation_rate)]
        if replica.running is not None:
            parts.append(f"{words.whole(replica.running)} running")
        if replica.kv_cache is not None and width >= LONG_LABELS:
            parts.append(f"KV {words.share(replica.kv_cache)}")
        rows.append(pair(f"engine {clean(replica.name, keep_newlines=False)}", " · ".join(parts), width))
    if (more := len(sample.replicas) - MOST_REPLICAS) > 0:
        rows.append(text_row(f"and {more} more", width))
    return [Block(5, tuple(rows), (), 5)]


def _own(sample: Sample, width: int) -> list[Block]:
    """The requests that this program sent, the newest first: state, TTFT, tokens a second, tokens."""
    if not sample.own:
        return []
    columns = (9, 9, 9) if width >= LONG_LABELS else (8, 7, 7)
    room = width - sum(columns)
    title = "sent from here" if room > len("sent from here") else "sent"
    head = fit(title, room) + "".join(
        f"{name:>{cells}}" for name, cells in zip(("TTFT", "tok/s", "tokens"), columns, strict=True)
    )
    rows: list[Row] = [text_row(head, width)]
    for own in sample.own[:OWN_ROWS]:
        style = {"failed": "failed", "streaming": "busy", "waiting": "busy"}.get(own.state, "label")
        ttft = "–" if own.ttft is None else words.duration(own.ttft)
        rate = "–" if own.rate is None else words.number(own.rate)
        state = f"{own.state} · {words.clock(own.age)}"
        state = fit(state if cell_len(state) < room else own.state, room)
        figures = zip((ttft, rate, words.whole(own.tokens)), columns, strict=True)
        rows.append(((state, style), ("".join(f"{figure:>{cells}}" for figure, cells in figures), "value")))
    return [Block(10, tuple(rows[:3]), tuple(rows[3:]), 9)]
