"""Replies over real sockets: what comes through, what a server does not accept, and each way to break off."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
import trustme

from gemma_backend.chat import quirks
from gemma_backend.chat.stream import Patience, stream_chat, stream_completion, stream_raw
from gemma_backend.endpoint.address import parse_url
from gemma_backend.types import (
    Delta,
    Endpoint,
    Failed,
    Finished,
    ImagePart,
    Sampling,
    Started,
    StreamEvent,
    TextPart,
    Turn,
    Usage,
)
from stubs.openai_server import OpenAIServer, Reply, mixed_markdown

TEXT = "häl€ 😀 there, this is a reply."
IMAGE = ImagePart(b"\x89PNG", "image/png", "a.png", 1, 1, "d1")
QUICK = Patience(first=10.0, stall=0.3)


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test's server did not accept is not remembered for the next."""
    monkeypatch.setattr(quirks, "_remembered", {})


def asked(text: str = "Hi", *parts: ImagePart) -> list[Turn]:
    """A conversation of one question."""
    return [Turn("user", (*parts, TextPart(text)))]


def text_of(events: list[StreamEvent]) -> str:
    """The text of a reply."""
    return "".join(event.text for event in events if isinstance(event, Delta))


async def chat(
    endpoint: Endpoint, turns: list[Turn] | None = None, sampling: Sampling | None = None, model: str = "stub/model"
) -> list[StreamEvent]:
    """All events of one reply."""
    stream = stream_chat(endpoint, model, turns or asked(), sampling or Sampling(), patience=QUICK)
    return [event async for event in stream]


async def test_a_reply_comes_whole_and_in_order() -> None:
    text = mixed_markdown(300)
    async with OpenAIServer(reply=Reply(text)) as server:
        events = await chat(parse_url(server.url + "/v1", api_key="k"))
        request = server.prompts[0]
    assert isinstance(events[0], Started)
    assert text_of(events) == text
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.reason == "stop"
    assert last.ttft is not None and last.seconds is not None and 0 < last.ttft <= last.seconds
    usage = [event for event in events if isinstance(event, Usage)][-1]
    assert usage.completion_tokens == len(Reply(text).tokens())
    assert request.headers["authorization"] == "Bearer k"
    assert request.json["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


async def test_a_completion_sends_the_prompt_byte_for_byte() -> None:
    prompt = "\n  € tab\t \r\n"
    async with OpenAIServer(reply=Reply(" and so on\n\n")) as server:
        stream = stream_completion(parse_url(server.url), "stub/model", prompt, Sampling(max_tokens=50))
        events = [event async for event in stream]
        assert server.prompts[0].path == "/v1/completions"
        assert server.prompts[0].json["prompt"] == prompt
    assert text_of(events) == " and so on\n\n"


async def test_a_reply_over_a_socket_and_over_tls(tmp_path: Path) -> None:
    async with OpenAIServer(socket=str(tmp_path / "s"), reply=Reply(TEXT)) as server:
        assert text_of(await chat(parse_url(server.url))) == TEXT
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with OpenAIServer(tls=context, reply=Reply(mixed_markdown(2000), rate=4000)) as server:
        events = await chat(parse_url(server.url, insecure=True))
        assert text_of(events) == mixed_markdown(2000)
        failed = (await chat(parse_url(server.url)))[-1]
    assert isinstance(failed, Failed)
    assert "--ca-file" in failed.message


async def test_nothing_of_an_openai_account_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "account-key")
    monkeypatch.setenv("OPENAI_ORG_ID", "account-org")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "account-project")
    async with OpenAIServer() as server:
        await chat(parse_url(server.url))
        sent = str(server.prompts[0].headers)
    assert "account" not in sent
    assert "authorization" not in sent


async def test_many_tokens_come_in_few_events() -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(400), rate=400)) as server:
        events = await chat(parse_url(server.url))
        seconds = events[-1].seconds if isinstance(events[-1], Finished) else None
    assert text_of(events) == mixed_markdown(400)
    assert seconds is not None
    deltas = sum(isinstance(event, Delta) for event in events)
    # One in 50 ms, and a few more around the first token and the end.
    assert deltas <= seconds / 0.05 + 5


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        ("cut", "was cut in mid-reply"),
        ("close", "was cut in mid-reply"),
        ("stall", "sent nothing for"),
        ("garbage", "no part of an OpenAI reply"),
        ("wrong-types", "no text"),
        ("error", "EngineCore encountered an issue"),
        ("long-event", "MiB"),
        ("binary", "no part of an OpenAI reply"),
    ],
)
@pytest.mark.parametrize("after", [0, 3])
async def test_a_reply_that_breaks_off_keeps_what_came(fault: str, hint: str, after: int) -> None:
    reply = Reply(TEXT, fault=fault, after=after)  # type: ignore[arg-type]
    async with OpenAIServer(reply=reply) as server:
        events = await chat(parse_url(server.url))
    last = events[-1]
    assert isinstance(last, Failed)
    assert hint in last.message
    assert last.message.endswith(".")
    assert last.exit_code == 4
    assert text_of(events) == "".join(reply.tokens()[:after])


@pytest.mark.parametrize("fault", ["split-utf8", "drip", "huge-usage", "null-usage", "no-done", "no-chunking"])
async def test_oddities_that_lose_nothing(fault: str) -> None:
    async with OpenAIServer(reply=Reply(TEXT, fault=fault)) as server:  # type: ignore[arg-type]
        events = await chat(parse_url(server.url))
    assert text_of(events) == TEXT
    assert isinstance(events[-1], Finished)


async def test_a_reply_in_one_piece_is_read_too() -> None:
    async with OpenAIServer(reply=Reply(TEXT, fault="one-piece", after=0)) as server:
        events = await chat(parse_url(server.url))
    assert text_of(events) == TEXT
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("continuous_only", [True, False])
async def test_a_server_that_does_not_count_is_asked_without(continuous_only: bool) -> None:
    refused = ("continuous_usage_stats",) if continuous_only else ("stream_options",)
    async with OpenAIServer(reply=Reply(TEXT), refused_options=refused) as server:
        endpoint = parse_url(server.url)
        events = await chat(endpoint)
        assert text_of(events) == TEXT
        assert any(isinstance(event, Usage) for event in events) is continuous_only
        attempts = len(server.prompts)
        await chat(endpoint)
        assert len(server.prompts) == attempts + 1


async def test_a_server_that_wants_max_completion_tokens_gets_them() -> None:
    def refuse_old(_: object) -> Reply:
        return Reply(TEXT)

    async with OpenAIServer(reply=refuse_old) as server:
        endpoint = parse_url(server.url)
        message = b"Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
        server.answers = {"/v1/chat/completions": (400, {}, b'{"error": {"message": "%s"}}' % message)}
        first = (await chat(endpoint, sampling=Sampling(max_tokens=2)))[-1]
        assert isinstance(first, Failed)
        assert "max_tokens" in server.prompts[0].json
        assert server.prompts[1].json["max_completion_tokens"] == 2
        server.answers = {}
        assert (await chat(endpoint, sampling=Sampling(max_tokens=2)))[-1] != first


async def test_without_a_chat_template_the_transcript_is_sent() -> None:
    turns = [*asked("Hi"), Turn("assistant", (TextPart(" Hello."),)), *asked("And?")]
    async with OpenAIServer(reply=Reply("  Well then."), template=False, models=["gemma-3-pt"]) as server:
        endpoint = parse_url(server.url)
        events = await chat(endpoint, turns, model="gemma-3-pt")
        assert text_of(events) == "Well then."
        assert [request.path for request in server.prompts] == ["/v1/chat/completions", "/v1/completions"]
        sent = server.prompts[-1].json
        assert sent["prompt"] == "User: Hi\nAssistant: Hello.<eos>\nUser: And?\nAssistant:"
        assert sent["stop"] == ["\nUser:"]
        await chat(endpoint, turns, model="gemma-3-pt")
        assert [request.path for request in server.prompts[2:]] == ["/v1/completions"]


async def test_without_a_chat_template_pictures_get_a_sentence() -> None:
    async with OpenAIServer(template=False) as server:
        events = await chat(parse_url(server.url), asked("what is it?", IMAGE))
        assert all(request.path != "/v1/completions" for request in server.prompts)
    assert len(events) == 1
    assert isinstance(events[0], Failed)
    assert events[0].exit_code == 5
    assert "--chat-template" in events[0].message


async def test_raw_text_with_a_picture_goes_through_the_raw_template() -> None:
    parts = [TextPart("a "), IMAGE, TextPart(" b")]
    async with OpenAIServer(trusts_templates=True) as server:
        endpoint = parse_url(server.url)
        async with aclosing(stream_raw(endpoint, "stub/model", parts, Sampling(), managed=False)) as events:
            assert isinstance([event async for event in events][-1], Finished)
        assert "{%- for message in messages -%}" in server.prompts[0].json["chat_template"]
        async with aclosing(stream_raw(endpoint, "stub/model", parts, Sampling(), managed=True)) as events:
            assert isinstance([event async for event in events][-1], Finished)
        assert server.prompts[1].json["chat_template_kwargs"] == {"raw": True}
        assert "chat_template" not in server.prompts[1].json
    async with OpenAIServer() as server:
        stream = stream_raw(parse_url(server.url), "stub/model", parts, Sampling(), managed=False)
        last = [event async for event in stream][-1]
    assert isinstance(last, Failed)
    assert "--trust-request-chat-template" in last.message
    assert last.exit_code == 5


@pytest.mark.parametrize(
    ("status", "body", "code", "hint"),
    [
        (401, b'{"error": "Unauthorized"}', 4, "wants an API key"),
        (403, b"", 4, "wants an API key"),
        (404, b'{"error": {"message": "The model `x` does not exist."}}', 4, "does not exist"),
        (404, b"<html>", 4, "no OpenAI server"),
        (400, b'{"error": {"message": "At most 1 image(s) may be provided in one prompt."}}', 5, "At most 1 image"),
        (400, b'{"error": {"message": "maximum context length is 10 tokens"}}', 5, "longer than the model's context"),
        (500, b"oops", 4, "look into its log"),
        (503, b'{"error": {"message": "Loading model"}}', 4, "Loading model"),
        (200, b"<html>hello</html>", 4, "no OpenAI server"),
        (200, b"{}", 4, "no OpenAI server"),
        (200, b'{"error": "queue full"}', 4, "queue full"),
        (307, b"", 4, "--url"),
    ],
)
async def test_refusals_get_a_sentence(status: int, body: bytes, code: int, hint: str) -> None:
    async with OpenAIServer() as server:
        server.answers = {"/v1/chat/completions": (status, {"Location": "/x"} if status == 307 else {}, body)}
        events = await chat(parse_url(server.url))
    assert len([event for event in events if isinstance(event, Failed)]) == 1
    last = events[-1]
    assert isinstance(last, Failed)
    assert hint in last.message
    assert last.exit_code == code


async def test_a_refusal_without_end_is_cut_short() -> None:
    sent = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\n\r\n")
        with suppress(ConnectionError):
            while sent < 1 << 28:
                writer.write(b"no " * 10_000)
                await writer.drain()
                sent += 30_000
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        last = (await chat(parse_url(f"http://{host}:{port}")))[-1]
    assert isinstance(last, Failed)
    assert "look into its log" in last.message
    assert sent < 1 << 26


@pytest.mark.parametrize("said", ["Try later.", "still loading..."])
async def test_a_servers_own_sentence_is_left_as_it_is(said: str) -> None:
    for type_, body in (("text/event-stream", b'data: {"error": "%s"}\n\n'), ("application/json", b'{"error": "%s"}')):
        async with OpenAIServer() as server:
            server.answers = {"/v1/chat/completions": (200, {"Content-Type": type_}, body % said.encode())}
            last = (await chat(parse_url(server.url)))[-1]
        assert isinstance(last, Failed)
        assert last.message.endswith(f"with an error: {said}")


async def test_a_prompt_is_not_sent_on_to_another_address() -> None:
    async with OpenAIServer() as elsewhere, OpenAIServer() as server:
        target = {"Location": f"{elsewhere.url}/v1/chat/completions"}
        server.answers = {"/v1/chat/completions": (308, target, b"")}
        await chat(parse_url(server.url, api_key="k"))
        assert elsewhere.requests == []


async def test_nothing_listens() -> None:
    async with OpenAIServer() as server:
        endpoint = parse_url(server.url)
    events = await chat(endpoint)
    assert len(events) == 1
    assert isinstance(events[0], Failed)
    assert "Nothing listens" in events[0].message


async def test_closing_the_stream_ends_the_generating() -> None:
    async with OpenAIServer(reply=Reply("word " * 10_000, rate=100)) as server:
        stream = stream_chat(parse_url(server.url), "stub/model", asked(), Sampling())
        async for event in stream:
            if isinstance(event, Delta):
                break
        assert server.running == 1
        await stream.aclose()
        await server.until(running=0, aborted=1)


async def test_cancelling_before_the_first_token_ends_the_request() -> None:
    async with OpenAIServer(reply=Reply(delay=1000)) as server:

        async def consume(events: AsyncIterator[StreamEvent]) -> None:
            async for _ in events:
                pass

        task = asyncio.create_task(consume(stream_chat(parse_url(server.url), "stub/model", asked(), Sampling())))
        await server.until(running=1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(running=0, aborted=1)


async def test_replies_side_by_side_do_not_mix() -> None:
    def echo(request: object) -> Reply:
        return Reply(request.json["messages"][0]["content"] * 50, rate=500)  # type: ignore[attr-defined]

    async with OpenAIServer(reply=echo) as server:
        endpoint = parse_url(server.url)
        replies = await asyncio.gather(*(chat(endpoint, asked(f"w{number} ")) for number in range(5)))
    assert [text_of(events) for events in replies] == [f"w{number} " * 50 for number in range(5)]


async def test_faults_leave_nothing_open_behind() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with OpenAIServer() as server:
        endpoint = parse_url(server.url)
        await chat(endpoint)
        before, tasks = open_files(), len(asyncio.all_tasks())
        for fault in ("cut", "close", "garbage", "long-event", "binary", "stall", "no-chunking", None) * 3:
            server.reply = Reply(TEXT, fault=fault)  # type: ignore[arg-type]
            await chat(endpoint)
        await server.until(running=0)
        assert len(asyncio.all_tasks()) <= tasks + 1
        assert open_files() <= before + 1
