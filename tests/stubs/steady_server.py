"""A completions server with set delays that writes down when it really sent each token.

`python -m stubs.steady_server DELAY GAP` prints its port. `GET /times` gives a list of the requests so far, each the
moments (of the system's monotonic clock) at which it was read and at which each token was written.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(body: dict[str, object]) -> bytes:
    return _chunk(b"data: " + json.dumps(body).encode() + b"\n\n")


async def serve(delay: float, gap: float) -> None:
    """Serve until interrupted."""
    times: list[list[float]] = []

    async def answer(writer: asyncio.StreamWriter, count: int) -> None:
        moments = [time.perf_counter()]
        times.append(moments)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(count):
            due = moments[0] + delay + number * gap
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(_event({"choices": [{"index": 0, "text": " word", "finish_reason": None}]}))
            moments.append(time.perf_counter())
        usage = {"prompt_tokens": 100, "completion_tokens": count}
        writer.write(_event({"choices": [], "usage": usage}) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length else b""
                if head.startswith(b"POST"):
                    await answer(writer, json.loads(body)["max_tokens"])
                else:
                    models = b" /v1/models " in head
                    told = json.dumps({"data": [{"id": "gemma-tui/pocket"}]} if models else times).encode()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), float(sys.argv[2])))
