"""`gemma-tui bench` and `vllm bench serve` in turn on one engine: `python -m benchmarks.against_vllm [RUNS]`.

Both send as many requests of the same lengths to the pocket checkpoint on the CPU runtime; medians of each figure over
the runs are printed with their ratio.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from gemma_assets import path as asset
from gemma_backend.engine.spawn import free_port
from gemma_backend.evaluate.bench import records
from gemma_backend.evaluate.bench.summary import summarise
from stubs.real_engine import ROOT, cpu_runtime, environment

REQUESTS, AT_ONCE, PROMPT, OUTPUT = 48, 4, 128, 64
FIGURES = ("output tok/s", "TTFT median ms", "ITL median ms", "TPOT median ms")


def ours(url: str, folder: Path, run: int) -> tuple[float, ...]:
    """One run of ours."""
    path = folder / f"ours-{run}.json"
    words = ["--url", url, "--concurrency", str(AT_ONCE), "--requests", str(REQUESTS), "--seed", str(run)]
    words += ["--prompt-tokens", str(PROMPT), "--output-tokens", str(OUTPUT), "--warmup", "4", "--json", str(path)]
    subprocess.run(
        [sys.executable, "-m", "gemma_tui", "bench", *words], env=environment(), check=True, stdout=subprocess.DEVNULL
    )
    found = summarise(records.read(path).rounds[0])
    medians = (found.ttft.p50 or 0, found.itl.p50 or 0, found.tpot.p50 or 0)
    return (found.output_rate, *(1000 * value for value in medians))


def theirs(url: str, folder: Path, run: int) -> tuple[float, ...]:
    """One run of vLLM's."""
    name = f"theirs-{run}.json"
    words = ["bench", "serve", "--backend", "openai", "--base-url", url, "--endpoint", "/v1/completions"]
    words += ["--model", "gemma-tui/pocket", "--tokenizer", str(asset("pocket")), "--dataset-name", "random"]
    words += ["--random-input-len", str(PROMPT), "--random-output-len", str(OUTPUT), "--num-prompts", str(REQUESTS)]
    words += ["--max-concurrency", str(AT_ONCE), "--num-warmups", "4", "--ignore-eos", "--temperature", "0"]
    words += ["--seed", str(run), "--save-result", "--result-dir", str(folder), "--result-filename", name]
    subprocess.run(
        [str(cpu_runtime().python), "-m", "gemma_in_engine.command", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT / "backend"), "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found = json.loads((folder / name).read_text())
    return (found["output_throughput"], found["median_ttft_ms"], found["median_itl_ms"], found["median_tpot_ms"])


def main() -> None:
    """Run both in turn and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        homes = {f"GEMMA_TUI_{kind}_DIR": f"{name}/{kind.lower()}" for kind in ("STATE", "LOG", "CONFIG")}
        serving = subprocess.Popen(
            [sys.executable, "-m", "gemma_tui", "serve", "--profile", "pocket", "--port", str(port), "--no-key"],
            env=environment(**homes),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert serving.stdout is not None
            assert serving.stdout.readline(), "the engine did not start"
            turns = [("ours", ours), ("vllm bench serve", theirs)]
            both: dict[str, list[tuple[float, ...]]] = {who: [] for who, _ in turns}
            for run in range(runs):
                # Each goes first as often as the other.
                for who, measured in turns if run % 2 == 0 else turns[::-1]:
                    both[who].append(measured(url, folder, run))
                print(
                    run, *(f"{who} {[round(value, 2) for value in rows[-1]]}" for who, rows in both.items()), flush=True
                )
        finally:
            serving.terminate()
            serving.wait()
    medians = {who: [statistics.median(column) for column in zip(*rows, strict=True)] for who, rows in both.items()}
    for index, figure in enumerate(FIGURES):
        mine, other = (medians[who][index] for who in both)
        print(f"{figure:<16} ours {mine:8.2f}  vllm bench serve {other:8.2f}  ratio {mine / other:.3f}")


if __name__ == "__main__":
    main()
