"""`/v1/completions` as vLLM, llama.cpp, SGLang and simpler servers answer it: alternatives, probabilities, echo.

The shapes are those of vLLM 0.32 (captured), of llama.cpp's `tools/server/server-task.cpp` and of SGLang's
`srt/entrypoints/openai/serving_completions.py`.
"""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stubs.openai_server import OpenAIServer, Request, _send_json
from stubs.replies import Reply

Dialect = Literal["vllm", "llamacpp", "llamacpp-old", "sglang", "ignoring", "strict"]
_OWNERS = {"llamacpp-old": "llamacpp", "ignoring": "somebody", "strict": "somebody"}
_KNOWN_TO_OPENAI = {
    "model", "prompt", "max_tokens", "temperature", "top_p", "n", "stream", "stream_options", "logprobs", "echo",
    "stop", "presence_penalty", "frequency_penalty", "seed",
}  # fmt: skip


def logprob(prompt: str, token: str) -> float:
    """A number that the same token always gets after the same text."""
    return -(1 + zlib.crc32((prompt + token).encode()) % 4000) / 1000


def candidates(prompt: str, token: str, count: int) -> list[tuple[str, float]]:
    """`token` and others that could stand after `prompt`, the likeliest first; all its own where they are texts."""
    own = logprob(prompt, token)
    others = [(f" other{number}", own - number * 0.5) for number in range(1, count)]
    return [(token, own), *others]


@dataclass
class CompletionServer(OpenAIServer):
    """Answers `/v1/completions` in one of several dialects; alternative `i` gets `texts[i]`."""

    dialect: Dialect = "vllm"
    texts: list[str] = field(default_factory=lambda: [" one two three.", " four five.", " six seven eight.", " nine."])
    slots: int = 1
    """How many alternatives llama.cpp gives at once."""
    rate: float = 0.0

    def owner(self) -> str:
        """`owned_by` in the list of models."""
        return _OWNERS.get(self.dialect, self.dialect)

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if request.path == "/v1/models":
            entries = [{"id": name, "object": "model", "owned_by": self.owner()} for name in self.models]
            return await _send_json(writer, 200, {"object": "list", "data": entries})
        body = request.json if request.method == "POST" else {}
        if request.path in ("/v1/completions", "/v1/chat/completions") and not body.get("stream"):
            if (refusal := self._refusal(request, body, "messages" in body)) is not None:
                return await _send_json(writer, refusal[0], {"error": {"message": refusal[1], "code": refusal[0]}})
            return await _send_json(writer, 200, self._whole(body))
        return await super()._answer(request, reader, writer)

    def _refusal(self, request: Request, body: dict[str, Any], chat: bool) -> tuple[int, str] | None:
        if self.dialect.startswith("llamacpp"):
            if body.get("echo"):
                return 400, "Only no echo is supported"
            if self.dialect == "llamacpp-old" and body.get("n", 1) > 1:
                return 400, "Only one completion choice is allowed"
            if body.get("n", 1) > self.slots:
                return 400, "n_cmpl cannot be greater than the number of slots, please increase -np"
        if self.dialect == "sglang" and body.get("max_tokens", 1) <= 0:
            return 400, "1 validation error: max_tokens must be positive"
        if self.dialect == "strict" and (unknown := sorted(set(body) - _KNOWN_TO_OPENAI)):
            return 400, f"Unrecognized request argument supplied: {unknown[0]}"
        if self.dialect == "vllm" and body.get("logprobs", 0) is not True and body.get("logprobs", 0) > 20:
            return 400, f"Requested sample logprobs of {body['logprobs']}, which is greater than max allowed: 20"
        return super()._refusal(request, body, chat)

    def _replies(self, body: dict[str, Any]) -> list[Reply]:
        count = body.get("n", 1) if self.dialect != "ignoring" else 1
        first = (body["seed"] if isinstance(body.get("seed"), int) else 0) if count == 1 else 0
        chosen = [self.texts[(first + index) % len(self.texts)] for index in range(count)]
        return [Reply(text) for text in chosen]

    async def _stream(self, reply: Reply, body: dict[str, Any], chat: bool, writer: asyncio.StreamWriter) -> bool:
        if chat:
            return await super()._stream(reply, body, chat, writer)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

        def send(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> None:
            chunk: dict[str, Any] = {"object": "text_completion", "model": body["model"], "choices": choices}
            if usage is not None:
                chunk["usage"] = usage
            writer.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

        prompt, limit = body["prompt"], body.get("max_tokens") or 1000
        replies = self._replies(body)
        longest = 0
        for step in range(max(len(one.tokens()) for one in replies)):
            for index, one in enumerate(replies):
                tokens = one.tokens()[:limit]
                if step < len(tokens):
                    ends = step == len(tokens) - 1
                    finish = ("length" if len(one.tokens()) > limit else "stop") if ends else None
                    choice = self._choice(body, prompt, tokens, step, index) | {"finish_reason": finish}
                    send([choice], {"prompt_tokens": 7, "completion_tokens": step + 1, "total_tokens": step + 8})
                    longest += 1
            await writer.drain()
            if self.rate:
                await asyncio.sleep(1 / self.rate)
        send([], {"prompt_tokens": 7, "completion_tokens": longest, "total_tokens": 7 + longest})
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        return True

    def _choice(
        self, body: dict[str, Any], prompt: str, tokens: Sequence[str], step: int, index: int
    ) -> dict[str, Any]:
        before = prompt + "".join(tokens[:step])
        own = [(before, tokens[step])]
        text = tokens[step]
        if body.get("echo") and step == 0 and self.dialect in ("vllm", "sglang", "strict"):
            own, text = [*_prompt_tokens(prompt), *own], prompt + text
        return {"index": index, "text": text, "logprobs": self._logprobs(body, own)}

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = body["prompt"] if "prompt" in body else _rendered(body)
        token = self.texts[0].split(" ")[1]
        text, own = f" {token}", [(prompt, f" {token}")]
        if body.get("echo") and self.dialect in ("vllm", "sglang", "strict"):
            text, own = prompt + text, [*_prompt_tokens(prompt), *own]
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": "length"}
        choice["logprobs"] = self._logprobs(body, own)
        count = body.get("prompt_logprobs")
        if count is not None and self.dialect == "vllm":
            choice["prompt_logprobs"] = [_by_id(*pair, count) for pair in _prompt_tokens(prompt)]
        usage = {"prompt_tokens": len(_prompt_tokens(prompt)), "completion_tokens": 1, "total_tokens": 9}
        return {"object": "text_completion", "model": body["model"], "choices": [choice], "usage": usage}

    def _logprobs(self, body: dict[str, Any], pairs: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
        count = body.get("logprobs")
        if not isinstance(count, int) or self.dialect == "ignoring":
            return None
        if self.dialect.startswith("llamacpp"):
            content = []
            for before, token in pairs:
                top = [
                    {"id": 1, "token": text, "bytes": list(text.encode()), "logprob": number}
                    for text, number in candidates(before, token, count)
                ]
                content.append(top[0] | {"top_logprobs": top})
            return {"content": content}
        first = [token == "<bos>" for _, token in pairs]
        return {
            "text_offset": [-1 if self.dialect == "sglang" else 0 for _ in pairs],
            "token_logprobs": [None if bos else logprob(*pair) for bos, pair in zip(first, pairs, strict=True)],
            "tokens": [token for _, token in pairs],
            "top_logprobs": [
                None if bos else dict(candidates(*pair, count)) for bos, pair in zip(first, pairs, strict=True)
            ],
        }


def _prompt_tokens(prompt: str) -> list[tuple[str, str]]:
    """The prompt's tokens, each with the text before it; BOS comes first."""
    pairs, before = [("", "<bos>")], ""
    for token in Reply(prompt).tokens():
        pairs.append((before, token))
        before += token
    return pairs


def _by_id(before: str, token: str, count: int) -> dict[str, Any] | None:
    if token == "<bos>":
        return None
    return {
        str(100 + rank): {"logprob": number, "rank": rank, "decoded_token": text}
        for rank, (text, number) in enumerate(candidates(before, token, max(1, count)), start=1)
    }


def _rendered(body: dict[str, Any]) -> str:
    marks = {"text": "", "image_url": "<|image|>", "input_audio": "<|audio|>"}
    parts = body["messages"][0]["content"]
    return "".join(marks[part["type"]] or part["text"] for part in parts)


def perplexity_of(prompt: str) -> float:
    """What the model of this server makes of `prompt`."""
    numbers = [logprob(*pair) for pair in _prompt_tokens(prompt)[1:]]
    return math.exp(-sum(numbers) / len(numbers))
