"""What a long document costs in the completion studio: loading, streaming into it, typing, painting, a step back."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Wanted
from stubs.completion_server import CompletionServer
from tui.pilots import idle, pad_of, ready, until

_SENTENCE = "The quick brown fox jumps over the lazy dog and runs away. "
_TOKENS = 480
_RATE = 400.0
_KEYS = 50


async def _measure(size: int) -> str:
    """One row: a document of `size` bytes in a single line, tokens streamed into it at `_RATE` a second."""
    async with CompletionServer(texts=[" lorem" * _TOKENS], rate=_RATE) as server:
        app = GemmaApp(Wanted(url=server.url), poll=False, board=False)
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(pilot)
            await pilot.press("f2")
            pad = pad_of(app)
            text = (_SENTENCE * (size // len(_SENTENCE) + 1))[:size]
            begun = time.perf_counter()
            pad.put(text)
            load = time.perf_counter() - begun
            cpu, begun = time.process_time(), time.perf_counter()
            await pilot.press("ctrl+g")
            await until(pilot, lambda: server.finished == 1)
            await idle(pilot)
            share = (time.process_time() - cpu) / (time.perf_counter() - begun)
            pad.go(0)
            keys = [_timed(lambda: pad.type_in("x")) for _ in range(_KEYS)]
            frame = _timed(lambda: [pad.render_line(y) for y in range(pad.page)])
            back = _timed(pad.action_undo)
    return (
        f"| {size / 1000:,.0f} | {load * 1000:.1f} | {share:.0%} | {statistics.median(keys) * 1000:.2f} | "
        f"{frame * 1000:.1f} | {back * 1000:.1f} |"
    )


def _timed(action: object) -> float:
    begun = time.perf_counter()
    assert callable(action)
    action()
    return time.perf_counter() - begun


def main() -> None:
    """Print a row for each size; the stub server's share of the CPU is in it, since it runs in the same process."""
    with tempfile.TemporaryDirectory(prefix="gemma-") as folder:
        for kind in ("STATE", "CACHE", "CONFIG", "LOG", "DATA"):
            os.environ[f"GEMMA_TUI_{kind}_DIR"] = str(Path(folder, kind.lower()))
        print("| document kB | load ms | CPU at 400 tok/s | key ms p50 | 36 rows ms | a step back ms |")
        print("| --- | --- | --- | --- | --- | --- |")
        for size in (3_000, 100_000, 1_000_000):
            print(asyncio.run(_measure(size)), flush=True)


if __name__ == "__main__":
    main()
