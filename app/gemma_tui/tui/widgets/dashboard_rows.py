"""What the dashboard shows in so many columns and rows, as text with names of styles: no widget, no colour."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from gemma_tui.tui.widgets.dashboard_board import Block, Board, Row, Standing, View
from gemma_tui.tui.widgets.dashboard_memory import memory_blocks
from gemma_tui.tui.widgets.dashboard_speed import compact, speed_blocks
from gemma_tui.tui.widgets.text_cells import fit

__all__ = ["Block", "Board", "Row", "Standing", "View", "compact", "rows"]

TALLEST = 24
"""Rows of the generation chart where there is room to spare."""
COLUMN = 36
"""Cells of a column at least, where there are several."""
WIDEST = 74
"""Cells of a column at most: a value too far from its label is hard to read."""
GUTTER = 3
NARROWEST_PANEL = 12
MOST_COLUMNS = 4
STATE_GROUP = 0
"""Of the blocks on what the engine is doing."""


MOST_SHAPES = 64
# How tall courses may be, by size and by what there is to show: it changes seldom, and to find it takes many lay-outs.
_tallest: dict[object, int] = {}
# For each size how it was laid out last, and for what: mostly the next second has the same, and is laid out only once.
_last: dict[tuple[int, int], tuple[object, int, int]] = {}


@dataclass(slots=True)
class _Chosen:
    block: Block
    head: bool = False
    chart: bool = False


def rows(board: Board, width: int, height: int) -> list[Row]:
    """Return at most `height` rows of exactly `width` cells, the least important left out; in two it is one line.

    Where there is room for several columns, blocks are laid out beside each other.
    """
    if width <= 0 or height <= 0:
        return []
    if height <= 2 or width < NARROWEST_PANEL:
        return [((fit(compact(board), width), "value"),)]
    if (last := _last.get((width, height))) is not None:
        shape, count, tall = last
        each = _width_of(width, count)
        blocks = _blocks(board, each, tall)
        if _shape(blocks) == shape:
            return _beside([_fitted(column, height, each) for column in _columns(blocks, count)], each, width)
    count, columns = _columns_that_fit(board, width, height)
    each = _width_of(width, count)
    shape = (
        width,
        height,
        tuple((block.rank, len(block.head), len(block.chart)) for column in columns for block in column),
    )
    if shape not in _tallest:
        if len(_tallest) > MOST_SHAPES:
            _tallest.clear()
        _tallest[shape] = next(
            (
                tall
                for tall in range(TALLEST, 2, -1)
                if max(map(_rows_of, _columns(_blocks(board, each, tall), count))) <= height
            ),
            1,
        )
    tall = _tallest[shape]
    blocks = _blocks(board, each, tall)
    if tall > 1:
        columns = _columns(blocks, count)
    if len(_last) > MOST_SHAPES:
        _last.clear()
    _last[width, height] = _shape(blocks), count, tall
    return _beside([_fitted(column, height, each) for column in columns], each, width)


def _shape(blocks: list[Block]) -> object:
    """All of blocks that their places depend on."""
    return tuple((block.rank, block.group, len(block.head), len(block.chart)) for block in blocks)


def _width_of(width: int, count: int) -> int:
    return (width - GUTTER * (count - 1)) // count


def _columns_that_fit(board: Board, width: int, height: int) -> tuple[int, list[list[Block]]]:
    """As few columns as everything fits into: wide courses say more than many narrow ones."""
    most = min(MOST_COLUMNS, max(1, (width + GUTTER) // (COLUMN + GUTTER)))
    least = min(most, -(-(width + GUTTER) // (WIDEST + GUTTER)))
    for count in range(least, most + 1):
        columns = _columns(_blocks(board, _width_of(width, count), 1), count)
        if max(map(_rows_of, columns)) <= height:
            break
    return count, columns


def _blocks(board: Board, width: int, tall: int) -> list[Block]:
    return speed_blocks(board, width, tall) + memory_blocks(board, width)


def _needed(blocks: list[Block]) -> int:
    return sum(len(block.head) + len(block.chart) for block in blocks)


def _rows_of(column: list[Block]) -> int:
    """Rows of a whole column, with the empty ones between its groups."""
    return _needed(column) + max(0, len({block.group for block in column}) - 1)


def _columns(blocks: list[Block], count: int) -> list[list[Block]]:
    """Split blocks between groups into `count` columns, so that the longest is as short as it can be."""
    groups: list[list[Block]] = []
    for block in sorted(blocks, key=lambda block: block.group):
        # What the engine is doing heads the first figures: alone it would take a column for one row.
        if groups and groups[-1][-1].group in (block.group, STATE_GROUP):
            groups[-1].append(block)
        else:
            groups.append([block])
    sizes = [_needed(group) + 1 for group in groups]
    limit = max(sizes)
    while True:
        columns: list[list[Block]] = [[]]
        filled = 0
        for group, size in zip(groups, sizes, strict=True):
            if filled and filled + size > limit and columns[-1]:
                columns.append([])
                filled = 0
            columns[-1] += group
            filled += size
        if len(columns) <= count:
            return columns + [[] for _ in range(count - len(columns))]
        limit += 1


def _beside(columns: list[list[Row]], each: int, width: int) -> list[Row]:
    """Put columns of rows beside each other."""
    if len(columns) == 1:
        return columns[0]
    found = []
    for y in range(max(map(len, columns))):
        runs: list[tuple[str, str]] = []
        for number, column in enumerate(columns):
            runs += column[y] if y < len(column) else ((" " * each, "label"),)
            runs.append((" " * (GUTTER if number + 1 < len(columns) else 0), "label"))
        used = sum(cell_len(text) for text, _ in runs)
        found.append((*runs, (" " * (width - used), "label")))
    return found


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
