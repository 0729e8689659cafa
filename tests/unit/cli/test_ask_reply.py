"""`gemma-tui ask` with a system message, alternatives, probabilities and a schema."""

# ruff: noqa: F811 (fixtures of the other file are imported and then named as arguments)

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stubs.completion_server import CompletionServer
from stubs.openai_server import OpenAIServer, Reply
from unit.cli.test_ask import Ask, ask, one_sentence, own_folders  # noqa: F401 (fixtures)

SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}


async def test_a_system_message_goes_first(ask: Ask) -> None:
    async with OpenAIServer() as server:
        assert (await ask("Hi", "--system", "Be brief.", "--url", server.url)).code == 0
        assert server.prompts[0].json["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ]
    one_sentence(await ask("Hi", "--raw", "--system", "x", "--url", "http://127.0.0.1:9"), 2, "--raw")


async def test_alternatives_follow_one_another_with_headings(ask: Ask) -> None:
    async with CompletionServer(texts=["one\n", "two", "three"]) as server:
        result = await ask("x", "--raw", "--n", "3", "--url", server.url)
        assert result.out.decode() == "--- 1 of 3 ---\none\n--- 2 of 3 ---\ntwo\n--- 3 of 3 ---\nthree"
        assert (result.code, result.err) == (0, "")
        assert server.prompts[0].json["n"] == 3


async def test_a_server_without_alternatives_is_asked_several_times_and_that_is_told(ask: Ask) -> None:
    async with CompletionServer(dialect="llamacpp-old", texts=["one", "two"]) as server:
        result = await ask("x", "--raw", "--n", "2", "--seed", "0", "--url", server.url)
    assert result.out.decode() == "--- 1 of 2 ---\none\n--- 2 of 2 ---\ntwo"
    assert result.err.startswith("gemma-tui: without n: ")
    assert "Only one completion choice is allowed" in result.err


async def test_probabilities_go_to_standard_error_and_the_reply_stays_alone(ask: Ask) -> None:
    async with CompletionServer(texts=["one\x1b two"]) as server:
        result = await ask("x", "--raw", "--logprobs", "2", "--url", server.url)
        assert result.out == b"one\x1b two"
        first, second = result.err.splitlines()
        assert first.startswith('"one\\u001b"')
        assert '" other1"' in first
        assert second.split()[0] == '"'
        as_json = json.loads((await ask("x", "--raw", "--json", "--logprobs", "2", "--url", server.url)).out)
    assert [token["token"] for token in as_json["logprobs"]] == ["one\x1b", " two"]
    assert as_json["logprobs"][0]["top"][0] == ["one\x1b", as_json["logprobs"][0]["logprob"]]


async def test_json_lists_the_alternatives(ask: Ask) -> None:
    async with CompletionServer(texts=["one", "two"]) as server:
        answer = json.loads((await ask("x", "--raw", "--json", "--n", "2", "--url", server.url)).out)
    assert answer["text"] == "one"
    assert answer["choices"] == [
        {"text": "one", "finish_reason": "stop"},
        {"text": "two", "finish_reason": "stop"},
    ]


async def test_a_schema_goes_along_and_the_reply_must_be_json(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    async with OpenAIServer(reply=Reply('{"colour": "red"}')) as server:
        result = await ask("What colour?", "--schema", str(file), "--url", server.url)
        assert (result.code, result.out) == (0, b'{"colour": "red"}')
        assert server.prompts[0].json["response_format"]["json_schema"]["schema"] == SCHEMA
        server.reply = Reply("It is red.")
        ignored = await ask("What colour?", "--schema", str(file), "--url", server.url)
        assert (ignored.code, ignored.out) == (4, b"It is red.")
        assert "did not hold it to the schema" in ignored.err
        server.reply = Reply('{"colour": "a very long one"}')
        cut = await ask("What colour?", "--schema", str(file), "--max-tokens", "2", "--url", server.url)
        assert "raise --max-tokens" in cut.err


async def test_a_server_without_schemas_is_told_before_anything_is_written(
    ask: Ask,
    tmp_path: Path,
) -> None:
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    async with OpenAIServer(refused_options=("response_format",)) as server:
        one_sentence(await ask("x", "--schema", str(file), "--url", server.url), 4, "cannot hold a reply to a schema")


@pytest.mark.parametrize(("text", "hint"), [(None, "cannot be read"), ("{", "is no JSON"), ("[]", "must be an object")])
async def test_a_schema_that_is_none_is_told_in_a_sentence(
    ask: Ask,
    tmp_path: Path,
    text: str | None,
    hint: str,
) -> None:
    file = tmp_path / "schema.json"
    if text is not None:
        file.write_text(text)
    one_sentence(await ask("x", "--schema", str(file), "--url", "http://127.0.0.1:9"), 5, hint)


@pytest.mark.parametrize(
    "words", [["--n", "0"], ["--n", "x"], ["--n", "65"], ["--logprobs", "21"], ["--logprobs", "-1"]]
)
async def test_numbers_out_of_range_exit_with_2(ask: Ask, words: list[str]) -> None:
    result = await ask("hi", *words)
    assert (result.code, result.out) == (2, b"")
    assert "must be a whole number from" in result.err
