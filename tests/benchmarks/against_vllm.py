"""`gemma-tui bench` and `vllm bench serve` in turn: `python -m benchmarks.against_vllm [RUNS] [--steady]`.

Both send as many requests of the same lengths to the pocket checkpoint on the CPU runtime, or with `--steady` to a
server with set delays. A machine that does other work serves one run faster than the next, so each run is also timed by
a proxy in front of the server, in the same way for both: what a tool says over what the proxy saw is the tool's own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from benchmarks.referee import Referee, Seen
from gemma_assets import path as asset
from gemma_backend.engine.spawn import free_port
from gemma_backend.evaluate.bench import records
from gemma_backend.evaluate.bench.summary import summarise
from stubs.real_engine import ROOT, cpu_runtime, environment

REQUESTS, AT_ONCE, PROMPT, OUTPUT = 48, 4, 128, 64
STEADY = ("0.08", "0.008")
"""Seconds to the first token and between tokens, about what the real engine takes."""
FIGURES = ("tokens/s", "TTFT median, ms", "TPOT median, ms", "TTFT mean, ms", "TPOT mean, ms")

Row = tuple[float, ...]
Tool = Callable[[str, Path, int], Awaitable[Row]]


async def _done(*words: str, **more: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *words,
        env={**os.environ, **more},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-2000:]


async def ours(url: str, folder: Path, run: int) -> Row:
    """One run of ours."""
    path = folder / f"ours-{run}.json"
    words = ["--url", url, "--concurrency", str(AT_ONCE), "--requests", str(REQUESTS), "--seed", str(run)]
    words += ["--prompt-tokens", str(PROMPT), "--output-tokens", str(OUTPUT), "--warmup", "4", "--json", str(path)]
    words += ["--model", "gemma-tui/pocket"]
    await _done(sys.executable, "-m", "gemma_tui", "bench", *words, **environment())
    found = summarise(records.read(path).rounds[0])
    times = (found.ttft.p50, found.tpot.p50, found.ttft.mean, found.tpot.mean)
    return (found.output_rate, *(1000 * (value or 0) for value in times))


async def theirs(url: str, folder: Path, run: int) -> Row:
    """One run of vLLM's."""
    name = f"theirs-{run}.json"
    words = ["bench", "serve", "--backend", "openai", "--base-url", url, "--endpoint", "/v1/completions"]
    words += ["--model", "gemma-tui/pocket", "--tokenizer", str(asset("pocket")), "--dataset-name", "random"]
    words += ["--random-input-len", str(PROMPT), "--random-output-len", str(OUTPUT), "--num-prompts", str(REQUESTS)]
    words += ["--max-concurrency", str(AT_ONCE), "--num-warmups", "4", "--ignore-eos", "--temperature", "0"]
    words += ["--seed", str(run), "--save-result", "--result-dir", str(folder), "--result-filename", name]
    settings = {"PYTHONPATH": str(ROOT / "backend"), "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    await _done(str(cpu_runtime().python), "-m", "gemma_in_engine.command", *words, **settings)
    found = json.loads((folder / name).read_text())
    assert found["completed"] == REQUESTS, found
    times = ("median_ttft_ms", "median_tpot_ms", "mean_ttft_ms", "mean_tpot_ms")
    return (found["output_throughput"], *(found[key] for key in times))


def refereed(seen: list[Seen]) -> Row:
    """The same figures from what the proxy saw; a tool's probes and warm-up come before its requests."""
    counted = seen[-REQUESTS:]
    assert len(counted) == REQUESTS
    seconds = max(one.tokens[-1] for one in counted) - min(one.sent for one in counted)
    first = [1000 * (one.tokens[0] - one.sent) for one in counted]
    each = [1000 * (one.tokens[-1] - one.tokens[0]) / (OUTPUT - 1) for one in counted]
    return (
        REQUESTS * OUTPUT / seconds, statistics.median(first), statistics.median(each), statistics.mean(first),
        statistics.mean(each),
    )  # fmt: skip


TOOLS: dict[str, Tool] = {"ours": ours, "theirs": theirs}


async def in_turn(port: int, runs: int, folder: Path) -> dict[str, list[tuple[Row, Row]]]:
    """What each tool said and what the proxy saw, run by run; each goes first as often as the other."""
    found: dict[str, list[tuple[Row, Row]]] = {who: [] for who in TOOLS}
    referee = Referee(port)
    async with referee.listening() as url:
        for run in range(runs):
            for who in list(TOOLS)[:: 1 if run % 2 == 0 else -1]:
                referee.seen = []
                said = await TOOLS[who](url, folder, run)
                found[who].append((said, refereed(referee.seen)))
                pairs = zip(*found[who][-1], strict=True)
                print(run, f"{who:<7}", *(f"{value:9.2f} ({value / true:.3f})" for value, true in pairs), flush=True)
    return found


def told(found: dict[str, list[tuple[Row, Row]]]) -> None:
    """Print medians over the runs: of each tool, their ratio, each over the proxy, and that again as a ratio."""
    columns = f"{'ours':>9}{'theirs':>9}{'ratio':>8}{'ours/seen':>11}{'theirs/seen':>13}{'ratio':>8}"
    print(f"{'median of the runs':<18}{columns}")
    for index, figure in enumerate(FIGURES):
        mine, other = (statistics.median(said[index] for said, _ in rows) for rows in found.values())
        own, far = (statistics.median(said[index] / true[index] for said, true in rows) for rows in found.values())
        print(f"{figure:<18}{mine:>9.2f}{other:>9.2f}{mine / other:>8.3f}{own:>11.3f}{far:>13.3f}{own / far:>8.3f}")
    seen = [[true[0] for _, true in rows] for rows in found.values()]
    low, high = min(itertools.chain(*seen)), max(itertools.chain(*seen))
    print(f"the server itself gave {low:.0f} to {high:.0f} tokens/s from run to run")


@contextlib.asynccontextmanager
async def served(steady: bool, folder: Path) -> AsyncIterator[int]:
    """The port of what is measured."""
    port = free_port()
    words = ["-m", "stubs.steady_server", *STEADY]
    if not steady:
        words = ["-m", "gemma_tui", "serve", "--profile", "pocket", "--port", str(port), "--no-key"]
    homes = {f"GEMMA_TUI_{kind}_DIR": f"{folder}/{kind.lower()}" for kind in ("STATE", "LOG", "CONFIG")}
    serving = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        env=environment(**homes),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert serving.stdout is not None
        line = await serving.stdout.readline()
        assert line, "the server did not start"
        yield int(line) if steady else port
    finally:
        serving.terminate()
        await serving.wait()


async def main() -> None:
    """Run both in turn and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="?", type=int, default=5)
    parser.add_argument("--steady", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        async with served(args.steady, Path(name)) as port:
            told(await in_turn(port, args.runs, Path(name)))


if __name__ == "__main__":
    asyncio.run(main())
