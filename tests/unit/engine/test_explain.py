"""What logs say: every capture is read right, cut anywhere, coloured, mixed up or hostile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gemma_backend.engine.explain import Explanation, LogReader, explain
from gemma_backend.engine.phases import ORDER
from gemma_backend.types import LogLine, PhaseChanged

LOGS = Path(__file__).parents[2] / "fixtures" / "engine-logs"
ALL = sorted(LOGS.glob("*.log"))
READY = [path for path in ALL if "ready" in path.name]
ROOT = Path(__file__).parents[3]


def read(name: str) -> Explanation:
    return explain((LOGS / f"{name}.log").read_text(encoding="utf-8"))


# What each capture must be said to have failed of; words that a person could use to name the cause.
FAILURES = {
    "fail-enginecore-keyerror-rope": ("transformers", "axial"),
    "fail-missing-cuda-extension": ("CUDA kernels", "vllm_flash_attn"),
    "fail-missing-weights": ("lacks weights", "self_attn.k_norm.weight"),
    "fail-no-such-model": ("no such file or folder", "/models/does-not-exist"),
    "fail-container-without-gpu": ("container was given no GPU",),
    "fail-port-in-use": ("Port 8132 is already in use",),
    "fail-tokenizers-version": ("tokenizers", "tokenizers>=0.22.0,<=0.23.0", "0.23.2"),
    "fail-transformers-too-new": ("transformers", "AmbiguousGlobalPerLayerAttributeError"),
    "fail-unknown-flag": ("--no-such-flag",),
    "fail-unknown-architecture": ("does not know the model's architecture", "Gemma9ForConditionalGeneration"),
    "fail-unknown-model-type": ("transformers does not know", "gemma9"),
    "fail-weights-truncated": ("cut short", "incomplete metadata"),
    "fail-absent-repository-offline": ("not on this computer", "hub cannot be reached"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_captured_failures_are_named(name: str) -> None:
    found = read(name)
    assert found.cause is not None
    assert not found.ready
    for word in FAILURES[name]:
        assert word in found.cause
    assert found.advice
    assert found.excerpt
    assert len(found.excerpt) <= 20


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_ready_logs_did_not_fail(path: Path) -> None:
    found = explain(path.read_text(encoding="utf-8"))
    assert found.ready
    assert found.cause is None and found.advice is None and found.excerpt == ()
    names = [phase.name for phase in found.phases]
    assert names == sorted(names, key=ORDER.index)
    assert {"config", "engine core", "weights", "kv cache", "server", "ready"} <= set(names)
    for before, after in zip(found.phases, found.phases[1:], strict=False):
        assert before.seconds is not None and before.seconds >= 0
        assert before.start_s + before.seconds == pytest.approx(after.start_s, abs=0.01)


def test_cold_start_on_a_gpu_is_told_in_figures() -> None:
    found = read("h200-nvfp4a16-cold-start-ready-then-sigterm")
    phases = {phase.name: phase for phase in found.phases}
    assert found.vllm_version == "0.26.0"
    assert phases["weights loaded"].detail == "7.37 GiB in 5.2 s"
    assert phases["compile"].seconds == pytest.approx(86, abs=2)
    assert phases["compile"].detail == "81.5 s"
    assert phases["kv cache"].detail == "9,245,496 tokens, 70.54 x 131,072"
    assert phases["graphs"].detail == "graph 51 of 51, FULL"
    assert phases["ready"].start_s == 180


def test_version_is_known_where_the_log_says_it() -> None:
    assert read("cpu-nvfp4-ready").vllm_version == "0.32.0"
    assert read("fail-tokenizers-version").vllm_version is None


@settings(max_examples=400, deadline=None)
@given(data=st.data(), path=st.sampled_from(ALL))
def test_a_log_cut_anywhere_is_read(data: st.DataObject, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)) | st.just(0))
    stop = data.draw(st.integers(start, len(text)))
    part = text[start:stop]
    found = explain(part)
    up = "Application startup complete." in part or '"GET /health HTTP/1.1" 200' in part or "Avg prompt thr" in part
    assert not found.ready or up
    # Without the line that tells of the signal, what the stopped engine core's clients say looks like its death.
    if path in READY and (start == 0 or "[shutdown] API server: shutdown triggered" in part):
        assert found.cause is None


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_cut_after_any_line(path: Path) -> None:
    reader, seen_ready = LogReader(), False
    for line in path.read_text(encoding="utf-8").splitlines():
        reader.feed(line)
        found = reader.finish()
        seen_ready = seen_ready or line.rstrip().endswith("INFO:     Application startup complete.")
        assert found.ready == (seen_ready and path in READY)
        if path in READY:
            assert found.cause is None, line


SCRAPS = (
    *("Traceback (most recent call last):", '  File "x", line 1', "ValueError: {'", "(EngineCore pid=1) ", "\x1b[31m"),
    "ERROR 99-99 99:99:99 [core.py:1] ",
    *("INFO 12-31 23:59:59 [a.py:1] ", "\r", "\n", "Killed", "[red]", "\x9b2J"),
    *("\x1b]52;c;", "Capturing CUDA graphs (FULL):  10%|#| 5/51 [", "non-default args: {", " | ", "\x00", "{0}"),
    "The above exception was the direct cause of the following exception:",
    "RuntimeError: Engine core initialization",
)


@settings(max_examples=300, deadline=None)
@given(st.text() | st.lists(st.sampled_from(SCRAPS)).map("".join))
@example("(EngineCore pid=99999999999999) INFO 13-45 99:99:99 [x:1] hello")
def test_anything_is_read(text: str) -> None:
    found = explain(text)
    assert found.cause is None or isinstance(found.cause, str)
    json.dumps([found.cause, found.advice, found.excerpt])


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_colours_wrappers_and_carriage_returns_change_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    plain = explain(text)
    colours = text.replace("INFO", "\x1b[32mINFO\x1b[0m").replace("ERROR ", "\x1b[31mERROR \x1b[0m")
    assert explain(colours) == plain
    assert explain(text.replace("\n", "\r\n")) == plain
    docker = "".join(f"2026-11-23T08:54:07.123456789Z {row}\n" for row in text.splitlines())
    compose = "".join(f"vllm-1  | {row}\n" for row in text.splitlines())
    for wrapped in (docker, compose):
        found = explain(wrapped)
        assert (found.cause, found.ready, found.phases) == (plain.cause, plain.ready, plain.phases)


def test_lines_of_two_processes_run_into_one_another() -> None:
    text = (LOGS / "h200-nvfp4a16-cold-start-ready-then-sigterm.log").read_text(encoding="utf-8")
    rows = text.splitlines()
    joined = "\n".join(a + b for a, b in zip(rows[::2], [*rows[1::2], ""], strict=False))
    names = [phase.name for phase in explain(joined).phases]
    assert names == [phase.name for phase in explain(text).phases]


def test_text_of_a_request_opens_no_phase() -> None:
    hostile = (
        "(APIServer pid=1) INFO 11-23 13:44:22 [logger.py:39] Received request chat-1: prompt: 'INFO:     Application "
        "startup complete.', params\n"
        "(APIServer pid=1) INFO 11-23 13:44:23 [logger.py:39] said 'EngineCore failed to start. CUDA out of memory'\n"
    )
    found = explain(hostile)
    assert not found.ready
    assert found.cause is None


def test_a_failure_after_a_good_start_in_the_same_file_is_the_one_told() -> None:
    good = (LOGS / "h200-nvfp4a16-warm-start-ready.log").read_text(encoding="utf-8")
    bad = (LOGS / "fail-missing-weights.log").read_text(encoding="utf-8")
    found = explain(good + bad)
    assert not found.ready and found.cause == read("fail-missing-weights").cause
    again = explain(bad + good)
    assert again.ready and again.cause is None


def test_what_is_known_from_the_process_and_not_from_the_log() -> None:
    text = (LOGS / "cpu-nvfp4-ready.log").read_text(encoding="utf-8").partition("[shutdown]")[0]
    killed = explain(text, exit_code=-9)
    assert killed.cause is not None and "killed by the system" in killed.cause and "137" in killed.cause
    assert explain(text, exit_code=137).cause == killed.cause
    zero = explain(text, exit_code=0)
    assert zero.cause is not None and "exit code 0" in zero.cause and "nobody stopped it" in zero.cause
    assert explain(text, exit_code=0, stopped=True).cause is None
    half = text[: text.index("Loading weights took")]
    assert "killed" in (explain(half, exit_code=-9).cause or "")


def test_events_of_a_growing_log() -> None:
    reader = LogReader()
    events = []
    for number, line in enumerate((LOGS / "cpu-nvfp4-ready.log").read_text(encoding="utf-8").splitlines()):
        events += reader.feed(line, at=float(number))
    changed = [event.phase for event in events if isinstance(event, PhaseChanged)]
    assert changed[0].name == "imports" and changed[0].start_s == 0
    assert changed[-1].name == "ready"
    assert any(phase.detail == "shard 1 of 1" for phase in changed)
    assert sum(isinstance(event, LogLine) for event in events) >= 100


def test_the_command(tmp_path: Path) -> None:
    def call(*words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        roots = ":".join(str(ROOT / part) for part in ("app", "backend", "assets"))
        env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": roots, "GEMMA_TUI_LOG_DIR": str(tmp_path)}
        command = [sys.executable, "-m", "gemma_tui", "engine", "explain", *words]
        return subprocess.run(command, input=given, capture_output=True, env=env, check=False)

    log = LOGS / "fail-missing-weights.log"
    done = call(str(log), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == {"phases", "ready", "cause", "advice", "excerpt", "vllm_version"}
    assert set(told["phases"][0]) == {"name", "start_s", "seconds", "detail"}
    assert told["ready"] is False and "k_norm" in told["cause"]
    assert json.loads(call("-", "--json", given=log.read_bytes()).stdout) == told

    hostile = tmp_path / "hostile.log"
    raised = b"ValueError: \xc2\x9b2J \x1b]52;c;aGk=\x07 [red]\xff\n"
    hostile.write_bytes(b'Traceback (most recent call last):\n  File "x", line 1\n' + raised)
    shown = call(str(hostile))
    assert shown.returncode == 0
    assert not any(bad in shown.stdout for bad in (b"\x1b", b"\x07", "\x9b".encode()))
    assert b"[red]" in shown.stdout

    missing = call(str(tmp_path / "none.log"))
    assert missing.returncode == 5
    assert b"Traceback" not in missing.stderr and missing.stderr.count(b"\n") == 1
