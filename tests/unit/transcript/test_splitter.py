"""Blocks must not depend on how the text arrived, and must look like the whole text parsed at once."""

from __future__ import annotations

import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gemma_tui.tui.transcript.document import Document
from gemma_tui.tui.transcript.layout import fence_code, layout
from gemma_tui.tui.transcript.markdown import layout_markdown
from gemma_tui.tui.transcript.palette import plain_palette
from gemma_tui.tui.transcript.rows import Rows
from gemma_tui.tui.transcript.splitter import FENCE_LINES, LONGEST_BLOCK, Splitter
from gemma_tui.tui.transcript.verbatim import VerbatimSplitter

LINES = st.sampled_from(
    [
        "", " ", "text", "more text here", "# Title", "## Second", "- item", "- ", "-", "* star", "+ plus", "1. one",
        "2. two", "7) seven", "   continued", "  - nested", "    indented", "\ttab", "```", "```python", "~~~", "````",
        "  ```", "x = 1", "> quote", ">", "> - item", "> ```", "---", "===", "***", "- - -", "| a | b |", "|---|--:|",
        "| 1 | 2 |", "a | b", "$$", "\\[", "\\]", "$$ x $$", "[a]: http://x.y", "[a]", "<div>", "**bold", "end**",
        "-- ", "+ b", "= c", "日本語", "1986. A year", "10. ten", "[^1]: note", "# ", "#no", "`code`", "\\",
    ]
)  # fmt: skip
DOCUMENTS = st.lists(LINES, max_size=14).map("\n".join)


def described(splitter: Splitter) -> list[tuple[object, ...]]:
    return [(block.kind, block.source, block.gap, block.number, block.fence) for block in splitter.blocks]


def whole(text: str) -> Splitter:
    splitter = Splitter()
    splitter.feed(text)
    splitter.finish()
    return splitter


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(places)]


@given(DOCUMENTS, st.lists(st.integers(0, 10_000), max_size=30))
@settings(max_examples=400, deadline=None)
@example("a\n-", [2])
@example("```\n\n\n```\n", [3, 4, 5])
def test_any_chunking_gives_the_same_blocks(text: str, cuts: list[int]) -> None:
    splitter = Splitter()
    for piece in pieces_of(text, cuts):
        splitter.feed(piece)
        splitter.tail()
    splitter.finish()
    assert described(splitter) == described(whole(text))


@given(st.text(alphabet=st.sampled_from("a-#>`~*+ 1.|\n$\\[]:=_\t"), max_size=80), st.lists(st.integers(0, 99)))
@settings(max_examples=400, deadline=None)
def test_any_chunking_of_any_characters_gives_the_same_blocks(text: str, cuts: list[int]) -> None:
    splitter = Splitter()
    for piece in pieces_of(text, cuts):
        splitter.feed(piece)
        splitter.tail()
    splitter.finish()
    assert described(splitter) == described(whole(text))


@given(DOCUMENTS, st.lists(st.integers(0, 10_000), max_size=10))
@settings(max_examples=200, deadline=None)
def test_no_character_is_lost_at_any_moment(text: str, cuts: list[int]) -> None:
    splitter = Splitter()
    fed = ""
    for piece in pieces_of(text, cuts):
        splitter.feed(piece)
        fed += piece
        assert "".join(block.source for block in splitter.blocks) + splitter.rest() == fed
    splitter.finish()
    assert "".join(block.source for block in splitter.blocks) + splitter.rest() == text


@given(DOCUMENTS, st.lists(st.integers(0, 10_000), max_size=30))
@settings(max_examples=150, deadline=None)
def test_a_finished_turn_is_drawn_like_one_that_came_whole(text: str, cuts: list[int]) -> None:
    palette = plain_palette()
    document = Document()
    streamed, loaded = document.add("assistant"), document.add("assistant")
    for piece in pieces_of(text, cuts):
        streamed.feed(piece)
        for block in streamed.body:
            block.lines = layout(block, 40, palette, streamed.references)
    streamed.finish()
    loaded.load(text)
    loaded.cut()
    assert streamed.text == loaded.text == text.replace("\r\n", "\n")
    drawn = [
        [line.text for block in turn.body for line in layout(block, 40, palette, turn.references)]
        for turn in (streamed, loaded)
    ]
    assert drawn[0] == drawn[1]


def texts(lines: list[str]) -> list[str]:
    return [line for line in lines if line.strip()]


def drawn_whole(text: str) -> list[str]:
    rows = Rows(70, plain_palette())
    layout_markdown(text, rows)
    return texts(["".join(part.text for part in [*line.gutter, *line.segments]) for line in rows.lines])


def drawn_in_blocks(text: str) -> list[str]:
    splitter = whole(text)
    palette = plain_palette()
    return texts(
        [
            "".join(part.text for part in [*line.gutter, *line.segments])
            for block in splitter.blocks
            for line in layout(block, 70, palette, splitter.references)
        ]
    )


PROSE = st.lists(
    st.one_of(
        st.sampled_from(["A paragraph of *some* words.", "Two lines\nof text.", "See [a] and `b`.", "---", "# Head"]),
        st.lists(
            st.sampled_from(["- a", "- b\n  more", "- c\n\n  para", "- d\n  - e\n    - f"]), min_size=1, max_size=4
        ).map("\n".join),
        st.lists(st.sampled_from(["1. a", "1. b", "3. c\n   - d"]), min_size=1, max_size=4).map("\n".join),
        st.sampled_from(["> q\n> r", "> q\nlazy", "> - i\n> - j", "> a\n>\n> b"]),
        st.sampled_from(["```\na\n\nb\n```", "~~~py\n# x\n- y\n~~~", "    code\n\n    more"]),
        st.sampled_from(["| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n--|--\n1 | 2"]),
        st.sampled_from(["Title\n=====", "Second\n---", "1. x\n\n   ```py\n   y = 1\n   ```"]),
    ),
    max_size=6,
).map("\n\n".join)


@given(PROSE)
@settings(max_examples=300, deadline=None)
def test_blocks_look_like_the_whole_text_parsed_at_once(text: str) -> None:
    text += "\n\n[a]: http://example.org/a"
    assert drawn_in_blocks(text) == drawn_whole(text)


def test_long_fences_are_cut_and_give_their_code_back() -> None:
    code = "\n".join(f"line {number}" for number in range(3 * FENCE_LINES))
    splitter = whole(f"```py\n{code}\n```\nafter")
    fences = [block for block in splitter.blocks if block.kind == "fence"]
    assert len(fences) == 4
    assert [block.fence and block.fence.first for block in fences] == [True, False, False, False]
    assert "\n".join(line for block in fences for line in fence_code(block)) == code


def test_a_megabyte_without_a_line_end_becomes_many_blocks() -> None:
    splitter = Splitter()
    text = "word " * 200_000
    for start in range(0, len(text), 999):
        splitter.feed(text[start : start + 999])
    splitter.finish()
    assert max(len(block.source) for block in splitter.blocks) < 2 * LONGEST_BLOCK
    assert "".join(block.source for block in splitter.blocks) + splitter.rest() == text
    assert described(splitter) == described(whole(text))


@given(st.text(alphabet="ab \n", max_size=300), st.lists(st.integers(0, 400), max_size=8), st.integers(0, 300))
def test_verbatim_text_is_kept_and_knows_where_the_generated_part_begins(text: str, cuts: list[int], at: int) -> None:
    at = min(at, len(text))
    splitter = VerbatimSplitter("prompt")
    splitter.feed(text[:at])
    splitter.mark()
    for piece in pieces_of(text[at:], cuts):
        splitter.feed(piece)
    blocks = [*splitter.blocks, *splitter.tail()]
    assert "".join(block.source for block in blocks) == text
    generated = "".join(block.source[block.mark :] for block in blocks if block.mark is not None)
    assert generated == text[at:]
