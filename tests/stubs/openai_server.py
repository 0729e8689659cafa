"""A small HTTP server that speaks the OpenAI protocol at a given speed, and can be told to misbehave.

It is for what a real engine cannot be made to show: exact rates, cut connections, nonsense. Everything runs in the
caller's event loop:

    async with OpenAIServer(reply=Reply("Hello.", rate=200)) as server:
        ... server.url, server.requests, server.running, server.aborted ...

`PYTHONPATH=tests python -m stubs.openai_server --rate 200 --tokens 1500` serves until interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from stubs.replies import Fault, Reply, mixed_markdown

__all__ = ["OpenAIServer", "Reply", "Request", "mixed_markdown", "serving"]

TEMPLATE_ERROR = (
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template if "
    "the tokenizer does not define one."
)


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass
class OpenAIServer:
    """The server; what is set on it holds from the next request on."""

    reply: Reply | Callable[[Request], Reply] = field(default_factory=Reply)
    models: list[str] = field(default_factory=lambda: ["stub/model"])
    key: str | None = None
    template: bool = True
    """Whether it has a chat template; without one it answers as vLLM does."""
    refused_options: tuple[str, ...] = ()
    """Names in a body that get a 400 which names them."""
    trusts_templates: bool = False
    metrics: bool = True
    version: str | None = "0.32.0"
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    """Whole answers by path: status, headers, body; they come before anything else."""
    max_model_len: int = 4096
    tls: ssl.SSLContext | None = None
    socket: str | None = None
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    running: int = 0
    finished: int = 0
    aborted: int = 0
    generated: int = 0
    prompted: int = 0
    connections: int = 0

    async def __aenter__(self) -> Self:
        if self.socket is not None:
            self._server = await asyncio.start_unix_server(self._connected, self.socket)
        else:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=self.tls)
            self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Yields to the connections' own callbacks, so that none is left when the loop closes.
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        """The address without `/v1`."""
        if self.socket is not None:
            return f"unix:{self.socket}"
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    async def until(self, **counts: int) -> None:
        """Return once `running`, `aborted` or `finished` are as given; the test's time limit ends a wait in vain."""
        while any(getattr(self, name) != count for name, count in counts.items()):
            await self._changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @property
    def prompts(self) -> list[Request]:
        """The requests that asked for text."""
        return [request for request in self.requests if request.path.endswith("/completions")]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(Exception):
                await writer.wait_closed()

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        path = request.path.partition("?")[0]
        if path in self.answers:
            status, headers, body = self.answers[path]
            return await _send(writer, status, body, headers)
        if path.startswith("/v1") and self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return await _send_json(writer, 401, {"error": "Unauthorized"})
        if path == "/v1/models" and request.method == "GET":
            entries = [
                {"id": name, "object": "model", "owned_by": "stub", "max_model_len": self.max_model_len}
                for name in self.models
            ]
            return await _send_json(writer, 200, {"object": "list", "data": entries})
        if path == "/version" and self.version:
            return await _send_json(writer, 200, {"version": self.version})
        if path == "/health":
            return await _send(writer, 200, b"", {})
        if path == "/metrics" and self.metrics:
            return await _send(writer, 200, self._metrics().encode(), {"Content-Type": "text/plain; version=0.0.4"})
        if path == "/tokenize" and self.version:
            if request.method != "POST":
                return await _send_json(writer, 405, {"detail": "Method Not Allowed"})
            count = len(Reply(request.json.get("prompt", "")).tokens())
            return await _send_json(writer, 200, {"count": count, "max_model_len": self.max_model_len, "tokens": []})
        if path in ("/v1/chat/completions", "/v1/completions") and request.method == "POST":
            return await self._generate(request, path.startswith("/v1/chat"), reader, writer)
        return await _send_json(writer, 404, {"detail": "Not Found"})

    async def _generate(
        self, request: Request, chat: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        body = request.json
        refusal = self._refusal(request, body, chat)
        if refusal is not None:
            status, message = refusal
            kind = "NotFoundError" if status == 404 else "BadRequestError"
            return await _send_json(
                writer, status, {"error": {"message": message, "type": kind, "param": None, "code": status}}
            )
        reply = self.reply(request) if callable(self.reply) else self.reply
        self.running += 1
        self._tell()
        writing = asyncio.create_task(self._stream(reply, body, chat, writer))
        # A client that goes away is noticed as vLLM notices it: by the connection's end.
        leaving = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait([writing, leaving], return_when=asyncio.FIRST_COMPLETED)
            if writing.done() and writing.exception() is None and writing.result():
                self.finished += 1
            else:
                self.aborted += 1
        finally:
            self.running -= 1
            for task in (writing, leaving):
                task.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)
            self._tell()
        return False

    def _refusal(self, request: Request, body: dict[str, Any], chat: bool) -> tuple[int, str] | None:
        if body.get("model") not in self.models:
            return 404, f"The model `{body.get('model')}` does not exist."
        if chat and body.get("chat_template") and not self.trusts_templates:
            return 400, (
                "Chat template is passed with request, but --trust-request-chat-template is not set. "
                "Refused request with untrusted chat template."
            )
        if chat and not self.template and not body.get("chat_template"):
            return 400, TEMPLATE_ERROR
        for option in self.refused_options:
            if f'"{option}"'.encode() in request.body:
                return 400, f"Unknown parameter: '{option}'."
        return None

    async def _stream(self, reply: Reply, body: dict[str, Any], chat: bool, writer: asyncio.StreamWriter) -> bool:
        """Write the reply; true where it was written to its end."""
        prompt_tokens = max(1, len(json.dumps(body.get("messages") or body.get("prompt"))) // 4)
        self.prompted += prompt_tokens
        tokens = reply.tokens()
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or len(tokens)
        finish = reply.finish if limit >= len(tokens) else "length"
        tokens = tokens[:limit]
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.fault == "one-piece":
            whole = {"choices": [_choice(chat, reply.text, finish, whole=True)], "usage": _usage(prompt_tokens, 1)}
            return not await _send_json(writer, 200, whole)
        chunked = reply.fault != "no-chunking"
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nX-Request-Id: stub-1\r\n"
        writer.write(
            (head + ("Transfer-Encoding: chunked\r\n\r\n" if chunked else "Connection: close\r\n\r\n")).encode()
        )

        def send(data: bytes) -> None:
            writer.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)

        def event(choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
            chunk: dict[str, Any] = {"id": "stub-1", "object": "chunk", "model": body["model"], "choices": choices}
            if usage is not None:
                chunk["usage"] = usage
            return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"

        options = body.get("stream_options") or {}
        continuous = options.get("continuous_usage_stats")
        if chat:
            send(event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}], None))
        if reply.reasoning:
            delta = {"reasoning_content": reply.reasoning}
            send(event([{"index": 0, "delta": delta, "finish_reason": None}], None))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for index in range(0, len(tokens), reply.chunk):
            if reply.fault and index >= reply.after and not await _misbehave(reply.fault, send, writer):
                return False
            if reply.rate and (pause := begun + index / reply.rate - loop.time()) > 0:
                await asyncio.sleep(pause)
            piece = "".join(tokens[index : index + reply.chunk])
            made = min(index + reply.chunk, len(tokens))
            usage = _usage(prompt_tokens, made) if continuous else None
            data = event([_choice(chat, piece, None)], usage)
            if reply.fault in ("split-utf8", "drip"):
                # Byte by byte, so that every character of several bytes is cut in each possible place.
                for byte in data:
                    send(bytes([byte]))
                    if reply.fault == "drip" or byte > 127:
                        await writer.drain()
                        await asyncio.sleep(0)
            else:
                send(data)
                await writer.drain()
            self.generated += made - index
        send(event([_choice(chat, "", finish)], None))
        if options.get("include_usage"):
            usage = _usage(prompt_tokens, len(tokens))
            if reply.fault == "huge-usage":
                usage = {"prompt_tokens": 10**400, "completion_tokens": -5, "total_tokens": 1e300}
            send(event([], usage) if reply.fault != "null-usage" else b'data: {"choices": null, "usage": null}\n\n')
        if reply.fault != "no-done":
            send(b"data: [DONE]\n\n")
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _metrics(self) -> str:
        label = f'{{engine="0",model_name="{self.models[0] if self.models else ""}"}}'
        lines = ["# HELP python_info Python platform information", "# TYPE python_info gauge", "python_info 1.0"]
        for name, kind, value in (
            ("num_requests_running", "gauge", self.running),
            ("num_requests_waiting", "gauge", 0),
            ("kv_cache_usage_perc", "gauge", min(1.0, self.running * 0.01)),
            ("prompt_tokens_total", "counter", self.prompted),
            ("generation_tokens_total", "counter", self.generated),
            ("num_preemptions_total", "counter", 0),
            ("prefix_cache_queries_total", "counter", self.prompted),
            ("prefix_cache_hits_total", "counter", 0),
        ):
            lines += [f"# TYPE vllm:{name} {kind}", f"vllm:{name}{label} {float(value)}"]
        return "\n".join(lines) + "\n"


async def _misbehave(fault: Fault, send: Callable[[bytes], None], writer: asyncio.StreamWriter) -> bool:
    """Do what `fault` says; true where the reply goes on afterwards."""
    if fault == "cut":
        await writer.drain()
        writer.transport.abort()
        return False
    if fault == "close":
        return False
    if fault == "stall":
        await asyncio.Event().wait()
    elif fault == "garbage":
        send(b"data: {not json\n\n")
    elif fault == "wrong-types":
        send(b'data: {"choices": [{"delta": {"content": {"a": 1}}}]}\n\n')
    elif fault == "error":
        send(b'data: {"error": {"message": "EngineCore encountered an issue.", "code": 500}}\n\n')
    elif fault == "long-event":
        for _ in range(10):
            send(b"x" * (1 << 20))
            await writer.drain()
    elif fault == "binary":
        send(bytes(range(256)) + b"\n\ndata: \xff\xfe\n\n")
    elif fault == "surrogates":
        send(b'data: {"choices": [{"delta": {"content": "\\ud83d"}, "text": "\\ud83d"}]}\n\n')
        send(b'data: {"choices": [{"delta": {"content": "\\ude00"}, "text": "\\ude00"}]}\n\n')
    return True


def _choice(chat: bool, text: str, finish: str | None, *, whole: bool = False) -> dict[str, Any]:
    said = {("message" if whole else "delta"): {"content": text}} if chat else {"text": text}
    return {"index": 0, "finish_reason": finish, **said}


def _usage(prompt: int, completion: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head.decode("latin-1").split("\r\n")
    method, path, _ = line.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in rest) if name}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str]) -> bool:
    lines = [f"HTTP/1.1 {status} Stub", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    await writer.drain()
    return True


async def _send_json(writer: asyncio.StreamWriter, status: int, value: object) -> bool:
    return await _send(writer, status, json.dumps(value).encode(), {"Content-Type": "application/json"})


@contextlib.asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[OpenAIServer]:
    """A running server with the given settings."""
    async with OpenAIServer(**settings) as server:
        yield server


async def _serve(args: argparse.Namespace) -> None:
    reply = Reply(mixed_markdown(args.tokens), rate=args.rate, delay=args.delay, fault=args.fault, chunk=args.chunk)
    async with OpenAIServer(reply=reply, models=args.model, key=args.key, port=args.port, socket=args.uds) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted; the address is the first line on standard output."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rate", type=float, default=0.0, help="tokens a second; 0 is as fast as it goes")
    parser.add_argument("--tokens", type=int, default=1500)
    parser.add_argument("--chunk", type=int, default=1, help="tokens in one event")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds to the first token")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--uds")
    parser.add_argument("--key")
    parser.add_argument("--model", action="append")
    parser.add_argument("--fault")
    args = parser.parse_args()
    args.model = args.model or ["stub/model"]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(args))


if __name__ == "__main__":
    main()
