"""Wrapping keeps every character, fits the width, and never cuts a character in two."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len, split_graphemes
from rich.style import Style

from gemma_tui.tui.transcript.wrap import break_lines, is_single, slice_runs, wrap_runs

TEXTS = st.text(alphabet=st.sampled_from("ab  cdé-\u00a0日本語。、한👍🏽é\u0301👩\u200d👧❤\ufe0f\u0300z"), max_size=60)


@given(TEXTS, st.integers(2, 20), st.booleans())
@settings(max_examples=600, deadline=None)
@example("a" * 9 + " " + "b" * 9, 4, True)
@example("  indented text", 6, True)
@example("\u200d\u200daaa", 2, False)
def test_rows_and_what_was_dropped_are_the_text(text: str, width: int, words: bool) -> None:
    rebuilt = ""
    for start, end, dropped in break_lines(text, width, words=words):
        row = text[start:end]
        assert cell_len(row) <= width
        assert not dropped.strip()
        assert text[end : end + len(dropped)] == dropped
        rebuilt += row + dropped
    assert rebuilt == text


@given(st.text(alphabet=st.sampled_from("a日👍🏽é\u0301👩\u200d👧❤\ufe0f"), max_size=40), st.integers(2, 9))
@settings(max_examples=300, deadline=None)
def test_joined_characters_stay_whole(text: str, width: int) -> None:
    starts = {span[0] for span in split_graphemes(text)[0]} | {0, len(text)}
    for start, end, _ in break_lines(text, width, words=False):
        assert {start, end} <= starts


def test_words_are_kept_whole_where_they_fit() -> None:
    text = "the quick brown fox jumps over the lazy dog"
    rows = [text[start:end] for start, end, _ in break_lines(text, 10)]
    assert rows == ["the quick", "brown fox", "jumps over", "the lazy", "dog"]


def test_east_asian_text_breaks_between_characters_but_not_before_a_full_stop() -> None:
    text = "これは日本語です。"
    rows = [text[start:end] for start, end, _ in break_lines(text, 8)]
    assert rows == ["これは日", "本語で", "す。"]


@given(
    st.lists(st.tuples(TEXTS, st.sampled_from([Style(bold=True), Style(italic=True)])), max_size=6), st.integers(2, 15)
)
@settings(max_examples=300, deadline=None)
def test_styles_stay_on_their_characters(runs: list[tuple[str, Style]], width: int) -> None:
    expected = [(character, style) for text, style in runs for character in text]
    found = []
    for segments, cells, join in wrap_runs(runs, width):
        assert cells == sum(cell_len(segment.text) for segment in segments)
        found += [(character, segment.style) for segment in segments for character in segment.text]
        found += [(character, None) for character in join.removesuffix("\n")]
    assert [character for character, _ in found] == [character for character, _ in expected]
    assert all(style in (None, expected[index][1]) for index, (_, style) in enumerate(found))


def test_slices_of_runs() -> None:
    bold, plain = Style(bold=True), Style()
    segments = slice_runs([("abc", plain), ("def", bold), ("ghi", plain)], 2, 7)
    assert [(segment.text, segment.style) for segment in segments] == [("c", plain), ("def", bold), ("g", plain)]


def test_characters_of_one_cell_are_known() -> None:
    assert is_single("café — “quoted” │ ok…")
    assert not is_single("日本")
    assert not is_single("e\u0301")
    assert not is_single("\u00ad")
