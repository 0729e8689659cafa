"""Alternatives, probabilities and echo from servers of several kinds, and what is learned of those that lack them."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from gemma_backend.chat.options import introduce, lesson, refused
from gemma_backend.chat.score import stream_score
from gemma_backend.chat.stream import stream_chat, stream_completion
from gemma_backend.endpoint.address import parse_url
from gemma_backend.types import (
    ChoiceEnded,
    Declined,
    Delta,
    Echoed,
    Failed,
    Finished,
    Options,
    Sampling,
    Started,
    StreamEvent,
    TextPart,
    Turn,
)
from stubs.completion_server import CompletionServer, Dialect, perplexity_of
from stubs.openai_server import Reply
from stubs.replies import Reply as TextReply

PROMPT = " Once  upon\ta time"
MODEL = "stub/model"


async def complete(server: CompletionServer, options: Options, **sampling: object) -> list[StreamEvent]:
    """All events of one continuation of PROMPT."""
    endpoint = parse_url(server.url)
    introduce(endpoint, MODEL, server.owner())
    chosen = Sampling(max_tokens=50, **sampling)  # type: ignore[arg-type]
    stream = stream_completion(endpoint, MODEL, PROMPT, chosen, options=options)
    async with aclosing(stream) as events:
        return [event async for event in events]


def texts(events: list[StreamEvent]) -> list[str]:
    """The text of each alternative, in order."""
    found: dict[int, str] = {}
    for event in events:
        if isinstance(event, Delta):
            found[event.index] = found.get(event.index, "") + event.text
    return [found[index] for index in sorted(found)]


def declined(events: list[StreamEvent]) -> list[str]:
    """The options that the server turned out not to offer."""
    return [event.option for event in events if isinstance(event, Declined)]


@pytest.mark.parametrize("dialect", ["vllm", "llamacpp", "llamacpp-old", "sglang", "ignoring", "strict"])
async def test_every_server_gives_alternatives(dialect: Dialect) -> None:
    async with CompletionServer(dialect=dialect) as server:
        events = await complete(server, Options(n=3), seed=0)
        assert texts(events) == server.texts[:3]
        assert isinstance(events[-1], Finished)
        assert sum(isinstance(event, Started) for event in events) <= 2
        assert sorted({event.index for event in events if isinstance(event, ChoiceEnded)}) == [0, 1, 2]
        by_requests = dialect in ("llamacpp", "llamacpp-old", "ignoring")
        assert declined(events) == (["n"] if by_requests else [])
        before = len(server.prompts)
        again = await complete(server, Options(n=3), seed=0)
        assert texts(again) == server.texts[:3]
        assert declined(again) == declined(events)
        # What was learned saves the request that would be refused.
        assert len(server.prompts) - before == (3 if by_requests else 1)


async def test_llama_cpp_with_slots_enough_gives_them_at_once() -> None:
    async with CompletionServer(dialect="llamacpp", slots=4) as server:
        assert texts(await complete(server, Options(n=3))) == server.texts[:3]
        assert len(server.prompts) == 1


@pytest.mark.parametrize("dialect", ["vllm", "llamacpp", "sglang"])
async def test_every_form_of_probabilities_is_read(dialect: Dialect) -> None:
    async with CompletionServer(dialect=dialect) as server:
        events = await complete(server, Options(logprobs=3))
    tokens = [token for event in events if isinstance(event, Delta) for token in event.tokens]
    assert [token.text for token in tokens] == TextReply(server.texts[0]).tokens()
    assert all(len(token.candidates) == 3 and token.candidates[0].text == token.text for token in tokens)
    assert declined(events) == []


async def test_probabilities_that_never_come_are_told_and_not_asked_for_again() -> None:
    async with CompletionServer(dialect="ignoring") as server:
        assert declined(await complete(server, Options(logprobs=3))) == ["logprobs"]
        await complete(server, Options(logprobs=3))
        assert ["logprobs" in request.json for request in server.prompts] == [True, False]


@pytest.mark.parametrize("dialect", ["vllm", "sglang"])
@pytest.mark.parametrize("count", [1, 2])
async def test_an_echoed_prompt_is_told_once_and_is_no_part_of_the_reply(dialect: Dialect, count: int) -> None:
    async with CompletionServer(dialect=dialect) as server:
        events = await complete(server, Options(n=count, logprobs=2, echo=True))
    echoed = [event for event in events if isinstance(event, Echoed)]
    assert [event.text for event in echoed] == [PROMPT]
    assert "".join(token.text for token in echoed[0].tokens[1:]) == PROMPT
    assert texts(events) == server.texts[:count]
    tokens = [token.text for event in events if isinstance(event, Delta) and not event.index for token in event.tokens]
    assert "".join(tokens) == server.texts[0]


async def test_echo_is_left_out_where_the_kind_of_server_lacks_it_and_declined_where_it_does_nothing() -> None:
    async with CompletionServer(dialect="llamacpp") as server:
        assert declined(await complete(server, Options(echo=True))) == ["echo"]
        assert "echo" not in server.prompts[0].json
    async with CompletionServer(dialect="ignoring") as server:
        events = await complete(server, Options(echo=True))
        assert declined(events) == ["echo"]
        assert texts(events) == server.texts[:1]


async def test_a_prompt_that_comes_back_changed_is_told_with_the_place() -> None:
    async with CompletionServer(texts=[PROMPT.replace("\t", " ") + " there"], dialect="ignoring") as server:
        events = await complete(server, Options(echo=True))
    (change,) = (event for event in events if isinstance(event, Declined))
    assert "differs after 11 bytes" in change.message
    assert texts(events) == server.texts


async def test_options_that_a_strict_server_refuses_are_left_out_one_by_one_and_told() -> None:
    async with CompletionServer(dialect="strict") as server:
        events = await complete(server, Options(add_special_tokens=False), top_k=40, min_p=0.1, repetition_penalty=1.2)
        assert sorted(declined(events)) == ["add_special_tokens", "min_p", "repetition_penalty", "top_k"]
        assert texts(events) == server.texts[:1]
        known = refused(parse_url(server.url), MODEL)
        assert "Unrecognized request argument supplied: top_k" in known["top_k"]
        await complete(server, Options(), top_k=40)
    assert "top_k" not in server.prompts[-1].json


async def test_llama_cpp_gets_its_own_name_for_the_repetition_penalty() -> None:
    async with CompletionServer(dialect="llamacpp") as server:
        await complete(server, Options(), repetition_penalty=1.3)
    assert server.prompts[0].json["repeat_penalty"] == 1.3
    assert "repetition_penalty" not in server.prompts[0].json


async def test_a_value_that_is_refused_is_no_lesson() -> None:
    async with CompletionServer() as server:
        events = await complete(server, Options(logprobs=30))
        assert isinstance(events[-1], Failed)
        assert "greater than max allowed: 20" in events[-1].message
        assert declined(events) == []


@pytest.mark.parametrize(
    ("status", "said", "sent", "option"),
    [
        (400, "Only no echo is supported", {"echo": True}, "echo"),
        (400, "Only one completion choice is allowed", {"n": 2}, "n"),
        (500, "Only one completion choice is allowed", {"n": 1}, None),
        (422, '{"detail":[{"loc":["body","min_p"],"msg":"Extra inputs are not permitted"}]}', {"min_p": 0.1}, "min_p"),
        (400, "Unsupported parameter: 'logprobs'", {"logprobs": 5}, "logprobs"),
        (400, "prompt_logprobs is not supported", {"prompt_logprobs": 1, "logprobs": 1}, "prompt_logprobs"),
        (400, "temperature must be non-negative", {"temperature": -1, "top_p": 1}, None),
        (400, "top_p must be in (0, 1], got 3", {"top_p": 3}, None),
        (429, "echo is not supported", {"echo": True}, None),
        (400, "response_format is not supported by this model", {"response_format": {}}, "response_format"),
    ],
)
def test_what_a_refusal_teaches(status: int, said: str, sent: dict[str, object], option: str | None) -> None:
    assert lesson(status, said, sent) == option


async def score(server: CompletionServer, **more: object) -> list[StreamEvent]:
    """All events of scoring PROMPT."""
    endpoint = parse_url(server.url)
    introduce(endpoint, MODEL, server.owner())
    async with aclosing(stream_score(endpoint, MODEL, PROMPT, 3, **more)) as events:  # type: ignore[arg-type]
        return [event async for event in events]


@pytest.mark.parametrize("dialect", ["vllm", "sglang"])
async def test_a_text_is_scored_by_prompt_logprobs_or_echo(dialect: Dialect) -> None:
    import math

    async with CompletionServer(dialect=dialect) as server:
        events = await score(server)
        asked = server.prompts[-1].json
    (echoed,) = (event for event in events if isinstance(event, Echoed))
    assert "".join(token.text for token in echoed.tokens if token.logprob is not None) == PROMPT
    numbers = [token.logprob for token in echoed.tokens if token.logprob is not None]
    assert math.exp(-sum(numbers) / len(numbers)) == pytest.approx(perplexity_of(PROMPT))
    assert ("prompt_logprobs" in asked, "echo" in asked) == ((True, False) if dialect == "vllm" else (False, True))
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("dialect", ["llamacpp", "ignoring"])
async def test_a_server_that_cannot_score_is_told_in_a_sentence(dialect: Dialect) -> None:
    async with CompletionServer(dialect=dialect) as server:
        events = await score(server)
    assert isinstance(events[-1], Failed)
    assert "cannot be scored" in events[-1].message
    assert events[-1].exit_code == 5


async def test_pictures_are_scored_through_the_raw_template_without_figures_of_their_own() -> None:
    from stubs.parts import image

    prompt = "A <|image|> is"
    async with CompletionServer() as server:
        parts = [TextPart("A "), image(), TextPart(" is")]
        endpoint = parse_url(server.url)
        stream = stream_score(endpoint, MODEL, prompt, 2, parts=parts, managed=True, add_special_tokens=False)
        async with aclosing(stream) as found:
            events = [event async for event in found]
        asked = server.requests[-1]
    assert asked.path == "/v1/chat/completions"
    assert asked.json["chat_template_kwargs"] == {"raw": True, "bos": False}
    (echoed,) = (event for event in events if isinstance(event, Echoed))
    assert echoed.text == prompt


async def test_a_chat_gives_alternatives_and_probabilities_too() -> None:
    turns = [Turn("user", (TextPart("hi"),))]
    async with CompletionServer(reply=Reply("Yes.")) as server:
        endpoint = parse_url(server.url)
        stream = stream_chat(endpoint, MODEL, turns, Sampling(), options=Options(n=2, logprobs=4))
        async with aclosing(stream) as found:
            events = [event async for event in found]
    body = server.prompts[0].json
    assert (body["n"], body["logprobs"], body["top_logprobs"]) == (2, True, 4)
    # The stub ignores both in a chat: they are told, and the second alternative is asked for by itself.
    assert declined(events) == ["logprobs", "n"]
    assert texts(events) == ["Yes.", "Yes."]
