"""A result appears whole or not at all, whatever ends the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gemma_backend.checkpoint.header import read_checkpoint
from gemma_backend.quantize.plan import Options, Plan, plan
from gemma_backend.quantize.run import Progress, run
from gemma_backend.runtime.found import Runtime
from gemma_backend.types import BadInput, EngineError
from gemma_tui.cli.main import main
from stubs import checkpoints

TESTS = Path(__file__).parents[2]
ROOT = TESTS.parent


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A Python that runs the stand-in whatever script it is given."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    roots = ":".join(str(ROOT / each) for each in ("backend", "assets", "tests"))
    python.write_text(
        f'#!/bin/sh\nshift 3\nPYTHONPATH="{roots}" exec "{sys.executable}" "{TESTS}/stubs/quantize_worker.py" "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv("GEMMA_TUI_LOG_DIR", str(tmp_path / "log"))
    monkeypatch.setenv("GEMMA_TUI_DATA_DIR", str(tmp_path / "data"))
    return Runtime("stub", "path", "quantize", python, "0", tmp_path)


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    source = checkpoints.checkpoint(tmp_path / "source", checkpoints.source_tensors())
    return plan(read_checkpoint(source), Options())


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "out").iterdir())


def test_a_run_to_the_end(tmp_path: Path, runtime: Runtime, planned: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER", "finish")
    told: list[Progress] = []
    made = run(planned, tmp_path / "out" / "made", runtime, name="me/source", progress=told.append)
    assert left(tmp_path) == ["made"]
    assert [each.fraction for each in told] == [0.1, 0.5]
    assert made.nbytes == planned.after
    card = (made.folder / "README.md").read_text()
    assert "base_model: me/source" in card
    assert f"{planned.after:,}" in card
    script = ROOT / "backend" / "gemma_backend" / "quantize" / "standalone" / "quantize.py"
    assert (made.folder / "quantize.py").read_bytes() == script.read_bytes()
    assert made.folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("task", "wanted"), [("fail", "the layers do not fit"), ("incomplete", "disagree about .*down_proj")]
)
def test_a_failing_run_leaves_nothing(
    tmp_path: Path, runtime: Runtime, planned: Plan, monkeypatch: pytest.MonkeyPatch, task: str, wanted: str
) -> None:
    monkeypatch.setenv("WORKER", task)
    with pytest.raises(EngineError, match=wanted) as caught:
        run(planned, tmp_path / "out" / "made", runtime, name="source")
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == []


def test_what_the_worker_finds_unfit_is_told_without_a_log(
    tmp_path: Path, runtime: Runtime, planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER", "unfit")
    with pytest.raises(BadInput) as caught:
        run(planned, tmp_path / "out" / "made", runtime, name="source")
    assert str(caught.value) == "There is no room left for made."
    assert left(tmp_path) == []


def test_a_cancelled_run_kills_the_worker_and_leaves_nothing(
    tmp_path: Path, runtime: Runtime, planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER", "hang")
    pids: list[int] = []

    def cancelled() -> bool:
        pids.extend(int(found.read_text() or 0) for found in (tmp_path / "out").glob(".made.partial-*/made/worker.pid"))
        return any(pids)

    with pytest.raises(KeyboardInterrupt):
        run(planned, tmp_path / "out" / "made", runtime, name="source", cancelled=cancelled)
    assert left(tmp_path) == []
    with pytest.raises(ProcessLookupError):
        os.kill(next(pid for pid in pids if pid), 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_command_leaves_no_result(
    tmp_path: Path, runtime: Runtime, planned: Plan, number: signal.Signals
) -> None:
    roots = ":".join(str(ROOT / each) for each in ("app", "backend", "assets"))
    script = (
        "import sys; from pathlib import Path; from gemma_backend.quantize import tools;"
        "from gemma_backend.runtime.found import Runtime;"
        f"python = Path({str(runtime.python)!r});"
        "tools.find_tools = lambda _: Runtime('stub', 'path', 'quantize', python, '0', Path('/'));"
        f"from gemma_tui.cli.main import main; sys.exit(main(['quantize', {str(planned.source)!r}, 'out/made']))"
    )
    environment = os.environ | {"PYTHONPATH": roots, "WORKER": "hang"}
    command = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    pid = 0
    while not pid and command.poll() is None:
        found = [path.read_text() for path in tmp_path.glob("out/.made.partial-*/made/worker.pid")]
        pid = int(found[0]) if found and found[0] else 0
        time.sleep(0.02)
    assert pid, "the command ended before it could be interrupted"
    command.send_signal(number)
    code = command.wait()
    assert not (tmp_path / "out" / "made").exists()
    if number == signal.SIGKILL:  # nothing can be cleaned up then; the worker is ours to end
        os.kill(pid, signal.SIGKILL)
    else:
        assert code == 130
        assert left(tmp_path) == []


def test_a_target_that_can_not_be_written(tmp_path: Path, runtime: Runtime, planned: Plan) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can't be written"):
        run(planned, tmp_path / "file" / "made", runtime, name="source")


def test_the_command_says_what_is_missing(
    tmp_path: Path, runtime: Runtime, planned: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = str(planned.source), str(tmp_path / "out")
    assert main(["quantize", source, target]) == 3
    assert "engine install --runtime quantize" in capsys.readouterr().err
    assert main(["quantize", source, target, "--python", sys.executable]) == 3
    assert "lacks nvidia-modelopt" in capsys.readouterr().err
    assert main(["quantize", str(tmp_path / "nowhere"), target]) == 5
    assert "no checkpoint at" in capsys.readouterr().err
    assert main(["quantize", source, target, "--calib", str(tmp_path / "nowhere")]) == 5
    assert "no calibration text" in capsys.readouterr().err
    assert not Path(target).exists()


def test_a_dry_run_writes_nothing_and_needs_no_runtime(
    tmp_path: Path, runtime: Runtime, planned: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quantize", str(planned.source), str(tmp_path / "out"), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "vision tower" in printed
    assert "calibration text would change nothing" in printed
    assert not (tmp_path / "out").exists()
