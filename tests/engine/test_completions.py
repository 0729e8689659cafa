"""The completion studio on a real vLLM: probabilities, alternatives, echo, scoring, another token, media, a schema."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gemma_assets import path as asset
from gemma_backend.chat.options import refused
from gemma_backend.config.presets import Controls
from gemma_backend.config.settings import Settings
from gemma_backend.media.load import load
from gemma_backend.session.perplexity import Surprise
from gemma_backend.session.recipe import recipe
from gemma_backend.session.session import Session
from gemma_backend.session.studio import Studio
from gemma_backend.types import Declined, Endpoint, Failed, Finished

pytestmark = pytest.mark.engine
MODEL = "gemma-tui/pocket"
GREEDY = Controls(temperature=0, max_tokens=12, logprobs=3)
TRICKY = "  Once \u00e9🙂\t a\n\n time "


@pytest.fixture
async def studio(real_endpoint: Endpoint) -> AsyncIterator[Studio]:
    """A studio attached to the run's engine, that notes what is declined."""
    session = Session.for_endpoint(real_endpoint, None, Settings())
    await session.start()
    await session.wait_ready()
    studio = Studio(GREEDY, lambda: session)
    declined: list[Declined] = []
    studio.on_declined = declined.append
    yield studio
    assert declined == []
    assert refused(real_endpoint, MODEL) == {}
    await session.close()


def shown(studio: Studio, start: int = 0) -> list[str]:
    """The text of each known token from `start` on."""
    text = studio.document.text
    return [text[place.start : place.end] for place in studio.document.tokens if place.start >= start]


async def test_every_generated_token_has_its_probability_and_its_rivals(studio: Studio) -> None:
    studio.document.load(TRICKY)
    end = await studio.go_on()
    assert isinstance(end, Finished)
    generated = shown(studio, len(TRICKY))
    assert "".join(generated) == studio.document.text[len(TRICKY) :] != ""
    for place in studio.document.tokens:
        token = place.token
        assert token.logprob is not None
        assert len(token.candidates) in (3, 4)
        # Greedy: what was written is the likeliest, or ties with it.
        assert token.logprob == token.candidates[0].logprob


async def test_alternatives_differ_and_each_stands_by_itself(studio: Studio) -> None:
    studio.controls = Controls(temperature=1.0, seed=3, max_tokens=16, alternatives=3, logprobs=2)
    studio.document.load("Once upon a time")
    assert isinstance(await studio.branch(studio.begin_choices(), lambda index: None), Finished)
    assert studio.choices is not None
    texts = [choice.text for choice in studio.choices.choices]
    assert len(set(texts)) == 3
    for index, text in enumerate(texts):
        assert studio.take(index)
        assert studio.document.text == "Once upon a time" + text
        assert "".join(shown(studio, 16)) == text


async def test_echo_returns_the_text_byte_for_byte_and_judges_it(studio: Studio) -> None:
    studio.controls = GREEDY.changed("echo", True)
    studio.document.load(TRICKY)
    await studio.go_on()
    assert studio.document.text.startswith(TRICKY)
    assert "".join(shown(studio)) == studio.document.text
    assert "".join(shown(studio)[: -len(shown(studio, len(TRICKY)))]) == TRICKY


async def test_both_ways_to_score_give_the_same_perplexity(studio: Studio, real_endpoint: Endpoint) -> None:
    text = "Once upon a time there was a small fox. It lived in a forest."
    studio.document.load(text)
    direct = await studio.score()
    assert isinstance(direct, Surprise)
    assert all(place.token.rank for place in studio.document.tokens[1:])
    refused(real_endpoint, MODEL)["prompt_logprobs"] = "hidden for this test"
    try:
        by_echo = await studio.score()
    finally:
        refused(real_endpoint, MODEL).clear()
    assert isinstance(by_echo, Surprise)
    assert by_echo.tokens == direct.tokens == len(studio.document.tokens) - 1
    assert by_echo.perplexity == pytest.approx(direct.perplexity, rel=1e-3)
    # The story that it was trained on surprises it less than the same words out of order.
    studio.document.load(" ".join(reversed(text.split())))
    shuffled = await studio.score()
    assert isinstance(shuffled, Surprise)
    assert shuffled.perplexity > 5 * direct.perplexity


async def test_what_was_generated_scores_as_it_was_told_while_it_was(studio: Studio) -> None:
    studio.document.load("Once upon a time")
    await studio.go_on()
    told = {place.start: place.token.logprob for place in studio.document.tokens if place.end > place.start}
    await studio.score()
    again = {place.start: place.token.logprob for place in studio.document.tokens if place.start in told}
    assert again.keys() == told.keys()
    # Prefill and decode round differently, and the text may be cut into other tokens than it was written in.
    assert math.fsum(again.values()) == pytest.approx(math.fsum(told.values()), rel=0.1, abs=0.5)


async def test_another_token_leads_to_another_story(studio: Studio) -> None:
    studio.document.load("Once upon a time")
    await studio.go_on()
    first = studio.document.text
    number = next(
        number
        for number, place in enumerate(studio.document.tokens)
        if place.token.candidates[1].text.strip() and place.token.candidates[1].logprob > -4
    )
    place = studio.document.tokens[number]
    other = next(candidate.text for candidate in place.token.candidates if candidate.text not in ("", place.token.text))
    assert studio.choose(number, other)
    chosen = studio.document.text
    assert chosen == first[: place.start] + other
    await studio.go_on()
    assert studio.document.text.startswith(chosen)
    assert len(studio.document.text) > len(chosen)
    studio.document.undo()
    studio.document.undo()
    assert studio.document.text == first


async def test_without_bos_the_prompt_is_one_token_shorter_and_the_model_less_sure(studio: Studio) -> None:
    studio.document.load("Once upon a time")
    with_bos = await studio.score()
    studio.controls = GREEDY.changed("bos", False)
    without = await studio.score()
    assert isinstance(with_bos, Surprise)
    assert isinstance(without, Surprise)
    assert with_bos.tokens == without.tokens + 1
    assert shown(studio) == ["Once", " upon", " a", " time"]


async def test_an_empty_document_is_begun(studio: Studio) -> None:
    studio.document.load("")
    assert isinstance(await studio.go_on(), Finished)
    assert studio.document.text


async def test_a_picture_and_a_clip_in_the_text_are_seen_and_heard(studio: Studio) -> None:
    # The tests' session is attached from outside; the engine was started with the template that has a raw form.
    assert studio.session is not None
    studio.session._raw_form = True
    studio.controls = Controls(temperature=0, max_tokens=40, stop=("\nUser",), logprobs=2)
    for name, words in (("scene.png", "yellow star"), ("words.wav", "hello")):
        part = load(asset("samples", name))
        document = studio.document
        question = "What is in the picture?" if name.endswith("png") else "What do you hear?"
        document.load(f"User: \n{question}\nAssistant:")
        document.insert_medium(6, 6, part)  # type: ignore[arg-type]
        before = document.text
        assert isinstance(await studio.go_on(), Finished)
        assert words in document.text[len(before) :].lower()
        judged = await studio.score()
        assert isinstance(judged, Surprise)
        places = [place for place in document.tokens if place.token.text in ("<|image|>", "<|audio|>")]
        assert [(place.start, place.token.logprob) for place in places] == [(6, None)]


async def test_the_command_that_is_copied_gives_the_same_text(studio: Studio, tmp_path: Path) -> None:
    studio.document.load("Once upon a time")
    request = studio.request()
    assert not isinstance(request, Failed)
    assert studio.session is not None
    assert studio.session.endpoint is not None
    await studio.go_on()
    command = tmp_path / "request.sh"
    command.write_text(recipe("curl", studio.session.endpoint, request))
    process = await asyncio.create_subprocess_exec("bash", str(command), stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    chunks = [json.loads(line[6:]) for line in out.decode().splitlines() if line.startswith("data: {")]
    text = "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])
    assert studio.document.text == "Once upon a time" + text


async def test_ask_gives_alternatives_probabilities_and_json_to_a_schema(
    real_endpoint: Endpoint, tmp_path: Path
) -> None:
    url = ("--url", f"unix:{real_endpoint.socket}")
    out, _ = await asked("Once", "--raw", "--json", "--n", "2", "--logprobs", "2", "--temperature", "1", *url)
    answer = json.loads(out)
    assert len(answer["choices"]) == 2
    assert all(choice["logprobs"] for choice in answer["choices"])
    _, err = await asked("Hi", "--logprobs", "2", *url)
    assert err.count("\n") >= 2 and "%" in err
    schema = tmp_path / "schema.json"
    colours = ["red", "green", "blue"]
    schema.write_text(
        json.dumps(
            {
                "type": "object",
                "properties": {"colour": {"enum": colours}, "count": {"type": "integer", "minimum": 0, "maximum": 9}},
                "required": ["colour", "count"],
                "additionalProperties": False,
            }
        )
    )
    for raw in ((), ("--raw",)):
        out, _ = await asked("Say what you see.", "--schema", str(schema), "--max-tokens", "60", *raw, *url)
        reply = json.loads(out)
        assert reply["colour"] in colours
        assert reply["count"] in range(10)
    briefed, _ = await asked("Hi", "--json", "--system", "Be brief.", *url)
    plain, _ = await asked("Hi", "--json", *url)
    assert json.loads(briefed)["prompt_tokens"] > json.loads(plain)["prompt_tokens"]


async def asked(*words: str) -> tuple[str, str]:
    """What `gemma-tui ask` writes, greedy and short unless `words` say otherwise."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gemma_tui", "ask", "--max-tokens", "8", "--temperature", "0", *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode(), err.decode()
