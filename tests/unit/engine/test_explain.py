"""What logs say: every capture is read right, cut anywhere, coloured, mixed up or hostile."""

from __future__ import annotations

import json
import random
import re
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
    "fail-weights-empty": ("weights file", "damaged"),
    "fail-weights-header-garbage": ("weights file", "damaged"),
    "fail-weights-lfs-pointer": ("weights file", "damaged"),
    "fail-weights-shard-missing": ("lacks weights", "model-00002-of-00002.safetensors"),
    "fail-weights-absent": ("lacks weights", "/models/m"),
    "fail-weights-renamed-tensor": ("weights do not match", "down_project"),
    "fail-weights-shape": ("weights cannot be loaded", "start (0) + length (512) exceeds dimension size (256)"),
    "fail-config-other-size": ("weights do not match", "256, 128"),
    "fail-config-absent": ("no config.json", "/models/m"),
    "fail-config-no-json": ("JSON file", "/models/m/config.json"),
    "fail-tokenizer-absent": ("lacks the files of its tokenizer",),
    "fail-tokenizer-damaged": ("JSON file", "line 1 column 2"),
    "fail-processor-absent": ("lacks the files of its feature extractor", "/models/m"),
    "fail-quant-algo-unknown": ("quantization",),
    "fail-torchvision-operators": ("built for different versions", "torchvision::nms"),
    "fail-host-memory-for-kv": ("memory is too small", "9.14 of 15.46 GiB"),
    "fail-kv-cache-none": ("No memory is left for the KV cache",),
    "fail-environment-value": ("refuses these settings", "'lots'"),
    "fail-context-too-long": ("9000000", "32768."),
    "fail-flag-value": ("--max-model-len", "'lots'"),
    "fail-flag-no-json": ("--limit-mm-per-prompt", "{image:4"),
    "fail-attention-backend": ("attention backend NOPE",),
    "fail-tensor-parallel": ("cannot be split over so many devices",),
    "fail-numa-nodes": ("cannot be split over so many devices",),
    "fail-package-missing": ("lacks a package", "tensorizer"),
    "fail-core-killed": ("killed by the system", "137"),
    "fail-worker-killed": ("without a word", "memory ran out"),
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


# What became of engines that had been ready, with the exit code that their server ended with.
DEATHS = {
    "died-core-killed-streaming": (0, ("engine core died", "exit code 0", "nobody stopped it")),
    "died-worker-killed-streaming": (0, ("killed by the system", "137")),
}


@pytest.mark.parametrize("name", DEATHS)
def test_captured_deaths_while_serving_are_named(name: str) -> None:
    code, words = DEATHS[name]
    text = (LOGS / f"{name}.log").read_text(encoding="utf-8")
    found = explain(text, exit_code=code)
    assert found.ready and found.cause is not None
    for word in words:
        assert word in found.cause
    # The log alone tells that it died, too.
    assert explain(text).cause is not None


def test_every_capture_is_expected_to_say_something() -> None:
    assert {path.stem for path in ALL} == {*FAILURES, *DEATHS, *(path.stem for path in READY)}


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
def test_a_log_cut_at_any_byte_is_read(data: st.DataObject, path: Path) -> None:
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole)) | st.just(0))
    stop = data.draw(st.integers(start, len(whole)) | st.just(len(whole)))
    part = whole[start:stop].decode("utf-8", "replace")
    found = explain(part)
    up = "Application startup complete." in part or '"GET /health HTTP/1.1" 200' in part or "Avg prompt thr" in part
    assert not found.ready or up
    # Without the line that tells of the signal, what the stopped engine core's clients say looks like its death.
    if path in READY and (start == 0 or "[shutdown] API server: shutdown triggered" in part):
        assert found.cause is None
    if path not in READY and start == 0 and stop == len(whole):
        assert found.cause == explain(whole.decode()).cause is not None


def same(found: Explanation, wanted: Explanation) -> None:
    """Whatever was done to a log, it says the same."""
    assert [phase.name for phase in found.phases] == [phase.name for phase in wanted.phases]
    assert (found.cause, found.ready, found.vllm_version) == (wanted.cause, wanted.ready, wanted.vllm_version)


WHOLE = {path: explain(path.read_text(encoding="utf-8")) for path in ALL}
# A process writes its tag and its line in one go: between two of them an end of line is what can be missing.
TAGGED = re.compile(r"\n(?=\((?:APIServer|EngineCore|Worker|VllmWorker)[^)\n]* pid=\d+\) )")


@settings(max_examples=150, deadline=None)
@given(chance=st.randoms(use_true_random=False), path=st.sampled_from(ALL), share=st.sampled_from([0.02, 0.3, 1.0]))
def test_lines_of_two_processes_run_into_one_another_anywhere(chance: random.Random, path: Path, share: float) -> None:
    text = path.read_text(encoding="utf-8")
    same(explain(TAGGED.sub(lambda found: "" if chance.random() < share else "\n", text)), WHOLE[path])


@settings(max_examples=150, deadline=None)
@given(chance=st.randoms(use_true_random=False), path=st.sampled_from(ALL))
def test_colours_anywhere_change_nothing(chance: random.Random, path: Path) -> None:
    colours = ("\x1b[0m", "\x1b[1;32m", "\x1b[38;5;12m", "\x1b[K", "\x1b]0;title\x07")
    rows = []
    for row in path.read_text(encoding="utf-8").split("\n"):
        place = chance.randint(0, len(row))
        rows.append(row[:place] + chance.choice(colours) + row[place:] if chance.random() < 0.4 else row)
    same(explain("\n".join(rows)), WHOLE[path])


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_progress_bars_written_over_one_another_change_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    bars = re.sub(r"\n(?=[^\n]*\d+%[^\n]*\|[^\n]*\d+/\d+)", "\r", text)
    same(explain(bars), WHOLE[path])
    reader, read_at_once = LogReader(), LogReader()
    for line in bars.split("\n"):
        reader.feed(line)
    for line in re.split(r"[\r\n]", text):
        read_at_once.feed(line)
    same(reader.finish(), read_at_once.finish())


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_cut_after_any_line(path: Path) -> None:
    reader, seen_ready = LogReader(), False
    for line in path.read_text(encoding="utf-8").splitlines():
        reader.feed(line)
        found = reader.finish()
        seen_ready = seen_ready or line.rstrip().endswith("INFO:     Application startup complete.")
        assert found.ready == (seen_ready and (path in READY or path.stem in DEATHS))
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


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_every_line_of_a_process_run_into_the_one_before(path: Path) -> None:
    # An empty line's prefix is followed by the next line's at once.
    same(explain(TAGGED.sub("", path.read_text(encoding="utf-8"))), WHOLE[path])


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
    assert set(told) == {"phases", "ready", "cause", "advice", "excerpt", "vllm_version", "notes"}
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
