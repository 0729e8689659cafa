"""What `gemma-tui top` costs: `python -m benchmarks.top_bench [SECONDS]`.

A server in a process of its own gives the captured 57 KB of `/metrics`, its counters moving on, once a second.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.stream_bench import environment
from benchmarks.terminal import Terminal
from gemma_backend.metrics.parse import parse
from gemma_backend.metrics.reading import read

CAPTURE = Path(__file__).parents[1] / "fixtures" / "metrics" / "vllm-0.32-cpu-busy.prom"

SERVER = """
import asyncio, re, sys
page = open(sys.argv[1]).read()
looks = 0

async def talk(reader, writer):
    global looks
    try:
        while True:
            await reader.readuntil(b"\\r\\n\\r\\n")
            looks += 1
            grown = lambda found: f"{found[1]} {float(found[2]) + 37 * looks}"
            body = re.sub(r"(_tokens_total\\{[^}]*\\}) ([\\d.e+]+)", grown, page).encode()
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()

async def main():
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def parsing() -> None:
    """Print what a page takes, as it is and at 300 KB."""
    page = CAPTURE.read_text()
    # More adapters mean more series of the same names.
    names = (re.sub(r'model_name="[^"]*"', f'model_name="m{number}"', page) for number in range(6))
    for text in (page, "\n".join(names)[: 300 * 1024]):
        best = float("inf")
        for _ in range(50):
            begun = time.process_time()
            read(parse(text))
            best = min(best, time.process_time() - begun)
        print(f"parse and read {len(text) / 1024:.0f} KB: {best * 1000:.2f} ms")


def main() -> None:
    """Watch for a while and print the share of a core."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 40.0
    parsing()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(CAPTURE)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        for columns, rows in ((80, 24), (120, 40), (200, 60)):
            words = [sys.executable, "-m", "gemma_tui", "top", url]
            terminal = Terminal(words, env=environment(), columns=columns, rows=rows)
            try:
                terminal.until_quiet(0.8, 5)
                begun, cpu, written = time.monotonic(), terminal.cpu, terminal.bytes
                while time.monotonic() - begun < seconds:
                    terminal.read(0.5)
                took = time.monotonic() - begun
                print(
                    f"{columns}x{rows}: {100 * (terminal.cpu - cpu) / took:.2f} % of a core, "
                    f"{(terminal.bytes - written) / took:,.0f} bytes/s, {terminal.memory:.0f} MB (PSS)"
                )
            finally:
                terminal.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    main()
