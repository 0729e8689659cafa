"""Installing, listing and removing runtimes from the command line."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gemma_backend.engine.proc import boot_id, look
from gemma_backend.runtime.image_pull import fetch, layers
from gemma_backend.runtime.install import Progress
from gemma_backend.session.setup import Choice, choices, survey
from gemma_backend.types import EngineError, GpuMemory
from stubs.docker_stand_in import Docker, docker

MARK = '{"format_version": 1, "device": "cuda", "version": "0.26.0", "bytes": 8000000000}'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for kind in ("DATA", "STATE", "CACHE", "LOG", "CONFIG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    return tmp_path


@pytest.fixture
def older(home: Path) -> Path:
    """A managed runtime, as far as its mark goes."""
    folder = home / "data" / "runtimes" / "cuda-0.26.0"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "runtime.json").write_text(MARK)
    return folder


@pytest.fixture
def service(home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Docker]:
    with docker(tmp_path_factory.mktemp("docker")) as made:
        monkeypatch.setenv("PATH", f"{made.path}:{os.environ['PATH']}")
        yield made


def call(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gemma_tui", "engine", *words]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def answer(said: str, *words: str) -> tuple[int, str]:
    """Run on a terminal and answer its question; returns exit code and output."""
    outside, inside = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "gemma_tui", "engine", *words], stdin=inside, stdout=inside, stderr=inside
    )
    os.close(inside)
    os.write(outside, said.encode())
    shown = b""
    while True:
        try:
            data = os.read(outside, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(outside)
    return program.wait(), shown.decode()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--platform", "aarch64"), ("vLLM 0.33.0", "on aarch64", "4.4 GB to fetch", "Run so far on: nothing yet")),
        (
            ("--version", "0.26", "--platform", "x86_64"),
            ("cuda-0.26.0", "transformers 5.10.4, tokenizers 0.22.2", "H200"),
        ),
        (("--platform", "x86_64"), ("vLLM 0.33.0", "nvidia-cudnn", "no GPU yet")),
    ],
)
def test_a_dry_run_says_what_and_how_large(home: Path, words: tuple[str, ...], said: tuple[str, ...]) -> None:
    done = call("install", "--runtime", "cuda", "--dry-run", *words)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in said), done.stdout
    assert done.stdout.endswith("Nothing was fetched.\n")
    assert not (home / "data").exists()


def test_what_cannot_be_installed_is_said_in_a_sentence(home: Path) -> None:
    for words, said in (
        (("--runtime", "cuda", "--version", "0.27"), "there are 0.33.0, 0.26.0"),
        (("--runtime", "cuda", "--platform", "aarch64"), "--platform goes with --dry-run"),
        (("--runtime", "tpu"), "use cpu, cuda, quantize or container:IMAGE"),
    ):
        done = call("install", *words)
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_a_runtime_is_removed_after_a_yes(older: Path) -> None:
    assert call("remove", "cuda-0.26.0").returncode == 2
    code, shown = answer("n\n", "remove", "cuda-0.26.0")
    assert code == 2 and "8.0 GB? [y/N]" in shown and "Nothing was removed" in shown and older.exists()
    code, shown = answer("y\n", "remove", "cuda-0.26.0")
    assert code == 0 and "Removed" in shown
    assert [path.name for path in older.parent.iterdir()] == [".lock-cuda-0.26.0"]
    assert "there are: none" in call("remove", "cuda-0.26.0", "--yes").stderr


def test_a_runtime_in_use_is_not_removed(older: Path, home: Path) -> None:
    me = look(os.getpid())
    assert me is not None
    record = {
        "id": "abc",
        "profile": "mine",
        "model": "m",
        "checkpoint": "/c",
        "base_url": "http://localhost",
        "socket": "/nowhere",
        "folder": str(home / "engine"),
        "log": "/l",
        "boot": boot_id(),
        "keeper": [me.pid, me.start],
        "engine": [me.pid, me.start],
        "runtime": str(older),
    }
    (home / "state" / "engines").mkdir(parents=True)
    (home / "state" / "engines" / "abc.json").write_text(json.dumps(record))
    done = call("remove", "cuda-0.26.0", "--yes")
    assert done.returncode == 3 and "gemma-tui engine stop abc" in done.stderr
    assert older.exists()


def test_an_image_is_fetched_after_a_yes_and_listed(service: Docker, home: Path) -> None:
    image = "docker:somebody/vllm:1"
    service.add_stand_in("somebody/vllm:1", hidden=[], pulled=False)
    assert "to be fetched" in call("install", "--runtime", image, "--dry-run").stdout
    assert "add --yes" in call("install", "--runtime", image).stderr
    assert service.images() == []
    done = call("install", "--runtime", image, "--yes")
    assert done.returncode == 0, done.stderr
    assert "Pulling from somebody/vllm:1" in done.stdout and "vLLM 0.32.0 (cuda) in somebody/vllm:1" in done.stdout
    assert call("install", "--runtime", "docker:no/such:1", "--yes").returncode == 3
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text(f'[profiles.mine]\ncheckpoint = "a/b"\nruntime = "{image}"\n')
    rows = {row["name"]: row for row in json.loads(call("list", "--json").stdout)}
    assert rows[image]["kind"] == "container" and rows[image]["version"] == "0.32.0"
    assert "docker image rm somebody/vllm:1" in call("remove", image).stderr


def test_the_set_up_offers_to_fetch_an_image(service: Docker, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offered() -> Choice:
        found = replace(survey("dgx-spark"), gpus=(GpuMemory(0, "NVIDIA GB10", "u", total=1 << 37, free=1 << 36),))
        return next(choice for choice in choices(found) if choice.profile == "dgx-spark")

    assert (offered().image, offered().problem) == ("container:eugr/spark-vllm:latest", "")
    without = next(choice for choice in choices(survey("dgx-spark")) if choice.profile == "dgx-spark")
    assert "No NVIDIA GPU" in without.problem
    service.add_stand_in("eugr/spark-vllm:latest", hidden=[])
    assert (offered().image, offered().problem) == (None, "")
    monkeypatch.setenv("PATH", "/nowhere")
    assert "docker or podman" in offered().problem


DOCKER = """latest: Pulling from eugr/spark-vllm
6e3729cf69e0: Pulling fs layer
1a2b3c4d5e6f: Pulling fs layer
0d0d0d0d0d0d: Already exists
6e3729cf69e0: Verifying Checksum
6e3729cf69e0: Download complete
"""
PODMAN = """Trying to pull docker.io/vllm/vllm-openai:v0.33.0...
Getting image source signatures
Copying blob sha256:6e3729cf69e0c7b7
Copying blob sha256:1a2b3c4d5e6f0000
Copying blob 6e3729cf69e0c7b7 done   |
"""


def test_how_far_an_image_is_as_docker_and_podman_tell_it() -> None:
    assert layers("") == (0.0, 0, 0)
    assert layers("Status: Image is up to date for x\nlatest: Pulling from x") == (0.0, 0, 0)
    assert layers(DOCKER) == (pytest.approx(1.7 / 3), 1, 3)
    assert layers(DOCKER + "6e3729cf69e0: Pull complete\n1a2b3c4d5e6f: Pull complete\n") == (1.0, 3, 3)
    assert layers(PODMAN) == (0.5, 1, 2)
    assert layers(PODMAN + "Copying config sha256:9999999999999999\nWriting manifest") == (1.0, 2, 2)


def test_a_fetch_can_be_stopped_and_what_went_wrong_is_said(service: Docker, home: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    service.add_stand_in("somebody/vllm:1", hidden=[], pulled=False, gate=str(gate))
    told: list[Progress] = []
    with pytest.raises(EngineError, match=r"fetching of somebody/vllm:1 was stopped"):
        fetch("docker:somebody/vllm:1", progress=told.append, cancelled=lambda: "layer 1 of 2" in told[-1].text)
    assert service.images() == []
    gate.touch()
    assert fetch("docker:somebody/vllm:1", progress=told.append).version == "0.32.0"
    assert told[-1].fraction == 1.0 and any("layer" in one.text for one in told)
    with pytest.raises(EngineError, match=r"no/such:1 could not be fetched\. docker: Error .* manifest unknown\."):
        fetch("docker:no/such:1")
