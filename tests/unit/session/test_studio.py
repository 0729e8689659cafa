"""The completion studio without a screen, on servers of several kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gemma_backend.config.presets import Controls
from gemma_backend.config.settings import Settings
from gemma_backend.endpoint.address import parse_url
from gemma_backend.session.perplexity import Surprise
from gemma_backend.session.session import Session
from gemma_backend.session.studio import Studio
from gemma_backend.store.history import History
from gemma_backend.types import BadInput, Failed, Finished
from stubs.completion_server import CompletionServer, logprob, perplexity_of
from stubs.parts import clip, image


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", str(tmp_path / name.lower()))


@asynccontextmanager
async def studio_on(server: CompletionServer, text: str = "", **controls: object) -> AsyncIterator[Studio]:
    """A studio with `text` in it, attached to `server`."""
    session = Session.for_endpoint(parse_url(server.url), None, Settings())
    await session.start()
    await session.wait_ready()
    studio = Studio(Controls(**controls), lambda: session)  # type: ignore[arg-type]
    studio.document.load(text)
    try:
        yield studio
    finally:
        await session.close()


async def test_a_text_is_continued_with_exactly_what_the_controls_say() -> None:
    text = "  Once\t\r\n"
    wanted = {
        "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "seed": 8, "stop": ["END", "\n"],
        "repetition_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": -0.2,
    }  # fmt: skip
    async with CompletionServer() as server, studio_on(server, text, **wanted, logprobs=4, bos=False) as studio:
        assert isinstance(await studio.go_on(), Finished)
        sent = server.prompts[0].json
        assert {name: sent[name] for name in wanted} == wanted
        assert (sent["prompt"], sent["logprobs"], sent["add_special_tokens"]) == (text, 4, False)
        assert "n" not in sent and "echo" not in sent
        document = studio.document
        assert document.text == text + server.texts[0]
        assert document.offered is not None
        assert [document.text[place.start : place.end] for place in document.tokens] == [" one", " two", " three."]


async def test_controls_that_are_not_set_are_not_sent() -> None:
    async with CompletionServer() as server, studio_on(server, "x", logprobs=0) as studio:
        await studio.go_on()
        assert set(server.prompts[0].json) == {"model", "prompt", "max_tokens", "stream", "stream_options"}


async def test_another_token_is_chosen_and_the_text_goes_on_from_there() -> None:
    async with CompletionServer() as server, studio_on(server, "a") as studio:
        await studio.go_on()
        candidate = studio.document.tokens[1].token.candidates[1].text
        assert studio.choose(1, candidate)
        await studio.go_on()
        assert studio.document.text == "a one" + candidate + server.texts[0]
        assert server.prompts[-1].json["prompt"] == "a one" + candidate
        assert studio.document.undo() == "continue"
        assert studio.document.undo() == "choose"
        assert studio.document.text == "a" + server.texts[0]
        assert not studio.choose(2, "<eos>", end="<eos>")
        assert studio.document.text == "a one two"


async def test_alternatives_stand_side_by_side_and_one_takes_the_place_of_another() -> None:
    async with CompletionServer() as server, studio_on(server, "a", alternatives=3) as studio:
        seen: set[int] = set()
        assert isinstance(await studio.branch(studio.begin_choices(), seen.add), Finished)
        assert studio.document.text == "a"
        assert studio.choices is not None
        assert [choice.text for choice in studio.choices.choices] == server.texts[:3]
        assert [choice.reason for choice in studio.choices.choices] == ["stop"] * 3
        assert seen == {0, 1, 2}
        assert studio.take(1)
        assert studio.document.text == "a four five."
        assert [place.start for place in studio.document.tokens] == [1, 6]
        assert studio.take(2)
        assert studio.document.text == "a six seven eight."
        studio.document.undo()
        studio.document.undo()
        assert studio.document.text == "a"
        assert studio.take(0)
        studio.document.replace(0, 0, "x")
        assert not studio.take(1)


@pytest.mark.parametrize("dialect", ["llamacpp-old", "ignoring"])
async def test_alternatives_come_from_a_server_that_has_none_and_that_is_told(dialect: str) -> None:
    async with CompletionServer(dialect=dialect) as server, studio_on(server, "a", seed=0) as studio:
        told: list[str] = []
        studio.on_declined = lambda declined: told.append(declined.option)
        await studio.branch(studio.begin_choices(), lambda index: None)
        assert studio.choices is not None
        assert [choice.text for choice in studio.choices.choices] == server.texts[:3]
        assert "n" in told
        assert studio.lacks("n")


async def test_echo_gives_the_typed_text_its_figures_too() -> None:
    async with CompletionServer() as server, studio_on(server, "one two", echo=True) as studio:
        await studio.go_on()
        places = [studio.document.text[place.start : place.end] for place in studio.document.tokens]
        assert places == ["", "one", " two", " one", " two", " three."]
        assert studio.document.text == "one two" + server.texts[0]


@pytest.mark.parametrize("dialect", ["vllm", "sglang"])
async def test_the_perplexity_of_a_text_and_of_a_part_of_it(dialect: str) -> None:
    text = "the quick brown fox"
    async with CompletionServer(dialect=dialect) as server, studio_on(server, text) as studio:
        whole = await studio.score()
        assert isinstance(whole, Surprise)
        assert whole.perplexity == pytest.approx(perplexity_of(text))
        assert (whole.tokens, whole.size) == (4, len(text))
        assert "over 4 tokens" in whole.sentence()
        part = await studio.score(3, 9)
        assert isinstance(part, Surprise)
        assert (part.tokens, part.size) == (1, len(" quick"))
        assert part.nats == pytest.approx(-logprob("the", " quick"))


async def test_a_server_that_cannot_score_is_known_from_then_on() -> None:
    async with CompletionServer(dialect="ignoring") as server, studio_on(server, "a b") as studio:
        assert studio.cannot_score is None
        assert isinstance(await studio.score(), Failed)
        assert studio.cannot_score
    async with CompletionServer(dialect="llamacpp") as server, studio_on(server, "a b") as studio:
        assert studio.cannot_score
        assert studio.lacks("bos") and studio.lacks("echo")
        assert studio.lacks("min_p") is None


async def test_an_empty_document_begins_with_bos_alone_where_that_is_known() -> None:
    async with CompletionServer(models=["gemma-tui/pocket"]) as server, studio_on(server) as studio:
        await studio.go_on()
        sent = server.prompts[0].json
        assert (sent["prompt"], sent["add_special_tokens"]) == ("<bos>", False)
        assert studio.document.text == server.texts[0]
    async with CompletionServer() as server, studio_on(server) as studio:
        with pytest.raises(BadInput, match="empty"):
            await studio.go_on()
        assert studio.document.undoable is None


async def test_alternatives_of_greedy_text_are_refused_in_words() -> None:
    async with CompletionServer() as server, studio_on(server, "a", temperature=0) as studio:
        with pytest.raises(BadInput, match="raise the temperature"):
            studio.begin_choices()
        assert server.prompts == []


async def test_a_bos_that_was_typed_is_noticed() -> None:
    studio = Studio(Controls())
    studio.document.load("<bos>a")
    assert studio.bos_twice()
    studio.controls = Controls(bos=False)
    assert not studio.bos_twice()


async def test_pictures_and_clips_go_through_the_raw_template_where_they_stand() -> None:
    async with CompletionServer() as server, studio_on(server, "See  and hear ", bos=False) as studio:
        studio.document.insert_medium(4, 4, image())
        studio.document.insert_medium(len(studio.document.text), len(studio.document.text), clip())
        await studio.go_on()
        body = server.prompts[0].json
        assert server.prompts[0].path == "/v1/chat/completions"
        kinds = [part["type"] for part in body["messages"][0]["content"]]
        assert kinds == ["text", "image_url", "text", "input_audio"]
        assert body["messages"][0]["content"][2]["text"] == " and hear "
        assert body["chat_template_kwargs"] == {"bos": False}
        assert "bos_token" in body["chat_template"]


async def test_a_reply_that_breaks_off_leaves_what_came_and_can_be_taken_back() -> None:
    from stubs.openai_server import OpenAIServer, Reply

    async with OpenAIServer(reply=Reply(" one two three", fault="cut", after=2)) as server:
        session = Session.for_endpoint(parse_url(server.url), None, Settings())
        await session.start()
        studio = Studio(session=lambda: session)
        studio.document.load("a")
        assert isinstance(await studio.go_on(), Failed)
        assert studio.document.text == "a one two"
        assert not studio.document.growing
        studio.document.undo()
        assert studio.document.text == "a"
        await session.close()


async def test_a_document_is_kept_with_its_spans_controls_and_media(tmp_path: Path) -> None:
    async with CompletionServer() as server, studio_on(server, "See ", temperature=0.5) as studio:
        studio.document.insert_medium(4, 4, image())
        await studio.go_on()
        history = History(tmp_path / "history")
        number = history.save_document(studio.record()).result()
        found = history.document(number)
        again = Studio()
        again.open(found, [history.part(part) for part in found.media])
        history.close()
    assert again.document.text == studio.document.text
    assert again.document.spans == studio.document.spans
    assert again.document.marks == studio.document.marks
    assert again.controls == studio.controls
    assert again.number == number


def test_a_record_of_another_hand_is_taken_as_far_as_it_makes_sense() -> None:
    from gemma_backend.types import Document

    studio = Studio()
    data = {"spans": [[0, 2, "generated"], [5, 99, "generated"], "x", [1]], "controls": {"warmth": 3}, "media": ["a"]}
    studio.open(Document("text", data, (image(),)), [image()])
    assert (studio.document.text, len(studio.document.spans), studio.document.marks) == ("text", 1, ())
    assert studio.controls == Controls()
