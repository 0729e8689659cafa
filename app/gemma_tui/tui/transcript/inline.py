"""Markdown inside a paragraph: the parser's tokens as styled runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from rich.style import Style

from gemma_backend.text.clean import clean
from gemma_tui.tui.transcript.palette import CODE, EMPHASIS, LINK, MATH, STRIKE, STRONG, Palette
from gemma_tui.tui.transcript.wrap import Run

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

_URL = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}*_|]")
_DOLLARS = re.compile(r"\$\$.+?\$\$|\$(?!\s)(?:[^$\\\n]|\\.)+?(?<!\s)\$(?!\d)", re.DOTALL)
_BRACKETS = re.compile(r"\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)

_FLAGS = {"strong": STRONG, "em": EMPHASIS, "s": STRIKE}


def _math(state: StateInline, silent: bool) -> bool:
    """Keep TeX as it was written: its backslashes, underscores and stars are no Markdown."""
    character = state.src[state.pos]
    if character not in "$\\":
        return False
    match = (_DOLLARS if character == "$" else _BRACKETS).match(state.src, state.pos)
    if match is None:
        return False
    if not silent:
        token = state.push("math", "", 0)
        token.content = match.group()
    state.pos = match.end()
    return True


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables, strike-through and TeX left alone; HTML is text like any other.

    Importing it takes 25 ms, so that happens when the first Markdown comes, not before the first frame.
    """
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    markdown.inline.ruler.before("escape", "math", _math)
    return markdown


def inline_runs(tokens: Iterable[Token] | None, palette: Palette, base: str) -> list[Run]:
    """Runs of cleaned text; a newline in a run is a hard line break.

    Character references such as `&#27;` become what they name only in the parser, so text is cleaned again here.
    """
    runs: list[Run] = []
    flags = 0
    href = ""
    linked: list[str] = []
    for token in tokens or ():
        kind = token.type
        if kind == "text":
            if not token.content:
                continue
            if flags & LINK:
                linked.append(token.content)
                runs.append((clean(token.content), _link(palette, base, flags, href)))
            elif "://" in token.content:
                runs.extend(_bare_links(clean(token.content), palette, base, flags))
            else:
                runs.append((clean(token.content), palette.inline(base, flags)))
        elif kind == "softbreak":
            runs.append((" ", palette.inline(base, flags)))
        elif kind == "hardbreak":
            runs.append(("\n", palette.inline(base, flags)))
        elif kind == "code_inline":
            linked.append(token.content)
            runs.append((clean(token.content), palette.inline(base, flags | CODE)))
        elif kind == "math":
            runs.append((clean(token.content.replace("\n", " ")), palette.inline(base, flags | MATH)))
        elif kind == "link_open":
            href = clean(str(token.attrs.get("href", "")), keep_newlines=False)
            flags |= LINK
            linked = []
        elif kind == "link_close":
            flags &= ~LINK
            # The whole address is shown, so that what a click would open can be read first.
            if href and "".join(linked) not in (href, href.removeprefix("mailto:")):
                runs.append((" (", palette.inline("muted", flags)))
                runs.append((href, palette["muted"] + Style(meta={"href": href})))
                runs.append((")", palette.inline("muted", flags)))
        elif kind == "image":
            href = clean(str(token.attrs.get("src", "")), keep_newlines=False)
            runs.append((clean(f"\u25a3 {token.content or 'image'} "), palette.inline(base, flags)))
            runs.append((f"({href})", palette["muted"] + Style(meta={"href": href})))
        elif token.nesting and token.tag in _FLAGS:
            flags = flags | _FLAGS[token.tag] if token.nesting > 0 else flags & ~_FLAGS[token.tag]
        elif token.content:
            runs.append((clean(token.content), palette.inline(base, flags)))
    return [(text.replace("\t", "    "), style) if "\t" in text else (text, style) for text, style in runs]


def _link(palette: Palette, base: str, flags: int, href: str) -> Style:
    style = palette.inline(base, flags)
    return style + Style(meta={"href": href}) if href else style


def _bare_links(text: str, palette: Palette, base: str, flags: int) -> list[Run]:
    runs: list[Run] = []
    position = 0
    for match in _URL.finditer(text):
        if match.start() > position:
            runs.append((text[position : match.start()], palette.inline(base, flags)))
        runs.append((match.group(), _link(palette, base, flags | LINK, match.group())))
        position = match.end()
    if position < len(text):
        runs.append((text[position:], palette.inline(base, flags)))
    return runs
