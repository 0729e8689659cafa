"""How much the load generator can take in: `python -m benchmarks.load_bench`.

A server in a process of its own writes tokens as fast as the connection takes them, one HTTP chunk each as vLLM does.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from gemma_backend.evaluate.bench.drive import Driver
from gemma_backend.evaluate.bench.summary import summarise
from gemma_backend.evaluate.bench.wire import Wires
from gemma_backend.evaluate.bench.workload import Pace, Span, Workload
from gemma_backend.types import Endpoint

SERVER = """
import asyncio, json, re, sys

def chunk(data):
    return b"%x\\r\\n%s\\r\\n" % (len(data), data)

def event(**fields):
    body = {"id": "cmpl-6f2d8c3b1a5e4f7d9c0b", "object": "text_completion", "created": 1, "model": "bench", **fields}
    return chunk(b"data: " + json.dumps(body).encode() + b"\\n\\n")

CHOICE = {"index": 0, "text": " word", "logprobs": None, "finish_reason": None, "stop_reason": None, "token_ids": None}
TOKEN = event(choices=[CHOICE], usage=None)

async def handle(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            body = await reader.readexactly(int(re.search(rb"(?i)content-length: *(\\d+)", head)[1]))
            count = json.loads(body)["max_tokens"]
            writer.write(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
            for _ in range(count):
                writer.write(TOKEN)
                await writer.drain()
                await asyncio.sleep(0)
            usage = {"prompt_tokens": 100, "completion_tokens": count, "total_tokens": 100 + count}
            writer.write(event(choices=[], usage=usage) + chunk(b"data: [DONE]\\n\\n") + b"0\\r\\n\\r\\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


async def measure(url: str, concurrency: int) -> dict[str, float]:
    """Tokens a second, the client's processor time for each, and its share of a core."""
    driver = Driver(Wires(Endpoint(url)), "bench", Workload(output_tokens=Span(500, 500)))
    try:
        await driver.prepare()
        spent, begun = time.process_time(), time.perf_counter()
        one = await driver.round(Pace(concurrency=concurrency, requests=2 * concurrency, warmup=0))
        spent, seconds = time.process_time() - spent, time.perf_counter() - begun
    finally:
        driver.close()
    found = summarise(one)
    tokens = found.output_rate * found.seconds
    return {"tokens/s": found.output_rate, "us a token": 1e6 * spent / tokens, "client CPU %": 100 * spent / seconds}


def main() -> None:
    """Measure at several loads and print."""
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        for concurrency in (1, 16, 64):
            found = asyncio.run(measure(url, concurrency))
            print(f"{concurrency:>3} at once: " + "  ".join(f"{name} {value:,.1f}" for name, value in found.items()))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
