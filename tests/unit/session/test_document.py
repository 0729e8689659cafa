"""The completion document: every character as it was typed, every step back, figures that hold for what is there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.chat.align import Placed, aligned
from gemma_backend.session.document import Change, CompletionDocument
from gemma_backend.session.spans import Span, accepted, joined, replaced
from gemma_backend.types import Candidate, TextPart, Token
from stubs.parts import clip, image


def placed(text: str, start: int = 0, *extra: str) -> list[Placed]:
    """A token for each word of `text`, whose first character is at `start`; `extra` are tokens without characters."""
    words = [word for word in text.replace(" ", "\0 ").split("\0") if word]
    return aligned(text, [Token(word, -1.0, (Candidate(word, -1.0),)) for word in (*words, *extra)], start)


def generate(document: CompletionDocument, text: str, *extra: str) -> None:
    """Let the model add `text`, in two pieces."""
    start, half = len(document.text), len(text) // 2
    document.begin()
    document.append(text[:half])
    document.append(text[half:], placed(text, start, *extra))
    document.finish()


def type_in(document: CompletionDocument, text: str) -> None:
    """Type `text` at the end, key by key."""
    for character in text:
        document.replace(len(document.text), len(document.text), character)


def words(document: CompletionDocument) -> list[str]:
    """The texts of the tokens that are known."""
    return [document.text[token.start : token.end] for token in document.tokens]


def test_what_is_typed_is_kept_and_taken_back_word_by_word() -> None:
    document = CompletionDocument()
    type_in(document, "  one two\n\tthree")
    assert document.text == "  one two\n\tthree"
    seen = []
    while document.undo():
        seen.append(document.text)
    assert seen == ["  one two\n\t", "  one ", "  ", ""]
    while document.redo():
        pass
    assert document.text == "  one two\n\tthree"


def test_backspaces_are_one_step_a_word_and_a_moved_cursor_begins_another() -> None:
    document = CompletionDocument()
    type_in(document, "one two")
    for _ in range(3):
        document.replace(len(document.text) - 1, len(document.text), "")
    assert document.undo() == "deleting"
    assert document.text == "one two"
    document.end_word()
    document.replace(7, 7, "x")
    document.end_word()
    document.replace(8, 8, "y")
    document.undo()
    assert document.text == "one twox"


def test_generated_text_is_offered_then_accepted_or_rejected_and_each_is_a_step() -> None:
    document = CompletionDocument("Once")
    generate(document, " upon a time")
    assert document.offered == Span(4, 16, "offered")
    assert document.accept()
    assert document.offered is None
    assert document.spans == (Span(4, 16, "generated"),)
    generate(document, " there")
    assert document.reject()
    assert document.text == "Once upon a time"
    assert not document.reject()
    kinds = []
    while kind := document.undo():
        kinds.append((kind, document.text))
    assert kinds == [
        ("reject", "Once upon a time there"),
        ("continue", "Once upon a time"),
        ("accept", "Once upon a time"),
        ("continue", "Once"),
    ]
    while document.redo():
        pass
    assert document.text == "Once upon a time"
    assert document.spans == (Span(4, 16, "generated"),)


def test_part_of_what_is_offered_can_be_kept_or_dropped() -> None:
    document = CompletionDocument("Once")
    generate(document, " upon a time")
    document.accept(until=9)
    assert (document.text, document.spans) == ("Once upon", (Span(4, 9, "generated"),))
    document.undo()
    document.reject(since=9)
    assert (document.text, document.offered) == ("Once upon", Span(4, 9, "offered"))


def test_typing_into_it_or_going_on_accepts_what_was_offered() -> None:
    document = CompletionDocument("a")
    generate(document, " b c")
    document.replace(3, 3, "X")
    assert document.text == "a bX c"
    assert document.spans == (Span(1, 3, "generated"), Span(4, 6, "generated"))
    document.undo()
    assert document.offered == Span(1, 5, "offered")
    generate(document, " d")
    assert document.spans == (Span(1, 5, "generated"), Span(5, 7, "offered"))


def test_a_continuation_that_brings_nothing_leaves_nothing_behind() -> None:
    document = CompletionDocument("a")
    generate(document, " b")
    document.begin()
    document.append("", [Placed(3, 3, Token("<eos>", -0.1))])
    document.finish()
    assert document.offered == Span(1, 3, "offered")
    assert document.undoable == "continue"
    # That the model would end here is known all the same.
    assert [token.token.text for token in document.tokens] == [" b", "<eos>"]
    document.undo()
    assert document.text == "a"


def test_figures_hold_only_for_the_text_in_front_of_them() -> None:
    document = CompletionDocument("Once")
    generate(document, " upon a time", "<eos>")
    assert words(document) == [" upon", " a", " time", ""]
    document.replace(9, 11, " one")
    assert words(document) == [" upon"]
    document.undo()
    assert words(document) == [" upon", " a", " time", ""]
    type_in(document, "!")
    assert words(document) == [" upon", " a", " time"]
    document.undo()
    assert words(document) == [" upon", " a", " time", ""]
    document.replace(0, 0, "x")
    assert words(document) == []
    document.undo()
    document.redo()
    assert words(document) == []


def test_another_token_is_chosen_and_what_followed_can_be_brought_back() -> None:
    document = CompletionDocument("Once")
    generate(document, " upon a time")
    number = document.token_at(10)
    assert number is not None
    document.choose(number, " two")
    assert document.text == "Once upon two"
    assert words(document) == [" upon"]
    generate(document, " times")
    assert document.spans == (Span(4, 13, "generated"), Span(13, 19, "offered"))
    document.undo()
    document.undo()
    assert document.text == "Once upon a time"
    assert words(document) == [" upon", " a", " time"]


def test_an_alternative_is_one_step_and_takes_the_place_of_another() -> None:
    document = CompletionDocument("Once")
    document.offer(4, " upon", placed(" upon", 4))
    document.offer(4, " more", placed(" more", 4))
    assert (document.text, document.offered, words(document)) == ("Once more", Span(4, 9, "offered"), [" more"])
    document.undo()
    assert (document.text, words(document)) == ("Once upon", [" upon"])
    document.undo()
    assert (document.text, words(document)) == ("Once", [])
    document.redo()
    assert (document.text, words(document)) == ("Once upon", [" upon"])


def test_media_stand_where_their_placeholders_are() -> None:
    document = CompletionDocument("See: and hear:")
    document.insert_medium(4, 4, image())
    document.insert_medium(len(document.text), len(document.text), clip())
    assert document.text == "See:<|image|> and hear:<|audio|>"
    assert document.parts() == (TextPart("See:"), image(), TextPart(" and hear:"), clip())
    document.replace(0, 4, "Look:\n")
    assert document.parts()[:2] == (TextPart("Look:\n"), image())
    # A placeholder that is broken is text; a typed one stands for nothing.
    document.replace(8, 9, "")
    assert document.parts() == (TextPart(document.text[: document.marks[0].start]), clip())
    document.undo()
    assert [mark.part for mark in document.marks] == [image(), clip()]
    type_in(document, "<|image|>")
    assert document.parts()[-1] == TextPart("<|image|>")


def test_every_change_is_told_with_its_place() -> None:
    changes: list[Change] = []
    document = CompletionDocument("ab")
    document.changed = changes.append
    document.replace(1, 2, "xyz")
    document.begin()
    document.append("!!")
    document.finish()
    document.undo()
    assert changes == [Change(1, 1, 3), Change(4, 0, 0), Change(4, 0, 2), Change(4, 2, 0)]


_edit = st.tuples(st.integers(0, 40), st.integers(0, 40), st.text("ab \n<|image|>é", max_size=5))
_operations = st.lists(
    st.one_of(
        st.tuples(st.just("replace"), _edit),
        st.tuples(st.just("generate"), st.text("xy z", max_size=8)),
        st.tuples(st.just("accept"), st.none() | st.integers(0, 40)),
        st.tuples(st.just("reject"), st.none() | st.integers(0, 40)),
        st.tuples(st.just("choose"), st.integers(0, 9)),
        st.tuples(st.just("medium"), st.integers(0, 40)),
        st.tuples(st.sampled_from(["undo", "redo"]), st.none()),
    ),
    max_size=25,
)


def perform(document: CompletionDocument, name: str, argument: object) -> None:
    """Do one operation, its places brought into the text."""
    size = len(document.text)
    match name, argument:
        case "replace", (int(first), int(second), str(text)):
            start, end = sorted((min(first, size), min(second, size)))
            document.replace(start, end, text)
        case "generate", str(text):
            generate(document, text, "<eos>")
        case "accept", until:
            document.accept(until)  # type: ignore[arg-type]
        case "reject", since:
            document.reject(since)  # type: ignore[arg-type]
        case "choose", int(number) if number < len(document.tokens):
            document.choose(number, " other")
        case "medium", int(at):
            document.insert_medium(min(at, size), min(at, size), image())
        case "undo", _:
            document.undo()
        case "redo", _:
            document.redo()


def state(document: CompletionDocument) -> tuple[object, ...]:
    """All that a step changes, except figures that were dropped for good."""
    return document.text, document.spans, document.marks


@given(_operations)
def test_whatever_is_done_can_be_taken_back_and_done_again(operations: Sequence[tuple[str, object]]) -> None:
    document = CompletionDocument("start", (Span(1, 3, "generated"),))
    mirror = ["start"]
    document.changed = lambda change: mirror.__setitem__(
        0,
        mirror[0][: change.start]
        + document.text[change.start : change.start + change.inserted]
        + mirror[0][change.start + change.removed :],
    )
    for name, argument in operations:
        perform(document, name, argument)
        assert mirror[0] == document.text
        assert document.spans == joined(document.spans)
        assert all(0 <= span.start < span.end <= len(document.text) for span in document.spans)
        assert all(document.text[mark.start : mark.end] == "<|image|>" for mark in document.marks)
        assert [token.start for token in document.tokens] == sorted(token.start for token in document.tokens)
        assert all(document.text[token.start : token.end] in (token.token.text, "") for token in document.tokens)
    last = state(document)
    back = [last]
    while document.undo():
        back.append(state(document))
    assert back[-1] == ("start", (Span(1, 3, "generated"),), ())
    for expected in reversed(back[:-1]):
        assert document.redo()
        assert state(document) == expected


@pytest.mark.parametrize(
    ("start", "end", "length", "origin", "expected"),
    [
        (0, 0, 2, None, [(4, 8)]),
        (4, 4, 1, None, [(2, 4), (5, 7)]),
        (3, 5, 0, None, [(2, 4)]),
        (0, 9, 1, None, []),
        (6, 6, 3, "generated", [(2, 9)]),
        (2, 6, 4, "generated", [(2, 6)]),
    ],
)
def test_spans_follow_what_is_replaced(
    start: int, end: int, length: int, origin: str | None, expected: list[tuple[int, int]]
) -> None:
    spans = replaced((Span(2, 6, "generated"),), start, end, length, origin)  # type: ignore[arg-type]
    assert [(span.start, span.end) for span in spans] == expected
    assert accepted(spans) == spans
