"""Memory of real processes, and GPUs where there may be none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gemma_backend.metrics import gpu, host
from gemma_backend.types import GpuMemory, HostMemory

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has /proc")
MIB = 1 << 20

CHILD = """
import subprocess, sys, time
held = bytearray(60 << 20)
held[::4096] = b"x" * len(held[::4096])
grandchild = subprocess.Popen([sys.executable, "-c", '''
held = bytearray(40 << 20)
held[::4096] = b"x" * len(held[::4096])
print("ready", flush=True)
import time
while True:
    time.sleep(0.01)
    sum(range(200000))
'''])
sys.stdin.read()
grandchild.kill()
"""


def proportional(pid: int) -> int:
    """Bytes of one process where what several map is shared out among them: exact, and slow to ask for."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


@LINUX
def test_a_tree_counts_what_its_processes_hold_and_burn() -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        tree = host.ProcessTree(child.pid)
        assert len(host.descendants(child.pid)) == 2
        first = host.host_memory(tree)
        assert first is not None
        assert first.engine is not None
        assert 100 * MIB < first.engine < 200 * MIB
        assert first.engine_cpu is None
        assert first.total > first.available > 0
        assert abs(sum(map(proportional, host.descendants(child.pid))) - first.engine) < 25 * MIB
        while (again := tree.look()) is not None and not again[1]:
            pass
        assert again is not None
        assert (again[1] or 0) > 0
    finally:
        child.communicate(b"")
    assert tree.look() is None
    assert host.descendants(child.pid) == ()


@LINUX
def test_names_with_brackets_and_spaces_do_not_confuse(tmp_path: Path) -> None:
    odd = tmp_path / "a) S (b"
    odd.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(odd), "60"])
    try:
        look = host.ProcessTree(child.pid).look()
        assert look is not None
        assert 0 < look[0] < 50 * MIB
    finally:
        child.kill()
        child.wait()


def test_no_proc_means_not_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "PROC", tmp_path / "none")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert host.host_memory(host.ProcessTree(1)) is None


def test_gpus_are_listed_or_absent_without_an_error() -> None:
    found = gpu.gpus()
    assert all(isinstance(item, GpuMemory) and item.name for item in found)
    assert gpu.gpus() == () or found


HOST = HostMemory(total=130_676_000_000, available=100_000_000_000)


def memory_of(told: tuple[int, int, int] | None, capability: tuple[int, int] | None) -> object:
    return gpu.shared_or_own(told, capability, lambda: HOST)


def test_unified_memory_is_the_hosts() -> None:
    unified = (HOST.total, HOST.total - HOST.available, HOST.available, True)
    assert memory_of(None, (12, 1)) == unified  # NOT_SUPPORTED
    assert memory_of((0, 0, 0), (12, 1)) == unified
    assert memory_of((HOST.total - 5_000_000, 1, 2), (12, 1)) == unified
    assert memory_of(None, (9, 0)) == unified


def test_a_card_of_its_own_keeps_its_figures() -> None:
    own = (85_000_000_000, 5, 84_999_999_995)
    assert memory_of(own, (9, 0)) == (*own, False)
    # As much on the card as in the host is no sign of sharing.
    assert memory_of((HOST.total, 1, 2), (9, 0)) == (HOST.total, 1, 2, False)


def test_nothing_known_stays_unknown() -> None:
    assert gpu.shared_or_own(None, None, lambda: None) == (None, None, None, False)
    assert gpu.shared_or_own((5, 1, 4), (12, 1), lambda: None) == (5, 1, 4, False)
