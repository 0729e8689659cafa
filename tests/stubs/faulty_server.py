"""A server that misbehaves as the prompt says: the last word of the last message names the fault.

`PYTHONPATH=tests python -m stubs.faulty_server [PORT]` serves until interrupted; the first line on standard output is
its address. With the fault "away" it listens no more for AWAY_SECONDS, so that connections are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any, get_args

from stubs.openai_server import OpenAIServer, Request
from stubs.replies import Fault, Reply, mixed_markdown

AWAY_SECONDS = 9.0
WORDS = 60
LAST = "ENDOFREPLY"

IN_TIME = (
    "none", "split-utf8", "drip", "huge-usage", "null-usage", "surrogates", "no-done", "no-chunking", "one-piece",
)  # fmt: skip
"""After these the reply is there as a whole."""

SENTENCES: dict[str, str] = {
    "cut": "in mid-reply; what came until then is kept.",
    "close": "in mid-reply; what came until then is kept.",
    "stall": "sent nothing for 2 s in mid-reply; what came until then is kept.",
    "garbage": "sent something that is no part of an OpenAI reply.",
    "wrong-types": "sent a reply whose text is no text.",
    "error": "broke the reply off with an error: EngineCore encountered an issue.",
    "long-event": "sent an event of more than 4 MiB, which no reply holds.",
    "binary": "sent something that is no part of an OpenAI reply.",
    "empty": "ended the connection in mid-reply; what came until then is kept.",
    "redirect": "sends requests on to another address: give that one with --url.",
    "circle": "sends requests on to another address: give that one with --url.",
    "html": "is no OpenAI server: it answered a prompt with something that is no reply.",
    "broken": "failed with an error of its own (500): look into its log.",
    "overloaded": "has too much to do or a limit is used up (429): wait a little and try again.",
    "gateway": "answers 502: the server behind it is down or still starting.",
    "long-refusal": "failed with an error of its own (500): look into its log.",
    "no-http": "did not answer in HTTP: check that the address is that of an OpenAI server, and http or https.",
    "long-header": "did not answer in HTTP: check that the address is that of an OpenAI server, and http or https.",
    "hang-up": "did not answer in HTTP: check that the address is that of an OpenAI server, and http or https.",
}
"""What has to be said after each of the others."""

_STATUS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "redirect": (307, {"Location": "http://127.0.0.1:1/v1/chat/completions"}, b""),
    "circle": (308, {"Location": "/v1/chat/completions"}, b""),
    "html": (200, {"Content-Type": "text/html"}, b"<html><body>Welcome to nginx!</body></html>"),
    "broken": (500, {"Content-Type": "text/html"}, b"<h1>Internal Server Error</h1>" * 100),
    "overloaded": (429, {"Content-Type": "application/json"}, b'{"error": {"message": "slow down"}}'),
    "gateway": (502, {"Content-Type": "text/html"}, b"<h1>Bad Gateway</h1>"),
    "long-refusal": (500, {"Content-Type": "application/json"}, b'{"error": "' + b"x" * (10 << 20)),
}
_BYTES: dict[str, bytes] = {
    "no-http": b"SSH-2.0-OpenSSH_9.6\r\n" + bytes(range(256)),
    "long-header": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * (1 << 20),
    "hang-up": b"",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
}


class FaultyServer(OpenAIServer):
    """The stub with a fault for each prompt that names one; `rate` is that of every reply, in tokens a second."""

    rate: float = 400.0

    async def _generate(
        self, request: Request, chat: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        fault = named(request.json, chat)
        if fault in _STATUS:
            status, headers, body = _STATUS[fault]
            lines = [f"HTTP/1.1 {status} Stub", f"Content-Length: {len(body)}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            await writer.drain()
            return False
        if fault in _BYTES:
            writer.write(_BYTES[fault])
            await writer.drain()
            return False
        if fault == "away":
            asyncio.get_running_loop().create_task(self._go_away())
        known = fault if fault in get_args(Fault) else None
        text = f"{mixed_markdown(WORDS)}\n\nÄpfel 日本語 🎈 {LAST}"
        self.reply = Reply(text, rate=self.rate, fault=known, after=WORDS // 2)  # type: ignore[arg-type]
        return await super()._generate(request, chat, reader, writer)

    async def _go_away(self) -> None:
        self._server.close()
        await asyncio.sleep(AWAY_SECONDS)
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)


def named(body: dict[str, Any], chat: bool) -> str:
    """The fault that a request asks for."""
    prompt = body.get("prompt", "")
    if chat:
        content = body["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
    # A transcript ends with the name of who speaks next.
    words = str(prompt).removesuffix("Assistant:").split() or [""]
    return words[-1]


async def _serve(port: int) -> None:
    async with FaultyServer(port=port) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
