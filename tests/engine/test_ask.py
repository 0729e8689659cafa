"""Prompts to a real vLLM on the bundled checkpoint: text, raw text, pictures, sound, several at once, cancelling."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from gemma_backend.chat.request import chat_body, transcript_prompt
from gemma_backend.config.settings import Settings
from gemma_backend.endpoint.http import client
from gemma_backend.endpoint.probe import offers
from gemma_backend.session.session import Session
from gemma_backend.types import Delta, Endpoint, Failed, Finished, Sampling, StreamEvent, TextPart, Turn
from stubs.real_engine import BackgroundEngine

pytestmark = pytest.mark.engine
MODEL = "gemma-tui/pocket"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small picture in a file."""
    path = tmp_path_factory.mktemp("media") / "a picture.png"
    Image.new("RGB", (64, 48), (200, 30, 30)).save(path)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of a tone in a file."""
    path = tmp_path_factory.mktemp("media") / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(16_000) * 0.2).astype("float32"), 16_000)
    return path


async def ask(*words: str, stdin: bytes = b"") -> dict[str, Any]:
    """What `gemma-tui ask --json` says, greedy and short."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gemma_tui", "ask", "--json", "--max-tokens", "12", "--temperature", "0", *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(stdin)
    assert process.returncode == 0, err.decode()
    answer: dict[str, Any] = json.loads(out)
    assert answer["model"] == MODEL
    assert answer["finish_reason"] in ("stop", "length")
    assert 0 < answer["completion_tokens"] <= 12
    return answer


async def metric(endpoint: Endpoint, name: str) -> float:
    """The sum of a metric over its labels."""
    async with client(endpoint) as connection:
        lines = (await connection.get("/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + "{", name + " ")))


def attached(endpoint: Endpoint) -> Session:
    """A session on the run's engine, as on a server elsewhere."""
    return Session.for_endpoint(endpoint, None, Settings())


async def test_a_prompt_joins_the_engine_that_runs(real_engine: BackgroundEngine) -> None:
    await ask("Once upon a time", "--profile", "pocket")
    assert real_engine.engine.state == "ready"


async def test_text_pictures_and_sound(real_endpoint: Endpoint, picture: Path, clip: Path) -> None:
    url = ("--url", f"unix:{real_endpoint.socket}")
    plain = await ask("What is it?", *url)
    seen = await ask("What is it?", *url, "--image", str(picture))
    heard = await ask("What is it?", *url, "--audio", str(clip))
    both = await ask("What is it?", *url, "--image", str(picture), "--audio", str(clip))
    # 40 ms a token, and the marks around them.
    assert heard["prompt_tokens"] - plain["prompt_tokens"] > 20
    assert seen["prompt_tokens"] - plain["prompt_tokens"] > 20
    gained = seen["prompt_tokens"] + heard["prompt_tokens"] - 2 * plain["prompt_tokens"]
    assert abs(both["prompt_tokens"] - plain["prompt_tokens"] - gained) <= 2


async def test_raw_text_is_continued_and_can_hold_a_picture(real_endpoint: Endpoint, picture: Path) -> None:
    url = ("--url", f"unix:{real_endpoint.socket}")
    prompt = " Once  upon\ta time\n\n"
    raw = await ask("--raw", *url, stdin=prompt.encode())
    async with client(real_endpoint) as connection:
        counted = (await connection.post("/tokenize", json={"model": MODEL, "prompt": prompt})).json()["count"]
    assert raw["prompt_tokens"] == counted
    with_picture = await ask("--raw", "--profile", "pocket", "--image", str(picture), stdin=b"A <|image|> is")
    without = await ask("--raw", *url, stdin=b"A  is")
    assert with_picture["prompt_tokens"] - without["prompt_tokens"] > 20


async def test_the_servers_transcript_and_ours_are_the_same_tokens(real_endpoint: Endpoint) -> None:
    turns = [
        Turn("system", (TextPart("Be brief."),)),
        Turn("user", (TextPart("Hi"),)),
        Turn("assistant", (TextPart(" Hello.\n"),)),
        Turn("user", (TextPart("And?"),)),
    ]
    messages = chat_body(turns, Sampling(), MODEL)["messages"]
    async with client(real_endpoint) as connection:
        chat = await connection.post("/tokenize", json={"model": MODEL, "messages": messages})
        text = await connection.post("/tokenize", json={"model": MODEL, "prompt": transcript_prompt(turns)})
    assert chat.json()["tokens"] == text.json()["tokens"]
    # <bos>, once.
    assert chat.json()["tokens"][0] == 2
    assert chat.json()["tokens"].count(2) == 1


async def test_an_engine_offers_what_a_screen_needs(real_endpoint: Endpoint) -> None:
    offer = await offers(real_endpoint)
    assert [model.id for model in offer.models] == [MODEL]
    assert offer.models[0].max_model_len == 4096
    assert offer.version
    assert offer.has_metrics
    assert offer.has_tokenize


async def test_prompts_side_by_side(real_endpoint: Endpoint) -> None:
    async def reply(number: int) -> str:
        session = attached(real_endpoint)
        await session.start()
        sampling = Sampling(max_tokens=16, temperature=1.0, seed=number)
        events = [event async for event in session.chat([TextPart(f"Number {number}")], sampling)]
        await session.close()
        assert isinstance(events[-1], Finished)
        return "".join(event.text for event in events if isinstance(event, Delta))

    replies = await asyncio.gather(*(reply(number) for number in range(6)))
    assert len(replies) == 6
    assert any(replies)


async def test_cancelling_stops_the_generating(real_endpoint: Endpoint) -> None:
    session = attached(real_endpoint)
    await session.start()
    ends = [await cancelled(session, seed) for seed in range(5)]
    # A reply may happen to be over before it can be cancelled, but hardly five.
    assert Finished("abort") in ends
    for _ in range(100):
        if await metric(real_endpoint, "vllm:num_requests_running") == 0:
            break
        await asyncio.sleep(0.05)
    assert await metric(real_endpoint, "vllm:num_requests_running") == 0
    made = await metric(real_endpoint, "vllm:generation_tokens_total")
    await asyncio.sleep(0.5)
    assert await metric(real_endpoint, "vllm:generation_tokens_total") == made
    await session.close()


async def cancelled(session: Session, seed: int) -> StreamEvent | None:
    """The last event of a long reply that is cancelled at its first word."""
    last: StreamEvent | None = None
    async for event in session.complete("Once", Sampling(max_tokens=4000, temperature=2.0, seed=seed)):
        last = event
        if isinstance(event, Delta):
            await session.cancel()
    return last


async def test_a_prompt_beyond_the_context_is_told(real_endpoint: Endpoint) -> None:
    session = attached(real_endpoint)
    await session.start()
    events = [event async for event in session.complete("word " * 20_000)]
    await session.close()
    assert len(events) == 1
    assert isinstance(events[0], Failed)
    assert "longer than the model's context" in events[0].message
    assert events[0].exit_code == 5
