"""`tune` on a real vLLM: trials, a written profile, and no engine left however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from gemma_backend.config.profiles import load_profile
from gemma_backend.engine import record as records
from stubs.measuring import bench_and_tune, journal, run, write_profile
from stubs.real_engine import ROOT, Scene, await_record, environment, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


def started(home: Path, *words: str) -> subprocess.Popen[str]:
    folders = {f"GEMMA_TUI_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "STATE", "LOG")}
    return subprocess.Popen(
        [sys.executable, "-m", "gemma_tui", "tune", "--profile", "pocket", *words],
        env=environment(**folders),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def test_a_profile_is_measured_searched_and_the_better_one_written(home: Path) -> None:
    """One change that works and one that does not; what the machine finds faster is its own affair."""
    pocket = load_profile("pocket")
    write_profile(
        home, checkpoint="bundled:pocket", runtime="cpu", flags=dict(pocket.flags), environment=pocket.environment
    )
    picture = home / "rounds.png"
    bench = ("--concurrency", "1,4", "--requests", "4", "--output-tokens", "16", "--plot", str(picture))
    knobs = ("--knob", "stream-interval=8", "--knob", "kv-cache-dtype=no_such_type")
    load = ("--budget", "45m", "--no-confirm", "--repeats", "1", "--output-tokens", "16", "--streams", "4")
    found = bench_and_tune(home, sys.executable, bench, (*load, *knobs))

    target, rounds = found.report["target"], found.report["rounds"]
    assert target["server"] == f"vLLM {found.head['vllm']}"
    assert (target["gpus"], target["processors"]) == ([], os.cpu_count())
    assert target["checkpoint_bytes"] > 10e6
    assert [one["concurrency"] for one in rounds] == [1, 4]
    assert all(one["server"]["engine_memory_peak"] > 1 << 30 for one in rounds)
    assert [(asked["error"], asked["output_tokens"]) for one in rounds for asked in one["asked"]] == [("", 16)] * 8
    assert picture.read_bytes().startswith(b"\x89PNG")

    base, other = found.trial(), found.trial(stream_interval=8)
    wrong = found.trial(kv_cache_dtype="no_such_type")
    assert base["figures"]["latency"] > 0
    assert base["figures"]["throughput"] > 0
    assert base["figures"]["memory"] > 1 << 30
    assert all(trial["figures"]["kv_tokens"] > 4096 for trial in (base, other))
    # How events are cut changes nothing of what is said.
    assert other["drift"]["mean"] == 0
    assert other["drift"]["tokens"] > 100
    assert wrong["figures"] is None
    assert "no_such_type" in wrong["failure"] or "kv-cache-dtype" in wrong["failure"]
    assert f"failed: {wrong['failure']}"[:60] in found.printed
    rates = [trial["figures"]["throughput"] for trial in found.trials if trial["made"] == {"stream-interval": 8}]
    if sum(rates) / len(rates) > base["figures"]["throughput"]:
        assert tomllib.loads(found.winner.read_text())["flags"]["stream-interval"] == 8
        assert "--stream-interval 8" in found.winner.read_text()
    else:
        assert "Nothing that was tried is better" in found.printed
        assert not found.winner.exists()
    assert [record for record in records.records() if record.running] == []
    # Nothing is left to try, so the same command starts no engine and says the same.
    words = ("tune", "--profile", "measured", "--for", "throughput", *load, *knobs)
    printed, told = run(home, sys.executable, *words)
    assert f"{len(found.trials)} trials are known" in told
    assert printed == found.printed
    assert len(journal(home).read_text().splitlines()) == 1 + len(found.trials)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_no_engine_is_left_however_it_ends(home: Path, number: signal.Signals, code: int) -> None:
    process = started(home)
    scene = Scene(process, await_record(set()), set())
    time.sleep(1.0)
    os.kill(process.pid, number)
    process.communicate()
    assert process.returncode == code
    assert wait_for(lambda: not scene.left(), 30), scene.left()
