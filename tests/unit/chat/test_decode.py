"""Bytes of a stream to text and counts, however the bytes were cut and whatever is in them."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gemma_backend.chat.decode import EVENT_LIMIT, EventReader, EventTooLong, ReplyReader
from gemma_backend.types import Delta, Usage


def event(text: str | None, finish: str | None = None, **more: object) -> bytes:
    """One event of a chat reply."""
    chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n\n"


def text_of(events: list[Delta | Usage]) -> str:
    """The text of `events`."""
    return "".join(one.text for one in events if isinstance(one, Delta))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8), st.integers(1, 40))
def test_any_cut_gives_the_same_text(texts: list[str], size: int) -> None:
    data = b"".join(event(text) for text in texts) + event("", "stop") + b"data: [DONE]\n\n"
    reader = ReplyReader()
    got = [one for at in range(0, len(data), size) for one in reader.feed(data[at : at + size])]
    assert text_of(got) == "".join(texts)
    assert (reader.done, reader.reason, reader.problem) == (True, "stop", None)


@given(st.binary(max_size=400))
@example(b"data: " + b"[" * 100_000 + b"\n\n")
@example(b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\ndata: [DONE]\n\n')
def test_no_bytes_raise_anything(data: bytes) -> None:
    reader = ReplyReader()
    for one in reader.feed(data) + reader.finish():
        if isinstance(one, Delta):
            one.text.encode("utf-8")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["choices", "delta", "content", "text", "usage", "prompt_tokens",
                                         "completion_tokens", "error", "message", "finish_reason", "index"]),
                        inner, max_size=4), max_leaves=12))  # fmt: skip
def test_no_json_raises_anything(value: object) -> None:
    reader = ReplyReader()
    for one in reader.feed(b"data: " + json.dumps(value).encode() + b"\n\n"):
        assert isinstance(one, Delta | Usage)


def test_one_read_gives_one_delta_and_the_newest_count() -> None:
    reader = ReplyReader()
    data = b"".join(
        event(text, usage={"prompt_tokens": 3, "completion_tokens": count})
        for count, text in enumerate(("a", "b", "c"), start=1)
    )
    assert reader.feed(data) == [Delta("abc"), Usage(3, 3)]
    assert reader.feed(event("", usage={"prompt_tokens": 3, "completion_tokens": 3})) == []


@pytest.mark.parametrize(
    "usage",
    [None, [], 5, {}, {"prompt_tokens": "3", "completion_tokens": 1}, {"prompt_tokens": -1, "completion_tokens": 1},
     {"prompt_tokens": 10**400, "completion_tokens": 1}, {"prompt_tokens": True, "completion_tokens": 1},
     {"prompt_tokens": float("nan"), "completion_tokens": float("inf")}],
)  # fmt: skip
def test_counts_that_are_none_are_left_out(usage: object) -> None:
    reader = ReplyReader()
    assert reader.feed(event("a", usage=usage)) == [Delta("a")]
    assert reader.problem is None


def test_cached_tokens_are_taken_where_they_are_told() -> None:
    reader = ReplyReader()
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}}
    assert reader.feed(event(None, usage=usage)) == [Usage(3, 1, 2)]


def test_reasoning_is_kept_apart() -> None:
    reader = ReplyReader()
    chunk = {"choices": [{"delta": {"reasoning_content": "hm", "content": None}}]}
    assert reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n") == [Delta("", "hm")]


def test_a_character_in_two_halves_is_put_together() -> None:
    reader = ReplyReader()
    first = reader.feed(b'data: {"choices": [{"text": "a\\ud83d"}]}\n\n')
    second = reader.feed(b'data: {"choices": [{"text": "\\ude00b"}]}\n\n')
    assert (first, second) == ([Delta("a")], [Delta("😀b")])


def test_other_choices_are_not_mixed_in() -> None:
    reader = ReplyReader()
    chunk = {"choices": [{"index": 0, "text": "mine"}, {"index": 1, "text": "other"}]}
    assert reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n") == [Delta("mine")]


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"data: {not json", "no part of an OpenAI reply"),
        (b"data: [1]", "no part of an OpenAI reply"),
        (b'data: {"choices": 5}', "no part of an OpenAI reply"),
        (b"data: \xff\xfe", "no part of an OpenAI reply"),
        (b'data: {"choices": [{"delta": {"content": [1]}}]}', "no text"),
        (b'data: {"error": {"message": "out of\\nmemory"}}', "with an error: out of memory"),
        (b'data: {"object": "error", "message": "old form"}', "with an error: old form"),
        (b'data: {"error": "plain"}', "with an error: plain"),
        (b'data: {"error": {}}', "did not say which"),
        (b'error: {"error": {"message": "llama"}}', "with an error: llama"),
    ],
)
def test_what_cannot_be_read_is_told_and_ends_the_reading(payload: bytes, problem: str) -> None:
    reader = ReplyReader()
    got = reader.feed(event("kept") + payload + b"\n\n" + event("lost"))
    assert text_of(got) == "kept"
    assert problem in (reader.problem or "")


def test_an_endless_event_is_given_up() -> None:
    reader = ReplyReader()
    for _ in range(EVENT_LIMIT // 100_000 + 2):
        reader.feed(b"x" * 100_000)
    assert "MiB" in (reader.problem or "")
    lines = EventReader()
    with pytest.raises(EventTooLong):
        for _ in range(50):
            lines.feed(b"data: " + b"x" * 100_000 + b"\n")


def test_comments_ids_and_carriage_returns_are_part_of_the_format() -> None:
    lines = EventReader()
    assert lines.feed(b": ping\r\nid: 1\r\nevent: x\r\ndata:one\r\ndata: two\r\n\r\n\r\n") == [b"one\ntwo"]
    assert lines.feed(b"data: last") == []
    assert lines.finish() == [b"last"]
