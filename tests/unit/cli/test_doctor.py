"""`doctor` names what is missing and what to do, and changes nothing."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from gemma_backend.config.settings import Settings
from gemma_backend.session.checkup import check_up


def doctor(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    folders = {
        f"GEMMA_TUI_{kind}_DIR": str(home / kind.lower()) for kind in ("DATA", "STATE", "CACHE", "CONFIG", "LOG")
    }
    return subprocess.run(
        [sys.executable, "-m", "gemma_tui", "doctor", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | folders | {"PATH": "/usr/bin:/bin"},
        check=False,
    )


def test_missing_runtime_is_named_with_its_command(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--profile", "pocket")
    assert done.returncode == 3
    assert "gemma-tui engine install --runtime cpu" in done.stdout
    assert not list(tmp_path.iterdir())


def test_json_has_every_finding(tmp_path: Path) -> None:
    found = {row["subject"]: row for row in json.loads(doctor(tmp_path, "--profile", "workstation", "--json").stdout)}
    assert found["vLLM"]["verdict"] == "missing"
    assert "--runtime cuda" in found["vLLM"]["advice"]
    assert found["checkpoint"]["verdict"] == "missing"
    assert found["Python"]["verdict"] == "ok"


def test_port_in_use_is_a_note() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert check_up(Settings(), port)[-1].verdict == "note"
    assert check_up(Settings(), port)[-1].verdict == "ok"


def test_unknown_profile_is_usage(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--profile", "poket")
    assert "did you mean 'pocket'" in done.stdout + done.stderr
