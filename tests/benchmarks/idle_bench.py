"""What the screen costs while nothing happens: `python -m benchmarks.idle_bench [SECONDS]`.

The server is one that has `/metrics`, a captured page of vLLM, as a real one has, and then one that has none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.stream_bench import environment
from benchmarks.terminal import Terminal

CAPTURE = Path(__file__).parents[1] / "fixtures" / "metrics" / "vllm-0.32-cpu-busy.prom"
SERVER = """
import asyncio, sys
from stubs.openai_server import OpenAIServer

async def main():
    server = OpenAIServer(metrics=False)
    if len(sys.argv) > 1:
        page = open(sys.argv[1], "rb").read()
        server.answers["/metrics"] = (200, {"Content-Type": "text/plain; version=0.0.4"}, page)
    async with server:
        print(server.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def idle(seconds: float, *server: str) -> tuple[float, float, float]:
    """Share of a core in percent, bytes a second to the terminal, and MB (PSS) at the end."""
    env = environment()
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, *server], env={**os.environ, **env}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        terminal = Terminal([sys.executable, "-m", "gemma_tui", "--url", url], env=env)
        try:
            # Until all that is imported ahead of need is there.
            begun = time.monotonic()
            while time.monotonic() - begun < 8:
                terminal.read(0.5)
            begun, cpu, written = time.monotonic(), terminal.cpu, terminal.bytes
            while time.monotonic() - begun < seconds:
                terminal.read(0.5)
            took = time.monotonic() - begun
            return 100 * (terminal.cpu - cpu) / took, (terminal.bytes - written) / took, terminal.memory
        finally:
            terminal.close()
            process.terminate()


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 30.0
    for what, server in (("with /metrics", [str(CAPTURE)]), ("without", [])):
        share, written, memory = idle(seconds, *server)
        print(
            f"idle, dashboard shown, a server {what}: {share:.2f} % of a core, {written:,.0f} bytes/s, {memory:.0f} MB"
        )


if __name__ == "__main__":
    main()
