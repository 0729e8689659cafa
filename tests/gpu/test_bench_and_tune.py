"""`bench` and `tune` on a GPU: what they report of it is there, and nothing is left of the engines."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from gpu.conftest import python

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]


def run(home: Path, *words: str) -> str:
    """Run `gemma-tui` in folders of its own; what it wrote on standard output."""
    paths = [*(str(ROOT / part) for part in ("app", "backend", "assets")), os.environ.get("PYTHONPATH", "")]
    folders = {f"GEMMA_TUI_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "STATE", "LOG")}
    done = subprocess.run(
        [python(), "-m", "gemma_tui", *words],
        env={**os.environ, **folders, "PYTHONPATH": ":".join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def test_bench_and_tune_share_an_engines_worth_of_figures(checkpoint: str, tmp_path: Path) -> None:
    profiles = tmp_path / "config" / "profiles"
    profiles.mkdir(parents=True)
    flags = {"quantization": "modelopt", "kv-cache-dtype": "fp8", "gpu-memory-utilization": 0.3, "max-model-len": 32768}
    lines = [f"checkpoint = {json.dumps(checkpoint)}", f'runtime = "path:{python()}"', "[flags]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in flags.items()]
    (profiles / "full.toml").write_text("\n".join(lines))

    report = json.loads(run(tmp_path, "bench", "--profile", "full", "--concurrency", "1,64", "--json", "-"))
    assert report["target"]["gpus"]
    assert report["target"]["weights_bytes"] > 7e9
    assert all(one["server"]["gpu_memory_peak"] > 7e9 for one in report["rounds"])
    assert all(not asked["error"] for one in report["rounds"] for asked in one["asked"])

    journal = tmp_path / "journal.jsonl"
    search = ("--knob", "stream-interval=8", "--budget", "15m", "--journal", str(journal))
    run(tmp_path, "tune", "--profile", "full", "--for", "throughput", *search)
    trials = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert [trial["made"] for trial in trials[:2]] == [{}, {"stream-interval": 8}]
    assert all(trial["figures"]["kv_tokens"] > 32768 for trial in trials)
    # Events that hold more tokens change no text.
    assert trials[1]["drift"]["mean"] < 0.05
    written = profiles / "full-throughput.toml"
    if written.exists():
        assert tomllib.loads(written.read_text())["flags"]["stream-interval"] == 8
    assert run(tmp_path, "engine", "status").strip() == "No engine is running."
