"""Lays a Markdown block out in rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.segment import Segment

from gemma_tui.tui.transcript.code import code_header, code_lines
from gemma_tui.tui.transcript.highlight import Highlighter, language_of
from gemma_tui.tui.transcript.inline import inline_runs, parser
from gemma_tui.tui.transcript.rows import Prefix, Rows
from gemma_tui.tui.transcript.table import Cell, table_rows

if TYPE_CHECKING:
    from markdown_it.token import Token

_BULLETS = "\u2022\u25e6\u2023"
_QUOTE_BAR = "\u258e "


def environment(references: Mapping[str, str]) -> dict[str, Any]:
    """What the parser has to know from other blocks: the link definitions."""
    from markdown_it.common.utils import normalizeReference

    return {
        "references": {
            normalizeReference(label): {"title": "", "href": url, "map": [0, 0]} for label, url in references.items()
        }
    }


def layout_markdown(
    source: str,
    rows: Rows,
    *,
    base: str = "text",
    number: int | None = None,
    references: Mapping[str, str] | None = None,
    highlighters: dict[int, Highlighter] | None = None,
) -> None:
    """Add the rows of a Markdown text; `number` is the ordinal of its first ordered item, whatever the source says.

    `highlighters` keeps the colours of nested code between two layouts of a growing block.
    """
    tokens = parser().parse(source, environment(references) if references else {})
    layout = _Layout(source, rows, base, number, {} if highlighters is None else highlighters)
    layout.sequence(tokens, 0, len(tokens), tight=False)


class _Layout:
    def __init__(
        self, source: str, rows: Rows, base: str, number: int | None, highlighters: dict[int, Highlighter]
    ) -> None:
        self._source = source
        self._rows = rows
        self._palette = rows.palette
        self._base = base
        self._number = number
        self._highlighters = highlighters
        self._depth = 0

    def sequence(self, tokens: list[Token], start: int, end: int, *, tight: bool) -> None:
        """Lay out sibling blocks, with a gap between them unless their list is tight."""
        position = start
        while position < end:
            after = _matching(tokens, position)
            if position > start and not tight:
                self._rows.gap()
            self._block(tokens, position, after)
            position = after + 1

    def _block(self, tokens: list[Token], start: int, end: int) -> None:
        token = tokens[start]
        kind = token.type
        if kind == "paragraph_open":
            self._rows.text(inline_runs(tokens[start + 1].children, self._palette, self._base))
        elif kind == "heading_open":
            base = "heading" if token.tag in ("h1", "h2") else "subheading"
            self._rows.text(inline_runs(tokens[start + 1].children, self._palette, base))
        elif kind in ("bullet_list_open", "ordered_list_open"):
            self._list(tokens, start, end)
        elif kind == "blockquote_open":
            with self._rows.nested(Prefix(_QUOTE_BAR, self._palette["marker"])):
                base, self._base = self._base, "quote"
                self.sequence(tokens, start + 1, end, tight=False)
                self._base = base
        elif kind in ("fence", "code_block"):
            self._code(token, start)
        elif kind == "hr":
            self._rows.add([Segment("\u2500" * self._rows.room, self._palette["rule"])], self._rows.room)
        elif kind == "table_open":
            self._table(tokens, start, end)

    def _list(self, tokens: list[Token], start: int, end: int) -> None:
        ordered = tokens[start].type == "ordered_list_open"
        number = int(tokens[start].attrs.get("start", 1) or 0)
        if self._number is not None:
            number, self._number = self._number, None
        tight = not any(
            token.type == "paragraph_open" and not token.hidden and token.level == tokens[start].level + 2
            for token in tokens[start:end]
        )
        bullet = _BULLETS[min(self._depth, len(_BULLETS) - 1)] + " "
        position = start + 1
        while position < end:
            after = _matching(tokens, position)
            mark = f"{number}. " if ordered else bullet
            blank = Prefix(" " * len(mark), self._palette["text"], True)
            if position > start + 1 and not tight:
                self._rows.gap()
            with self._rows.nested(blank, Prefix(mark, self._palette["marker"], True)):
                self._depth += not ordered
                if after == position + 1:
                    self._rows.add([], 0)
                self.sequence(tokens, position + 1, after, tight=tight)
                self._depth -= not ordered
            number += 1
            position = after + 1

    def _code(self, token: Token, start: int) -> None:
        language = language_of(token.info) if token.type == "fence" else ""
        code = token.content.removesuffix("\n")
        highlighter = self._highlighters.get(start)
        if highlighter is None or highlighter.language != language:
            highlighter = self._highlighters[start] = Highlighter(language)
        code_header(self._rows, language, code)
        code_lines(self._rows, highlighter.lines(code.split("\n")))

    def _table(self, tokens: list[Token], start: int, end: int) -> None:
        table: list[list[Cell]] = []
        aligns: list[str] = []
        for index in range(start, end):
            token = tokens[index]
            if token.type == "tr_open":
                table.append([])
            elif token.type in ("th_open", "td_open"):
                head = token.type == "th_open"
                base = "table-head" if head else self._base
                table[-1].append(inline_runs(tokens[index + 1].children, self._palette, base))
                if head:
                    aligns.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
        if not table_rows(self._rows, table[0], table[1:], aligns):
            first, last = tokens[start].map or [0, 0]
            text = "\n".join(self._source.split("\n")[first:last])
            self._rows.text([(text, self._palette[self._base])])


def _matching(tokens: list[Token], start: int) -> int:
    """The index of the token that closes the one at `start`; `start` itself if it opens nothing."""
    if tokens[start].nesting <= 0:
        return start
    level = tokens[start].level
    index = start + 1
    while tokens[index].level != level or tokens[index].nesting >= 0:
        index += 1
    return index
