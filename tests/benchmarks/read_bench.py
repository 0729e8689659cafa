"""A long conversation, measured in a pty from outside: `python -m benchmarks.read_bench [--tokens 200000]`.

A frame is the time from a turn of the wheel, or a key, to the last byte that it makes the program write.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.stream_bench import Server, command_of, environment
from benchmarks.terminal import Terminal

_UP, _DOWN = "\x1b[<64;10;10M", "\x1b[<65;10;10M"
_PAGE_UP = "\x1b[5~"
_QUIET = 0.012


def frames(terminal: Terminal, keys: str, count: int, pause: float) -> list[float]:
    """Milliseconds that each of `count` steps takes until the output is quiet again."""
    times: list[float] = []
    for _ in range(count):
        begun = terminal.type(keys)
        if not terminal.read(1):
            continue
        while terminal.read(_QUIET):
            pass
        times.append(1000 * (terminal.last_output - begun))
        time.sleep(max(0.0, pause - (time.monotonic() - begun)))
    return times


def streaming_frames(terminal: Terminal, keys: str, count: int) -> list[float]:
    """The same while text streams in out of sight: what is written then is the step's alone."""
    return frames(terminal, keys, count, 0.03)


def summary(times: list[float]) -> str:
    """Median, 99th percentile and maximum."""
    times = sorted(times)
    return f"{statistics.median(times):.0f} / {times[int(0.99 * (len(times) - 1))]:.0f} / {times[-1]:.0f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=200_000)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        command = command_of("bare", server.url, "rate-200-tokens-2000", args.tokens)
        terminal = Terminal(command, env=environment())
        try:
            loaded = ""
            while not (match := re.search(r"loaded in (\d+) ms", loaded)):
                loaded += terminal.read(10).decode(errors="replace")
            shown = time.monotonic() - terminal.started
            terminal.until_quiet(2, 10)
            ready = terminal.memory
            print(f"{args.tokens:,} tokens: loaded in {match.group(1)} ms, in view {shown:.2f} s after the command")
            print(f"wheel frame ms p50 / p99 / max: {summary(frames(terminal, _UP, 200, 0.03))}")
            terminal.type("go\r")
            terminal.until_quiet(0.3, 0.5)
            terminal.type(_UP * 20)
            terminal.until_quiet(0.1, 0.5)
            print(f"wheel frame ms while 200 tok/s stream in: {summary(streaming_frames(terminal, _UP, 200))}")
            terminal.until_quiet(1, 15)
            terminal.type("\x1b[Z")
            terminal.until_quiet(0.3, 1)
            pages = frames(terminal, _PAGE_UP, 500, 0.0)
            print(f"page frame ms p50 / p99 / max: {summary(pages)} over {len(pages)} pages")
            print(f"memory MB ready / after scrolling: {ready:.0f} / {terminal.memory:.0f}")
        finally:
            terminal.close()
            server.close()


if __name__ == "__main__":
    main()
