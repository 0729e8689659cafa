"""Tokens with their probabilities, from whole answers of vLLM and from whatever else may come."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.chat.align import Aligner, aligned
from gemma_backend.chat.decode import ReplyReader
from gemma_backend.chat.logprobs import prompt_tokens, reply_tokens
from gemma_backend.types import Candidate, ChoiceEnded, Delta, Token, Usage

FIXTURES = Path(__file__).parents[2] / "fixtures" / "completions"
ECHOED = " Once  upon é🙂 a\ttime"


def read(name: str, choices: int = 1, size: int = 613) -> list[Delta | ChoiceEnded | Usage]:
    """The events of a captured stream that arrives in pieces of `size` bytes."""
    body = (FIXTURES / f"{name}.sse").read_bytes()
    reader = ReplyReader(choices)
    events = [event for at in range(0, len(body), size) for event in reader.feed(body[at : at + size])]
    assert (reader.done, reader.problem) == (True, None)
    return events


def placed(name: str) -> list[tuple[str, str]]:
    """Of a captured stream the text that each token got, and how it is spelled."""
    deltas = [event for event in read(name) if isinstance(event, Delta)]
    text = "".join(delta.text for delta in deltas)
    aligner = Aligner()
    found = [place for delta in deltas for place in aligner.feed(delta.text, delta.tokens)] + aligner.finish()
    assert [place.start for place in found[1:]] == [place.end for place in found[:-1]]
    return [(text[place.start : place.end], place.token.text) for place in found]


def test_a_stream_of_vllm_gives_each_token_its_place_and_candidates() -> None:
    assert placed("stream-logprobs") == [(text, text) for text in (",", " in", " a", " f", "a", "ith")]
    first = next(event for event in read("stream-logprobs") if isinstance(event, Delta)).tokens[0]
    assert first.logprob == pytest.approx(-1.1211, abs=1e-3)
    assert [candidate.text for candidate in first.candidates] == [",", " there", " a"]


def test_text_that_waits_for_a_stop_string_gets_its_tokens_and_what_was_cut_off_gets_none() -> None:
    found = placed("stream-stop")
    assert "".join(text for text, _ in found) == ", in a faithful road, there lived a mouse named Dan"
    assert all(text == spelled for text, spelled in found[:-1])
    assert found[-1] == ("", ".")


def test_the_end_of_a_text_is_a_token_without_text() -> None:
    assert placed("stream-eos")[-1] == ("", "<eos>")
    assert placed("chat-logprobs") == [(text, text) for text in (" Th", "ree", ",", " four", ",")]


def test_a_character_of_several_tokens_belongs_to_the_last_of_them() -> None:
    found = placed("stream-echo-logprobs")
    assert "".join(text for text, _ in found).startswith(ECHOED)
    assert [text for text, _ in found[:11]] == ["", " Once", " ", " upon", " ", "", "é", "", "", "", "🙂"]


def test_alternatives_are_told_apart_and_counted_together() -> None:
    events = read("stream-n-logprobs", choices=2)
    texts = ["".join(event.text for event in events if isinstance(event, Delta) and event.index == n) for n in (0, 1)]
    tokens = [
        sum(len(event.tokens) for event in events if isinstance(event, Delta) and event.index == n) for n in (0, 1)
    ]
    assert all(texts)
    assert texts[0] != texts[1]
    assert tokens == [4, 4]
    assert sorted(event.index for event in events if isinstance(event, ChoiceEnded)) == [0, 1]
    assert [event.completion_tokens for event in events if isinstance(event, Usage)][-1] == 8
    assert "".join(event.text for event in read("stream-n-logprobs") if isinstance(event, Delta)) == texts[0]


@pytest.mark.parametrize(
    ("name", "prompt", "first"),
    [
        ("prompt-logprobs", ECHOED, ["", " Once", " ", " upon"]),
        ("prompt-logprobs-no-bos", "Once upon a time", ["Once", " upon", " a", " time"]),
        ("echo-only", "Once upon a time", ["", "Once", " upon", " a", " time"]),
    ],
)
def test_a_prompt_is_covered_without_a_gap(name: str, prompt: str, first: list[str]) -> None:
    answer = json.loads((FIXTURES / f"{name}.json").read_text())
    tokens = prompt_tokens(answer["choices"][0]["prompt_logprobs"])
    found = [prompt[place.start : place.end] for place in aligned(prompt, tokens)]
    assert "".join(found) == prompt
    assert found[: len(first)] == first
    assert tokens[0].logprob is None
    assert all(token.rank is not None and token.candidates for token in tokens[1:])


def test_the_form_of_chat_spells_from_bytes_where_the_text_is_cut() -> None:
    top = [{"token": "\ufffd", "bytes": [0xC3, 0xA9], "logprob": -0.5}, {"token": "\ufffd", "bytes": [0xC3]}]
    entry = {"token": "\ufffd", "bytes": [0xC3, 0xA9], "logprob": -0.5, "top_logprobs": top}
    assert reply_tokens({"content": [entry]}) == (Token("é", -0.5, (Candidate("é", -0.5),)),)


def test_the_token_that_was_drawn_is_among_its_candidates() -> None:
    logprobs = {"tokens": ["x"], "token_logprobs": [-9.0], "top_logprobs": [{"a": -0.1, "b": -3.0}]}
    (token,) = reply_tokens(logprobs)
    assert token.candidates == (Candidate("a", -0.1), Candidate("b", -3.0), Candidate("x", -9.0))


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["tokens", "token_logprobs", "top_logprobs", "content", "token", "logprob", "bytes", "rank",
                         "decoded_token", "7"]), inner, max_size=4),
    max_leaves=14,
)  # fmt: skip


@given(_JSON)
def test_whatever_comes_gives_tokens_or_none(value: object) -> None:
    for token in (*reply_tokens(value), *prompt_tokens(value)):
        token.text.encode("utf-8")
        assert token.logprob is None or token.logprob <= 0


@given(st.lists(st.text(max_size=4), max_size=12), st.lists(st.integers(0, 30), max_size=4))
def test_any_cut_places_tokens_in_order_within_the_text(texts: list[str], cuts: list[int]) -> None:
    text = "".join(texts)
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    aligner = Aligner()
    found = aligner.feed("", [Token(text, -1.0) for text in texts])
    for start, end in pairwise(edges):
        found += aligner.feed(text[start:end])
    found += aligner.finish()
    assert [place.token.text for place in found] == texts
    assert "".join(text[place.start : place.end] for place in found) == text


@given(st.text(max_size=60), st.lists(st.text(max_size=5), max_size=20))
def test_tokens_of_another_text_never_leave_it(text: str, texts: list[str]) -> None:
    found = aligned(text, [Token(text, -1.0) for text in texts])
    assert len(found) == len(texts)
    assert all(0 <= place.start <= place.end <= len(text) for place in found)
    assert [place.start for place in found] == sorted(place.start for place in found)
