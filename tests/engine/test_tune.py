"""`tune` on a real vLLM: trials, a written profile, and no engine left however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from gemma_backend.engine import record as records
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


def test_two_trials_are_kept_compared_and_the_better_one_written(home: Path) -> None:
    """One change that works and one that does not; what the machine finds faster is its own affair."""
    words = (
        "--for",
        "throughput",
        "--budget",
        "10m",
        "--no-confirm",
        "--repeats",
        "1",
        "--output-tokens",
        "16",
        "--streams",
        "4",
    )
    process = started(home, *words, "--knob", "stream-interval=8", "--knob", "kv-cache-dtype=no_such_type")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    journal = home / "state" / "tune" / "pocket.jsonl"
    head, *trials = [json.loads(line) for line in journal.read_text().splitlines()]
    assert head["vllm"]
    by_change = {json.dumps(trial["made"]): trial for trial in trials}
    base, other = by_change["{}"], by_change['{"stream-interval": 8}']
    wrong = by_change['{"kv-cache-dtype": "no_such_type"}']
    assert base["figures"]["latency"] > 0
    assert base["figures"]["throughput"] > 0
    assert base["figures"]["memory"] > 1 << 30
    # How events are cut changes nothing of what is said.
    assert other["drift"]["mean"] == 0
    assert other["drift"]["tokens"] > 100
    assert wrong["figures"] is None
    assert "no_such_type" in wrong["failure"] or "kv-cache-dtype" in wrong["failure"]
    assert f"failed: {wrong['failure']}"[:60] in output
    profile = home / "config" / "profiles" / "pocket-throughput.toml"
    rates = [trial["figures"]["throughput"] for trial in trials if trial["made"] == {"stream-interval": 8}]
    if sum(rates) / len(rates) > base["figures"]["throughput"]:
        assert tomllib.loads(profile.read_text())["flags"]["stream-interval"] == 8
        assert "--stream-interval 8" in profile.read_text()
    else:
        assert "Nothing that was tried is better" in output
        assert not profile.exists()
    assert [record for record in records.records() if record.running] == []
    # Nothing is left to try, so the same command starts no engine and says the same.
    again = started(home, *words, "--knob", "stream-interval=8", "--knob", "kv-cache-dtype=no_such_type")
    output_again, errors_again = again.communicate()
    assert again.returncode == 0
    assert f"{len(trials)} trials are known" in errors_again
    assert output_again == output
    assert len(journal.read_text().splitlines()) == 1 + len(trials)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_no_engine_is_left_however_it_ends(home: Path, number: signal.Signals, code: int) -> None:
    process = started(home)
    scene = Scene(process, await_record(set()), set())
    time.sleep(1.0)
    os.kill(process.pid, number)
    process.communicate()
    assert process.returncode == code
    assert wait_for(lambda: not scene.left(), 30), scene.left()
