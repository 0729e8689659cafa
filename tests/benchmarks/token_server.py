"""A local server that streams mixed Markdown at a set rate, one HTTP chunk for each token as vLLM does.

`python -m benchmarks.token_server PORT_FILE TIMES_FILE` writes its port, then the monotonic time of each reply's last
token. The rate in tokens a second and the number of tokens stand in the model's name: `rate-200-tokens-1500`.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path

LAST_WORD = "ENDOFREPLY"

_NAMES = [f"rate-{rate}-tokens-{tokens}" for rate in (50, 200, 1000, 2000) for tokens in (500, 1500, 2000, 3000)]
_LIST = json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in _NAMES]}).encode()
_MODELS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_LIST) + _LIST

_SAMPLE = """## Section {number}

A **KV cache** keeps the *keys* and *values* of past tokens, so that `decode` reads them and never computes them again.
It is described in [the vLLM docs](https://docs.vllm.ai/en/latest/) and grows by a row for each token that is generated,
which is why long conversations need more memory than short ones do.

- Prefill fills it in one pass over the prompt
- Decode adds one row a step
  - sliding layers keep the last 512 tokens
  - full layers keep all of them
- Nothing is computed twice

```python
def cache_bytes(layers: int, heads: int, dim: int, width: int = 2) -> int:
    \"\"\"Bytes that one token takes.\"\"\"
    # keys and values
    return 2 * layers * heads * dim * width


for tokens in (512, 8_192, 131_072):
    print(f"{{tokens:>7}} tokens: {{tokens * cache_bytes(30, 1, 256) / 2**20:,.1f}} MiB")
```

| Layer | Tokens kept | What it is for |
|:------|------------:|:---------------|
| sliding | 512 | what was said just now |
| full | 131,072 | everything else |

1. Measure before changing anything.
2. Change one thing, then measure again; write down what was changed and on which versions.

> Premature optimisation is the root of all evil, yet we should not pass up our opportunities in that critical part.

"""


def tokens_of(count: int) -> list[str]:
    """`count` tokens of mixed Markdown; the last one ends with `LAST_WORD`."""
    text = "".join(_SAMPLE.format(number=number) for number in range(1, 2 + count // 200))
    tokens = re.findall(r" ?[A-Za-z]{1,6}|\d{1,3}|\s+|.", text)[: count - 1]
    return [*tokens, f"\n\n{LAST_WORD}"]


def text_of(count: int) -> str:
    """The same as one text."""
    return "".join(tokens_of(count))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    body = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, "token_ids": None}],
    }  # fmt: skip
    return _chunk(b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n")


async def _answer(writer: asyncio.StreamWriter, body: dict[str, object], times: Path) -> None:
    match = re.search(r"rate-(\d+)-tokens-(\d+)", str(body.get("model", "")))
    rate, count = (int(match.group(1)), int(match.group(2))) if match else (200, 1_500)
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(_event({"role": "assistant", "content": ""}))
    begun = time.monotonic()
    for number, token in enumerate(tokens_of(count)):
        due = begun + number / rate
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        writer.write(_event({"content": token}))
        await writer.drain()
    sent = time.monotonic()
    writer.write(_event({}, "stop") + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    await writer.drain()
    times.write_text(json.dumps({"begun": begun, "sent": sent}), encoding="utf-8")


async def _serve(port_file: Path, times: Path) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                match = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(match.group(1))) if match else b""
                if head.startswith(b"POST"):
                    await _answer(writer, json.loads(body), times)
                else:
                    writer.write(_MODELS)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port_file.write_text(str(server.sockets[0].getsockname()[1]), encoding="utf-8")
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), Path(sys.argv[2])))
