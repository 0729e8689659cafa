"""Requests as servers get them, and the transcript, which has to be the template's to the byte."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

import gemma_assets
from gemma_backend.chat.request import (
    chat_body,
    completion_body,
    eos_of,
    is_base_model,
    raw_body,
    split_placeholders,
    spoken,
    transcript_prompt,
)
from gemma_backend.types import AudioPart, ImagePart, Part, Sampling, TextPart, Turn

IMAGE = ImagePart(b"\x89PNG", "image/png", "a.png", 1, 1, "d1")
CLIP = AudioPart(b"RIFF", "wav", "a.wav", 1.0, "d2")
PARTS = st.lists(st.one_of(st.text().map(TextPart), st.just(IMAGE), st.just(CLIP)), min_size=1, max_size=4)
TURNS = st.lists(st.builds(Turn, st.sampled_from(["system", "user", "assistant"]), PARTS.map(tuple)), max_size=5)


def user(*parts: Part | str) -> Turn:
    """A question made of `parts`."""
    return Turn("user", tuple(TextPart(part) if isinstance(part, str) else part for part in parts))


def answer(text: str, complete: bool = True) -> Turn:
    """A reply."""
    return Turn("assistant", (TextPart(text),), complete)


def rendered(name: str, messages: list[dict[str, object]], **variables: object) -> str:
    """`messages` through a shipped template, in the environment that transformers renders templates in."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    source = gemma_assets.path("templates", name).read_text(encoding="utf-8")
    given = {"bos_token": "<bos>", "eos_token": "<eos>", "add_generation_prompt": True} | variables
    return environment.from_string(source).render(messages=messages, **given)


@given(TURNS)
def test_the_transcript_is_the_templates_to_the_byte(turns: list[Turn]) -> None:
    messages = chat_body(turns, Sampling(), "m")["messages"]
    assert "<bos>" + transcript_prompt(turns) == rendered("transcript.jinja", messages)


@given(PARTS)
def test_both_raw_forms_give_the_contents_alone(parts: list[Part]) -> None:
    expected = "<bos>" + "".join(
        part.text if isinstance(part, TextPart) else "<|image|>" if isinstance(part, ImagePart) else "<|audio|>"
        for part in parts
    )
    body = raw_body(parts, Sampling(), "m", template=None)
    assert body["chat_template_kwargs"] == {"raw": True}
    assert rendered("transcript.jinja", body["messages"], raw=True, add_generation_prompt=False) == expected
    assert rendered("raw.jinja", body["messages"], add_generation_prompt=False) == expected


def test_the_transcript_reads_like_one() -> None:
    turns = [Turn("system", (TextPart("Be brief."),)), user(IMAGE, "What is it?"), answer(" A cat.\n"), user("Sure?")]
    assert transcript_prompt(turns) == (
        "Be brief.\n\nUser: <|image|>\nWhat is it?\nAssistant: A cat.<eos>\nUser: Sure?\nAssistant:"
    )


def test_parts_take_the_forms_of_the_protocol() -> None:
    body = chat_body([user("look ", IMAGE, CLIP)], Sampling(), "m")
    text, image, clip = body["messages"][0]["content"]
    assert text == {"type": "text", "text": "look "}
    assert image["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(IMAGE.data).decode()
    assert clip["input_audio"] == {"data": base64.b64encode(CLIP.data).decode(), "format": "wav"}


def test_text_alone_goes_as_a_plain_string() -> None:
    assert chat_body([user("a", "b")], Sampling(), "m")["messages"] == [{"role": "user", "content": "ab"}]


def test_only_what_was_chosen_is_sent() -> None:
    body = chat_body([user("a")], Sampling(temperature=0.0, stop=("x",), top_k=5), "m")
    assert set(body) == {"model", "messages", "temperature", "stop", "top_k", "stream", "stream_options"}
    assert body["temperature"] == 0.0


def test_a_completion_keeps_its_prompt_and_is_not_cut_at_16_tokens() -> None:
    prompt = "  tab\tnewline\n\r\n€😀 "
    body = completion_body(prompt, Sampling(), "m")
    assert json.loads(json.dumps(body))["prompt"] == prompt
    assert body["max_tokens"] > 16
    assert completion_body(prompt, Sampling(max_tokens=3), "m")["max_tokens"] == 3


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("gemma-tui/pocket", True),
        ("bg-digitalservices/Gemma-4-E2B-NVFP4A16", True),
        ("google/gemma-4-E2B", True),
        ("google/gemma-4-E2B-it", False),
        ("google/gemma-4-E2B-it-GGUF", False),
        ("gemma4:e2b", False),
        ("meta-llama/Llama-3.1-8B", False),
    ],
)
def test_base_models_stop_at_the_next_heading(model: str, base: bool) -> None:
    assert is_base_model(model) is base
    stop = chat_body([user("a")], Sampling(stop=("x",)), model)["stop"]
    assert stop == (["x", "\nUser:"] if base else ["x"])


def test_the_end_token_is_written_only_for_models_that_have_it() -> None:
    assert eos_of("google/gemma-3-1b-pt") == "<eos>"
    assert eos_of("gpt2") == ""


def test_a_question_that_got_no_reply_is_not_sent_again() -> None:
    asked, reply = user("second"), answer("partial", complete=False)
    assert spoken([user("first"), answer("", complete=False), asked, reply]) == [asked, reply]


def test_media_stand_where_their_placeholders_are() -> None:
    assert split_placeholders("a <|image|>b<|audio|>", [CLIP, IMAGE]) == (TextPart("a "), IMAGE, TextPart("b"), CLIP)
    assert split_placeholders("no place", [IMAGE]) == (IMAGE, TextPart("no place"))
    assert split_placeholders("<|image|>", []) == (TextPart("<|image|>"),)


def test_the_last_system_text_holds_and_goes_first() -> None:
    first, last = Turn("system", (TextPart("Be brief."),)), Turn("system", (TextPart("Be kind."),))
    assert spoken([first, user("a"), answer("b"), last, user("c")]) == [last, user("a"), answer("b"), user("c")]
    assert spoken([first, user("a"), Turn("system", ()), user("c")]) == [user("a"), user("c")]


def test_a_budget_of_soft_tokens_is_asked_for_where_a_person_chose_one() -> None:
    wide, narrow = replace(IMAGE, soft_tokens=560), replace(IMAGE, soft_tokens=70)
    for parts, sent in (([IMAGE], None), ([wide], 560), ([narrow], 70), ([narrow, wide], 560), ([CLIP], None)):
        for body in (
            chat_body([user(*parts), answer("b"), user("c")], Sampling(), "m"),
            raw_body(parts, Sampling(), "m", template=None),
        ):
            assert body.get("mm_processor_kwargs", {}).get("max_soft_tokens") == sent
