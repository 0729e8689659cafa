"""Lays any block out in rows for a width: the one place that knows which kind is drawn how."""

from __future__ import annotations

from collections.abc import Mapping

from gemma_tui.tui.transcript.block import Block, Line
from gemma_tui.tui.transcript.code import code_header, code_lines
from gemma_tui.tui.transcript.furniture import furniture, furniture_height
from gemma_tui.tui.transcript.highlight import Highlighter, language_of
from gemma_tui.tui.transcript.markdown import layout_markdown
from gemma_tui.tui.transcript.palette import Palette
from gemma_tui.tui.transcript.rows import Prefix, Rows
from gemma_tui.tui.transcript.splitter import dedent, indent_of
from gemma_tui.tui.transcript.wrap import Run

PROSE = 110
"""Prose is not wrapped wider than this many cells, however wide the screen is; code and tables may be."""


def estimate(block: Block, width: int) -> int:
    """A guess at the rows of a block that was not laid out yet; cheap, and never zero for text."""
    if block.data is not None:
        return furniture_height(block)
    source = block.source
    wide = width if block.kind in ("fence", "verbatim") else min(width, PROSE)
    return max(1, source.count("\n") + (len(source) // wide if len(source) > wide else 0) + block.gap)


def layout(block: Block, width: int, palette: Palette, references: Mapping[str, str]) -> list[Line]:
    """The rows of a block, its gap included."""
    if block.data is not None:
        return furniture(block, min(width, PROSE), palette)
    prose = min(width, PROSE)
    rows = Rows(width if block.kind in ("fence", "indented", "verbatim") or "|" in block.source else prose, palette)
    if block.kind == "fence":
        _fence(block, rows)
    elif block.kind == "verbatim":
        _verbatim(block, rows)
    elif block.kind == "math":
        rows.text([(line_block(block.source), palette["math"])])
    else:
        if "```" in block.source or "~~~" in block.source:
            block.highlighters = block.highlighters or {}
        layout_markdown(
            block.source,
            rows,
            base=block.style,
            number=block.number,
            references=references,
            highlighters=block.highlighters,
        )
    if block.gap and rows.lines:
        return [Line([], 0, palette["text"], []), *rows.lines]
    return rows.lines


def line_block(source: str) -> str:
    """A source without the blank lines around it and without the indentation of its first line."""
    lines = source.strip("\n").split("\n")
    indent = indent_of(lines[0])
    return "\n".join([dedent(line, indent) for line in lines])


def fence_code(block: Block) -> list[str]:
    """The code lines of a fence or of a piece of one, without its marks."""
    fence = block.fence
    assert fence is not None
    lines = block.source.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if fence.first:
        while lines and not lines[0].strip():
            lines.pop(0)
        lines = lines[1:]
    if fence.closed:
        lines = lines[:-1]
    if fence.indent:
        lines = [dedent(line, fence.indent) for line in lines]
    return lines


def _fence(block: Block, rows: Rows) -> None:
    fence = block.fence
    assert fence is not None
    language = language_of(fence.info)
    lines = fence_code(block)
    if block.highlighter is None:
        state = _state_before(block, language)
        block.highlighter = Highlighter(language, state) if state else Highlighter(language)
    if fence.first:
        code_header(rows, language, "")
    code_lines(rows, block.highlighter.lines(lines))


def _state_before(block: Block, language: str) -> tuple[str, ...]:
    """The lexer's state where a piece of a long fence begins; earlier pieces are lexed if they were not yet."""
    pending: list[Block] = []
    piece = block
    while piece.previous is not None and piece.fence is not None and not piece.fence.first:
        piece = piece.previous
        if piece.highlighter is not None:
            break
        pending.append(piece)
    state: tuple[str, ...] = piece.highlighter.state if piece is not block and piece.highlighter is not None else ()
    for piece in reversed(pending):
        piece.highlighter = Highlighter(language, state) if state else Highlighter(language)
        piece.highlighter.lines(fence_code(piece))
        state = piece.highlighter.state
    return state


def _verbatim(block: Block, rows: Rows) -> None:
    """Text as it was typed or generated: wrapped, nothing else."""
    palette = rows.palette
    text = block.source.removesuffix("\n")
    style = palette[block.style]
    runs: list[Run]
    if block.mark is None or block.mark >= len(text):
        runs = [(text, style)]
    else:
        runs = [(text[: block.mark], style), (text[block.mark :], palette["generated"])]
    runs = [(run.expandtabs(4), run_style) for run, run_style in runs if run]
    if block.style == "reasoning":
        with rows.nested(Prefix("\u2502 ", palette["rule"])):
            rows.text(runs or [(" ", style)])
    elif runs:
        rows.text(runs)
    else:
        rows.add([], 0)
