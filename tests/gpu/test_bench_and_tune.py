"""`bench` and `tune` on a GPU: what they report of it is there, and nothing is left of the engines."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gpu.conftest import python
from stubs.measuring import bench_and_tune, run, write_profile

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1800)]
FLAGS = {"quantization": "modelopt", "kv-cache-dtype": "fp8", "gpu-memory-utilization": 0.3, "max-model-len": 32768}


def test_bench_and_tune_share_an_engines_worth_of_figures(checkpoint: str, tmp_path: Path) -> None:
    write_profile(tmp_path, checkpoint=checkpoint, runtime=f"path:{python()}", flags=FLAGS)
    found = bench_and_tune(
        tmp_path, python(), ("--concurrency", "1,64"), ("--knob", "stream-interval=8", "--budget", "15m")
    )
    assert found.report["target"]["gpus"]
    assert found.report["target"]["weights_bytes"] > 7e9
    assert all(one["server"]["gpu_memory_peak"] > 7e9 for one in found.report["rounds"])
    assert all(not asked["error"] for one in found.report["rounds"] for asked in one["asked"])
    assert [trial["made"] for trial in found.trials[:2]] == [{}, {"stream-interval": 8}]
    assert all(trial["figures"]["kv_tokens"] > 32768 for trial in found.trials)
    # Events that hold more tokens change no text.
    assert found.trials[1]["drift"]["mean"] < 0.05
    if found.winner.exists():
        assert tomllib.loads(found.winner.read_text())["flags"]["stream-interval"] == 8
    assert run(tmp_path, python(), "engine", "status")[0].strip() == "No engine is running."
