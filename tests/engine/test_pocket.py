"""The pocket checkpoint made from nothing, every step on a CPU, and the one that ships asked what it never learned."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gemma_assets import path as asset
from gemma_backend.checkpoint.header import read_checkpoint
from gemma_backend.checkpoint.verify import verify
from gemma_backend.quantize.tools import find_tools
from gemma_backend.types import Endpoint
from pocket import evaluate
from pocket.data import speech

# Minutes of one processor, which a busy machine makes many.
pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("pocket_probe.py")


@dataclass(frozen=True)
class Rehearsed:
    """The folder of `python -m pocket --smoke`, and what it printed."""

    folder: Path
    printed: str


def start(*words: str) -> subprocess.Popen[str]:
    """A process of the quantize runtime's Python, which has torch."""
    given = os.environ.get("GEMMA_TUI_TEST_QUANTIZE")
    python = find_tools(Path(given) if given else None).python
    environment = os.environ | {"PYTHONPATH": str(ROOT / "packaging"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [str(python), "-W", "ignore", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*words: str) -> tuple[int, str, str]:
    process = start(*words)
    out, err = process.communicate()
    return process.returncode, out, err


def course(data: Path, folder: Path, *more: str) -> tuple[int, str, str]:
    return run("-m", "pocket.course", str(data), str(folder), "--smoke", *more)


def probed(*words: str) -> Any:
    code, out, err = run(str(PROBE), *words)
    assert code == 0, err
    return json.loads(out)


def kept(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "course.json").read_text())
    return found


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsed]:
    folder = tmp_path_factory.mktemp("pocket")
    code, out, err = run("-m", "pocket", "--smoke", "--folder", str(folder))
    assert code == 0, err
    yield Rehearsed(folder, out)


def test_every_step_runs_on_a_cpu(rehearsed: Rehearsed) -> None:
    assert "training: " in rehearsed.printed and ", 3 calls" in rehearsed.printed
    folder = rehearsed.folder
    assert kept(folder / "run") == {"seed": 0, "smoke": True, "stage": 2, "spent": 0.0}
    report = verify(read_checkpoint(folder / "nvfp4a16"), read_checkpoint(folder / "bf16"))
    assert report.ok and report.clipped == 0, report.problems
    assert sum(path.stat().st_size for path in (folder / "nvfp4a16").iterdir()) <= 12_000_000
    assert read_checkpoint(folder / "nvfp4a16").nbytes == read_checkpoint(asset("pocket")).nbytes


def test_each_stage_is_judged_by_what_it_never_trains_on(rehearsed: Rehearsed) -> None:
    for stage, exams in ((0, ["exam"]), (1, ["exam", "exam with rounded activations"])):
        lines = (rehearsed.folder / "run" / f"log-{stage}.jsonl").read_text().splitlines()
        results = [row for row in map(json.loads, lines) if "steps" in row]
        assert sum(row["steps"] for row in results) == 3
        for name in exams:
            assert all(set(row[name]) == {"picture", "sound", "text", "pair"} for row in results)


def test_the_words_that_ship_are_those_of_the_seed(rehearsed: Rehearsed) -> None:
    made = (rehearsed.folder / "data" / "tokenizer.json").read_bytes()
    assert json.loads(made)["model"] == json.loads((asset("pocket") / "tokenizer.json").read_text())["model"]


def test_a_seed_fixes_every_row_and_another_changes_each(rehearsed: Rehearsed) -> None:
    data = str(rehearsed.folder / "data")
    one, again, other = probed("rows", data, "train 0 0", "train 0 0", "train 1 0")
    assert one == again
    assert set(one) == set(other) and len(one) == 5
    assert all(one[name] != other[name] for name in one)


def test_a_seed_fixes_every_sound_of_the_speech(tmp_path: Path) -> None:
    def heard(name: str, seed: int) -> str:
        speech.render(tmp_path / name, seed, 1, ("hello",))
        made = [(tmp_path / name / part).read_bytes() for part in ("speech.flac", "speech.json")]
        return hashlib.sha256(b"".join(made)).hexdigest()

    assert heard("one", 0) == heard("again", 0) != heard("other", 1)


def test_a_killed_call_is_taken_up_where_it_had_saved(rehearsed: Rehearsed, tmp_path: Path) -> None:
    data = rehearsed.folder / "data"
    process = start("-m", "pocket.course", str(data), str(tmp_path), "--smoke", "--allowed", "3")
    while not (tmp_path / "course.json").is_file() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    _, err = process.communicate()
    before = kept(tmp_path)
    assert (before["stage"], before["spent"] >= 1) == (0, True), err
    code, out, err = course(data, tmp_path, "--allowed", "1")
    assert code in (0, 3), err
    assert kept(tmp_path)["stage"] * 3 + kept(tmp_path)["spent"] == before["spent"] + 1
    assert "call again" in out


def test_what_a_call_refuses(rehearsed: Rehearsed, tmp_path: Path) -> None:
    data, done = rehearsed.folder / "data", rehearsed.folder / "run"
    (tmp_path / "course.json").write_text("{")
    (tmp_path / "empty").mkdir()
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "course.json").write_text('{"seed": 0, "smoke": true, "stage": 0, "spent": 2.0}')
    for folder, wanted, more in (
        (done, "was begun with seed 0: give that, or another folder", ["--seed", "1"]),
        (tmp_path, "course.json can't be read", []),
        (tmp_path / "lost", "holds no whole set of weights: copy it again", []),
    ):
        code, _, err = course(data, folder, *more)
        assert code == 1 and wanted in err and "Traceback" not in err
    code, _, err = course(tmp_path / "empty", tmp_path / "run")
    assert code == 1 and "lacks speech.flac: make it with python -m pocket.data.speech" in err
    code, out, _ = course(data, done)
    assert (code, out) == (0, "the course is over\n")


def test_weights_are_the_newest_whole_set(tmp_path: Path) -> None:
    found = probed("weights", str(tmp_path / "run"))
    assert found["first"] == found["cut off"] == [1.0]
    assert found["after"] == [3.0]
    assert found["files"] == [f"weights-000002-{part}-of-3.npy" for part in (1, 2, 3)]
    assert re.search("holds no whole set of weights", found["empty"])
    assert re.search("are damaged .*: copy them again", found["damaged"])


def test_memory_is_let_go_before_it_is_freed() -> None:
    """A second stage in one process gets memory at the same addresses."""
    registered = ["register 0", "register 1", "register 2", "settle"]
    assert probed("pinned") == [*registered, "settle", "unregister 1", "unregister 0", "settle"]


def test_what_ships_is_right_on_what_it_never_saw(rehearsed: Rehearsed, real_endpoint: Endpoint) -> None:
    """The measurement of the model card in small: scenes, questions and stories over HTTP.

    Clips are asked about and counted only: most of a rehearsal's, which has four words, hold nothing but noise.
    """
    server = evaluate.Server(f"unix:{real_endpoint.socket}")
    found = evaluate.measure(server, rehearsed.folder / "data", 8, 3)
    for name in ("scenes, all attributes right", "questions of the template"):
        assert found[name]["of"] == 8 and found[name]["right"] >= 7, name
    assert found["clips of unseen voices, all words right"]["of"] == 8
    assert found["story perplexity"] < 2.6
