"""`bench` against servers whose delays, counts and faults are known."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import os
import random
import re
import statistics
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gemma_backend.evaluate.bench.drive import Driver, Progress
from gemma_backend.evaluate.bench.prompts import Questions, Scale
from gemma_backend.evaluate.bench.records import ClientLoad, Report, Round, Target
from gemma_backend.evaluate.bench.reply import Reply as ReadReply
from gemma_backend.evaluate.bench.summary import summarise
from gemma_backend.evaluate.bench.tables import remarks
from gemma_backend.evaluate.bench.wire import Wires
from gemma_backend.evaluate.bench.workload import Pace, Span, Workload, arrivals
from gemma_backend.types import Endpoint, EndpointError
from stubs.openai_server import OpenAIServer, Reply
from stubs.replies import mixed_markdown

WORKLOAD = Workload(prompt_tokens=Span(50, 50), output_tokens=Span(12, 12))


async def measured(url: str, pace: Pace, workload: Workload = WORKLOAD) -> Round:
    driver = Driver(Wires(Endpoint(url)), "stub/model", workload)
    try:
        await driver.prepare()
        return await driver.round(pace)
    finally:
        driver.close()


@asynccontextmanager
async def steady(delay: float, gap: float) -> AsyncIterator[str]:
    """The server with set delays, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stubs.steady_server", str(delay), str(gap)),
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.terminate()
        await process.wait()


async def test_latencies_are_those_that_the_server_wrote_down() -> None:
    """Within 2%: the first token, the gaps, the time for each token, and the whole.

    What else runs on the machine can delay what is read in one round; a fault of ours would do so in each.
    """
    apart = []
    for _ in range(4):
        apart = [name for name, (ours, true) in (await compared()).items() if ours != pytest.approx(true, rel=0.02)]
        if not apart:
            break
    assert apart == []


async def compared() -> dict[str, tuple[float, float]]:
    """What a round of ten requests measured, each with what the server says of it."""
    async with steady(1.0, 0.1) as url:
        one = await measured(url, Pace(concurrency=5, requests=10, warmup=1))
        answer = await asyncio.to_thread(urllib.request.urlopen, f"{url}/times")
        # Two that count tokens and one to warm up come before.
        times = json.loads(answer.read())[3:]
    assert len(times) == len(one.asked) == 10
    true = {
        "ttft": [each[1] - each[0] for each in times],
        "itl": [later - earlier for each in times for earlier, later in itertools.pairwise(each[1:])],
        "tpot": [(each[-1] - each[1]) / (len(each) - 2) for each in times],
        "e2e": [each[-1] - each[0] for each in times],
    }
    found = summarise(one)
    assert found.failed == 0
    assert found.output_tokens == 12
    rate = 10 * 12 / (max(map(max, times)) - min(map(min, times)))
    medians = {name: (getattr(found, name).p50, statistics.median(values)) for name, values in true.items()}
    return medians | {"output_rate": (found.output_rate, rate)}


def test_latencies_of_known_moments_by_hand() -> None:
    """No clock at all: bytes with the moments at which they came."""
    reply = ReadReply(lambda at: None)
    for text, at in (("Hel", 10.5), ("", 10.6), ("lo", 10.9)):
        body = {"choices": [{"text": text, "finish_reason": None}]}
        reply.take(b"data: " + json.dumps(body).encode() + b"\n\n", at)
    last = {"choices": [{"text": "", "finish_reason": "length"}], "usage": None}
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}
    reply.take(b"".join(b"data: " + json.dumps(body).encode() + b"\n\n" for body in (last, usage)), 11.0)
    assert not reply.done
    reply.take(b"data: [DONE]\n\n", 11.1)
    assert reply.done
    asked = reply.record(sent=10.0, begun=8.0, kind="text")
    assert (asked.at, asked.ttft, asked.e2e) == (2.0, 0.5, 0.9)
    assert asked.itl == pytest.approx((0.1, 0.3))
    assert (asked.prompt_tokens, asked.output_tokens, asked.pieces) == (7, 5, 3)
    assert asked.tpot == pytest.approx(0.1)


def test_a_chat_begins_with_text_and_not_with_a_role() -> None:
    reply = ReadReply(lambda at: None)
    reply.take(b'data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n', 1.0)
    reply.take(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}\n\n', 2.0)
    assert list(reply.times) == [2.0]


async def test_tokens_are_counted_from_usage_and_not_from_events() -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(12), chunk=4)) as server:
        one = await measured(server.url, Pace(requests=2, warmup=0))
    assert [(asked.output_tokens, asked.pieces) for asked in one.asked] == [(12, 3), (12, 3)]
    assert sum(one.tokens_by_second) == pytest.approx(24)


async def test_prompts_have_the_wanted_length_and_replies_too() -> None:
    workload = Workload(prompt_tokens=Span(200, 300), output_tokens=Span(3, 9))
    async with OpenAIServer(reply=Reply(mixed_markdown(50))) as server:
        one = await measured(server.url, Pace(requests=12, warmup=0), workload)
        bodies = [request.json for request in server.prompts[2:]]
    assert all(190 <= (asked.prompt_tokens or 0) <= 315 for asked in one.asked)
    assert sorted({body["max_tokens"] for body in bodies}) == sorted({asked.output_tokens for asked in one.asked})
    assert all(3 <= asked.output_tokens <= 9 for asked in one.asked)
    assert all(body["ignore_eos"] and body["stream_options"] == {"include_usage": True} for body in bodies)


async def test_no_more_at_once_than_asked_for_and_all_of_them() -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(12), rate=200)) as server:
        most: list[int] = []

        async def look() -> None:
            while True:
                most.append(server.running)
                await asyncio.sleep(0.005)

        looking = asyncio.create_task(look())
        await measured(server.url, Pace(concurrency=5, requests=20, warmup=0))
        looking.cancel()
    assert max(most) == 5


async def test_after_its_time_a_round_finishes_what_is_under_way() -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(12), rate=40)) as server:
        one = await measured(server.url, Pace(concurrency=2, seconds=0.5, warmup=0))
    assert 4 <= len(one.asked) <= 6
    assert all(not asked.error and asked.output_tokens == 12 for asked in one.asked)
    assert max(asked.at for asked in one.asked) < 0.6


def test_arrivals_are_a_poisson_process() -> None:
    """Counts in windows of a second have the rate as mean and as variance, and gaps its inverse as mean."""
    moments = []
    for at in arrivals(20.0, random.Random(1)):
        if at >= 500:
            break
        moments.append(at)
    counts = Counter(int(at) for at in moments)
    windows = [counts[second] for second in range(500)]
    assert statistics.mean(windows) == pytest.approx(20, rel=0.05)
    assert statistics.variance(windows) == pytest.approx(20, rel=0.2)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert sum(gap > 0.05 for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), rel=0.05)


async def test_a_rate_sends_without_waiting_for_replies() -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(12), delay=0.5)) as server:
        one = await measured(server.url, Pace(concurrency=None, rate=100, requests=40, warmup=0))
    expected = []
    for at in arrivals(100, random.Random("arrivals 0 100")):
        expected.append(at)
        if len(expected) == 40:
            break
    sent = sorted(asked.at for asked in one.asked)
    late = [seen - due for seen, due in zip(sent, expected, strict=True)]
    assert min(late) > -0.001
    assert sent[-1] < 0.5 + expected[-1]
    assert statistics.median(late) < 0.1


def test_the_same_seed_asks_the_same_and_no_prompt_comes_twice() -> None:
    workload = Workload(mix={"text": 1, "image": 1, "audio": 1}, shared_prefix=20)

    def bodies(seed: int) -> list[bytes]:
        questions = Questions(replace(workload, seed=seed), "m", Scale())
        return [questions.make(number).body for number in range(12)]

    assert bodies(0) == bodies(0)
    assert len(set(bodies(0)) | set(bodies(1))) == 24


def test_a_shared_prefix_is_shared_and_nothing_else() -> None:
    questions = Questions(Workload(prompt_tokens=Span(60, 60), shared_prefix=25), "m", Scale(fixed=1.0, each=1.25))
    prompts = [json.loads(questions.make(number).body)["prompt"].split() for number in range(20)]
    common = next(index for index in range(99) if len({prompt[index] for prompt in prompts}) > 1)
    assert common == 25 / 1.25
    assert {len(prompt) for prompt in prompts} == {round((60 - 1) / 1.25)}


def test_kinds_come_by_their_weights_with_media_that_differ() -> None:
    questions = Questions(Workload(mix={"text": 2, "image": 1, "audio": 1}, audio_seconds=0.2), "m", Scale())
    asked = [questions.make(number) for number in range(400)]
    kinds = Counter(question.kind for question in asked)
    assert kinds["text"] == pytest.approx(200, abs=40)
    assert kinds["image"] == pytest.approx(100, abs=35)
    media = []
    for question in asked:
        content = json.loads(question.body)["messages"][0]["content"]
        if question.kind != "text":
            media.append(json.dumps(content[0]))
            assert content[0]["type"] == {"image": "image_url", "audio": "input_audio"}[question.kind]
            assert "stop" not in json.loads(question.body)
    assert len(set(media)) == len(media)


@pytest.mark.parametrize("option", ["ignore_eos", "stream_options"])
async def test_options_that_a_server_refuses_are_left_out(option: str) -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(12)), refused_options=(option,)) as server:
        one = await measured(server.url, Pace(requests=2, warmup=0))
    assert [asked.error for asked in one.asked] == ["", ""]
    # Without counts from the server, pieces of text stand for tokens.
    assert [asked.output_tokens for asked in one.asked] == [12, 12]
    assert (one.asked[0].prompt_tokens is None) == (option == "stream_options")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("cut", "reset|mid-reply"),
        ("close", "mid-reply"),
        ("garbage", "no part of an OpenAI reply"),
        ("error", "EngineCore encountered an issue"),
        ("wrong-types", "no part of an OpenAI reply"),
    ],
)
async def test_a_broken_reply_is_counted_as_failed(fault: str, said: str) -> None:
    replies = iter([Reply(mixed_markdown(12))] * 3 + [Reply(mixed_markdown(12), fault=fault)] * 9)  # type: ignore[arg-type]
    async with OpenAIServer(reply=lambda request: next(replies)) as server:
        one = await measured(server.url, Pace(requests=2, warmup=0))
    found = summarise(one)
    assert (found.requests, found.failed) == (1, 1)
    assert any(re.search(said, asked.error) for asked in one.asked)
    assert found.output_rate == pytest.approx(12 / one.seconds)


async def test_a_server_where_nothing_works_is_one_sentence() -> None:
    replies = iter([Reply(mixed_markdown(12))] * 2 + [Reply("x", fault="close", after=0)] * 99)
    async with OpenAIServer(reply=lambda request: next(replies)) as server:
        with pytest.raises(EndpointError, match=r"Every request failed: .*mid-reply"):
            await measured(server.url, Pace(concurrency=4, requests=60, warmup=0))
        assert len(server.prompts) < 40
    async with OpenAIServer(models=["another"]) as server:
        with pytest.raises(EndpointError, match="does not exist"):
            await measured(server.url, Pace())


async def test_an_interrupted_round_keeps_what_was_finished() -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(12), rate=60)) as server:
        driver = Driver(Wires(Endpoint(server.url)), "stub/model", WORKLOAD)
        await driver.prepare()
        seen: list[Progress] = []
        task = asyncio.create_task(driver.round(Pace(concurrency=2, requests=500, warmup=0), seen.append))
        # Two of them count tokens.
        await server.until(finished=8)
        task.cancel()
        one = await task
        driver.close()
        await server.until(running=0)
    assert one.interrupted
    assert 5 <= len(one.asked) <= 8
    assert seen[-1].done == len(one.asked)
    assert sum(seen[-1].by_second) >= 12 * len(one.asked)


async def test_a_busy_client_is_told_from_a_slow_server() -> None:
    async with OpenAIServer(reply=Reply(mixed_markdown(12), rate=60)) as server:
        calm = await measured(server.url, Pace(requests=2, warmup=0))

        async def busy() -> None:
            while True:
                sum(range(2_000_000))
                await asyncio.sleep(0)

        task = asyncio.create_task(busy())
        loaded = await measured(server.url, Pace(requests=2, warmup=0))
        task.cancel()
    assert calm.client.cpu < loaded.client.cpu
    assert loaded.client.late
    said = remarks(Report(Target("u", "m"), {}, (replace(loaded, client=ClientLoad(0.99, 0.2)),)))
    assert said == [
        "1 at once: this client was the bottleneck (99% of its one core): the server can do more than is shown."
    ]
    (said,) = remarks(Report(Target("u", "m"), {}, (replace(loaded, client=ClientLoad(0.1, 0.2)),)))
    assert "kept the client waiting, up to 200 ms" in said
