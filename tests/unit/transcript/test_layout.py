"""Blocks as rows: what is shown, what copying gives, and nothing that a terminal would obey."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from gemma_tui.tui.transcript.block import Line
from gemma_tui.tui.transcript.clip import fence_text, last_code
from gemma_tui.tui.transcript.document import Document, TurnRecord
from gemma_tui.tui.transcript.furniture import Attachment
from gemma_tui.tui.transcript.highlight import Highlighter, load
from gemma_tui.tui.transcript.layout import layout
from gemma_tui.tui.transcript.palette import NAMES, Palette, plain_palette

PALETTE = plain_palette()
MARKED = Palette({name: Style(meta={"name": name}) for name in NAMES})


def turn_of(text: str) -> TurnRecord:
    turn = Document().add("assistant")
    turn.load(text)
    turn.cut()
    return turn


def lines_of(text: str, width: int = 60, palette: Palette = PALETTE) -> list[Line]:
    turn = turn_of(text)
    return [line for block in turn.body for line in layout(block, width, palette, turn.references)]


def shown(text: str, width: int = 60) -> list[str]:
    return ["".join(part.text for part in [*line.gutter, *line.segments]).rstrip() for line in lines_of(text, width)]


def copied(text: str, width: int = 60) -> str:
    return "".join(line.text + line.join for line in lines_of(text, width)).removesuffix("\n")


def test_a_paragraph_wraps_and_copies_as_one_line() -> None:
    text = "word " * 40 + "end"
    assert len(shown(text)) == 4
    assert copied(text) == text


def test_lists_nest_and_number() -> None:
    assert shown("3. three\n3. four\n   - *deep*\n     1. deeper\n- other") == [
        "3. three",
        "4. four",
        "   \u2022 deep",
        "     1. deeper",
        "\u2022 other",
    ]


def test_a_wrapped_item_hangs_under_its_text() -> None:
    rows = shown("- " + "word " * 20, 30)
    assert rows[0].startswith("\u2022 word")
    assert all(row.startswith("  word") for row in rows[1:])
    assert copied("- " + "word " * 20, 30) == "\u2022 " + ("word " * 20).strip()


def test_a_link_shows_its_whole_address() -> None:
    assert shown("see [here](http://example.org/a?b=c) now") == ["see here (http://example.org/a?b=c) now"]
    assert shown("see http://example.org/x. Done") == ["see http://example.org/x. Done"]
    assert shown("[ref]\n\n[ref]: http://example.org") == ["ref (http://example.org)"]


def test_where_a_click_leads_is_the_address_that_is_shown() -> None:
    parts = [part for line in lines_of("[a](http://example.org/)") for part in line.segments]
    metas = [part.style.meta for part in parts if part.style]
    assert {meta["href"] for meta in metas if "href" in meta} == {"http://example.org/"}


def test_tables_align_and_fit() -> None:
    rows = shown("| name | n |\n|:--|--:|\n| a | 1 |\n| long name | 1000 |", 40)
    assert rows == [
        "name      \u2502    n",
        "\u2500" * 9 + "\u2500\u253c\u2500" + "\u2500" * 4,
        "a         \u2502    1",
        "long name \u2502 1000",
    ]


@pytest.mark.parametrize("width", [12, 20, 33, 80])
def test_wide_tables_are_wrapped_into_the_width(width: int) -> None:
    table = "| a | b | c |\n|---|---|---|\n| " + " | ".join(["many words in one cell"] * 3) + " |"
    rows = shown(table, width)
    assert max(map(cell_len, rows)) <= width
    assert "".join(rows).count("many") == 3


def test_a_table_with_no_room_is_shown_as_it_was_written() -> None:
    table = "| " + " | ".join("abcdefgh") + " |\n|" + "---|" * 8 + "\n"
    assert "".join(shown(table, 20)).replace(" ", "").startswith("|a|b|c|d|e|f|g|h|")


def test_tex_stays_as_it_was_written() -> None:
    assert shown(r"so $a_1 * b_2 * c$ and \(x \cdot y\) cost $5 or $6") == [
        r"so $a_1 * b_2 * c$ and \(x \cdot y\) cost $5 or $6"
    ]
    assert shown("$$\na = b\n+ c\n$$") == ["$$", "a = b", "+ c", "$$"]


def test_html_is_text() -> None:
    assert shown("<b>hi</b> <script>x</script>") == ["<b>hi</b> <script>x</script>"]


def test_code_is_coloured_and_copied_exactly() -> None:
    load(["python"])
    code = 'def f(x):\n    """doc\n    more"""\n    return x  # ' + "long " * 20
    lines = lines_of(f"```python\n{code}\n```", 40, MARKED)
    assert "".join(line.text + line.join for line in lines[1:]).removesuffix("\n") == code
    names = {part.text.strip(): part.style.meta["name"] for line in lines for part in line.segments if part.style}
    assert names["def"] == "keyword"
    assert names["f"] == "function"
    assert names["more" + '"""'] == "string"


def test_a_growing_block_is_coloured_like_a_whole_one() -> None:
    load(["python", "c", "html"])
    for language, code in (
        ("python", 'x = """a\nb = 1\n"""\ndef f():\n    return "s"'),
        ("c", "int a; /* one\n two */ int b;\n// c\n/* x */ int d;"),
        ("html", "<p class='a'>t</p>\n<!-- c\n d --> <b>"),
    ):
        lines = code.split("\n")
        growing = Highlighter(language)
        for count in range(1, len(lines) + 1):
            for cut in range(len(lines[count - 1])):
                growing.lines([*lines[: count - 1], lines[count - 1][:cut]])
            growing.lines(lines[:count])
        whole = Highlighter(language)
        assert growing.lines(lines) == whole.lines(lines)
        assert [text for line in whole.lines(lines) for text, _ in line] != lines


def test_comments_over_several_lines_are_comments() -> None:
    load(["c"])
    colours = Highlighter("c").lines(["int a; /* one", "return 2;", "three */ int b;"])
    assert colours[1] == [("return 2;", "comment")]
    assert ("int", "type") in [(text.strip(), style) for text, style in colours[2]]


def test_long_fences_keep_their_colours_from_piece_to_piece() -> None:
    load(["python"])
    code = '"""\n' + "\n".join(f"line {number}" for number in range(120)) + '\n"""\nx = 1'
    lines = lines_of(f"```python\n{code}\n```", 60, MARKED)
    row = next(line for line in lines if line.text == "line 100")
    assert row.segments[0].style is not None
    assert row.segments[0].style.meta["name"] == "string"
    assert "".join(line.text + line.join for line in lines[1:]).removesuffix("\n") == code


def test_code_can_be_taken_whole_from_a_long_fence_and_from_a_list() -> None:
    code = "\n".join(f"line {number}" for number in range(120))
    turn = turn_of(f"```\n{code}\n```\n\ntext")
    assert fence_text(turn, turn.body[1]) == code
    document = Document()
    document.add("assistant").feed(f"- item\n\n  ```py\n  x = 1\n  ```\n\n```\n{code}\n```")
    assert last_code(document, []) == code


CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@given(
    st.text(
        alphabet=st.one_of(
            st.sampled_from("\x1b\x9b\x07\u202e\x00[]()<>&#;*_`|~!\\\"'$-+=1234567890xX \n\t"), st.characters()
        ),
        max_size=80,
    )
)
@settings(max_examples=600, deadline=None)
def test_no_control_character_comes_through(text: str) -> None:
    for line in lines_of(text, 20):
        for segment in [*line.gutter, *line.segments]:
            assert not CONTROL.search(segment.text), repr(segment.text)


@pytest.mark.parametrize(
    "text",
    ["&#27;[31m", "&#x9b;31m", "&#x1b;]52;c;eA==&#7;", "[a](http://x/&#27;[31m)", "`\x1b[1m`", "```\x1b\n\x1b[2J\n```",
     "![&#27;](http://x)", "| &#27; |\n|---|", "<http://x/\x9b>"],
)  # fmt: skip
def test_escape_sequences_in_every_corner_of_markdown_are_text(text: str) -> None:
    for line in lines_of(text):
        for segment in [*line.gutter, *line.segments]:
            assert not CONTROL.search(segment.text)
            assert not segment.style or not segment.style.link


def test_names_of_attachments_are_cleaned_and_shown() -> None:
    turn = Document().add(
        "user", attachments=[Attachment("a\x1b[31m.png", "640\u00d7480 \u00b7 23 KB", rows=((("ab", "red"),),))]
    )
    rows = [
        "".join(part.text for part in [*line.gutter, *line.segments])
        for block in turn.head
        for line in layout(block, 60, PALETTE, {})
    ]
    assert rows == ["You", "ab", "\u25a3 a\u241b[31m.png  640\u00d7480 \u00b7 23 KB"]


@given(st.text(alphabet=st.sampled_from("ab 日👍é\u0301\t#*`|->1.\n"), max_size=120), st.integers(8, 40))
@settings(max_examples=400, deadline=None)
def test_rows_are_as_wide_as_they_say(text: str, width: int) -> None:
    for line in lines_of(text, width):
        assert line.cells == sum(cell_len(segment.text) for segment in line.segments)
