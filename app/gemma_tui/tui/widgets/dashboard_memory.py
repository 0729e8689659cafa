"""The dashboard's blocks on memory: the engine's parts, this machine, each GPU."""

from __future__ import annotations

from rich.cells import cell_len

from gemma_backend.text.clean import clean
from gemma_backend.types import GpuMemory, Sample
from gemma_tui.chart import stacked
from gemma_tui.tui.widgets import dashboard_words as words
from gemma_tui.tui.widgets.dashboard_board import Block, Board, Row, gauge, pair, text_row
from gemma_tui.tui.widgets.text_cells import wrap

# Each part has a texture besides its colour, so that they are told apart without colours.
_TEXTURES = {"weights": ("█", "bar"), "KV": ("▓", "chart"), "graphs": ("▒", "warn"), "table": ("▓", "chart"),
             "other": ("░", "muted")}  # fmt: skip


def memory_blocks(board: Board, width: int) -> list[Block]:
    """Blocks for a column of `width` cells."""
    sample = board.sample or Sample(0.0)
    blocks = _host(board, sample, width)
    return blocks + [_gpu(board, gpu, sample, width) for gpu in sample.gpus] + _on_gpu(board, sample, width)


def _host(board: Board, sample: Sample, width: int) -> list[Block]:
    host = sample.host
    if host is None:
        return [Block(17, (pair("memory", words.NONE, width),), (), 6)]
    engine = words.NONE if host.engine is None else words.memory(host.engine)
    if host.engine is not None and host.engine_cpu is not None:
        engine += f" · {host.engine_cpu * 100:.0f} % CPU"
    share = host.engine / host.total if host.engine is not None else None
    used = host.total - host.available
    return [
        Block(7, (pair("engine", engine, width),), gauge(board, share, "engine_memory", host.total, width), 6),
        *_on_host(board, sample, width),
        Block(
            15,
            (pair("this machine", words.memory_of(used, host.total), width),),
            gauge(board, used / host.total, "host_memory", host.total, width),
            6,
        ),
    ]


def _on_host(board: Board, sample: Sample, width: int) -> list[Block]:
    """What the engine's host memory holds: all of it on a CPU, beside a GPU the table that was left there."""
    facts, host = board.facts, sample.host
    if facts is None or host is None or host.engine is None:
        return []
    if not facts.on_gpu:
        return _split(facts.parts.split(host.engine, sample.kv_bytes), width, 6)
    table = facts.parts.table
    if table is None or table > host.engine:
        return []
    return _split((("table", table), ("other", host.engine - table)), width, 6)


def _on_gpu(board: Board, sample: Sample, width: int) -> list[Block]:
    """What the GPUs' memory holds; other programs' share of it is in `other`."""
    used = [gpu.used for gpu in sample.gpus if gpu.used is not None and not gpu.unified]
    if board.facts is None or not board.facts.on_gpu or not used:
        return []
    return _split(board.facts.parts.split(sum(used), sample.kv_bytes), width, 7)


def _split(parts: tuple[tuple[str, int], ...], width: int, group: int) -> list[Block]:
    total = sum(size for _, size in parts)
    if not total:
        return []
    cells = stacked([size / total for _, size in parts], width)
    drawn = tuple(
        (_TEXTURES[name][0] * count, _TEXTURES[name][1]) for (name, _), count in zip(parts, cells, strict=True) if count
    )
    said = "  ".join(f"{_TEXTURES[name][0]}\u00a0{name}\u00a0{words.gib(size)}" for name, size in parts) + "\u00a0GiB"
    lines = [text_row(line.replace("\u00a0", " "), width) for line in wrap(said, width)]
    return [Block(10, (drawn, *lines), (), group)]


def _gpu(board: Board, gpu: GpuMemory, sample: Sample, width: int) -> Block:
    label = "unified memory" if gpu.unified else f"GPU {gpu.index}"
    value = words.NONE
    share = None
    if gpu.used is not None and gpu.total:
        value, share = words.memory_of(gpu.used, gpu.total), gpu.used / gpu.total
    name = clean(gpu.name, keep_newlines=False).removeprefix("NVIDIA ")
    head = [pair(label, value, width)]
    if detail := _detail(gpu, width):
        room = cell_len(name) + cell_len(detail) + 3 <= width
        head.append(pair(f"  {name}" if room else "", detail, width, "label"))
    below: tuple[Row, ...] = ()
    # One course for all cards together: it stands under the first one.
    if gpu.index == sample.gpus[0].index:
        total = sum(card.total or 0 for card in sample.gpus)
        below = gauge(board, share, "gpu_memory", total, width)
    return Block(5, tuple(head), below, 7)


def _detail(gpu: GpuMemory, width: int) -> str:
    """Utilisation, power, temperature and clock, as many as there are and fit."""
    parts = [
        text
        for text in (
            "" if gpu.utilisation is None else f"{gpu.utilisation * 100:.0f} % busy",
            "" if gpu.power is None else f"{gpu.power:.0f} W",
            "" if gpu.temperature is None else f"{gpu.temperature:.0f} °C",
            "" if gpu.clock is None else f"{gpu.clock:,} MHz",
        )
        if text
    ]
    while parts and cell_len(" · ".join(parts)) > width:
        parts.pop()
    return " · ".join(parts)
