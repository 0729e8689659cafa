"""Profiles carry vLLM's own flags for more than one engine or machine, and they reach its command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gemma_backend.config.profiles import load_profile
from gemma_backend.engine.command import build
from gemma_backend.runtime.found import Runtime
from gemma_backend.types import UsageError

TOML = """
checkpoint = "/models/e2b"
runtime = "cuda"

[flags]
data-parallel-size = 2
tensor-parallel-size = 4
nnodes = 2
node-rank = 1
master-addr = "10.0.0.2"
data-parallel-backend = "ray"
distributed-executor-backend = "ray"
"""


def test_flags_for_many_gpus_and_machines_reach_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(tmp_path))
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "wide.toml").write_text(TOML)
    runtime = Runtime("cuda", "managed", "cuda", Path("/r/bin/python"), "0.32.0", Path("/r"))
    words = " ".join(build(load_profile("wide"), runtime, Path("/models/e2b"), port=8000).argv)
    for flag in (
        "--data-parallel-size 2", "--tensor-parallel-size 4", "--nnodes 2", "--node-rank 1",
        "--master-addr 10.0.0.2", "--data-parallel-backend ray", "--distributed-executor-backend ray",
    ):  # fmt: skip
        assert flag in words
    with pytest.raises(UsageError):
        load_profile("wider-still")
