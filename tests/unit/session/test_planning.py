"""What a profile comes to on a machine just before its engine is spawned."""

from __future__ import annotations

from pathlib import Path

import pytest

from gemma_backend.config.profiles import Profile, load_profile
from gemma_backend.metrics import gpu as gpu_module
from gemma_backend.metrics import host as host_module
from gemma_backend.runtime.found import Runtime
from gemma_backend.session.planning import fitted
from gemma_backend.types import EngineError, GpuMemory, HostMemory, UsageError
from stubs.full_size import expanded

GIB = 1 << 30
CUDA = Runtime("cuda", "managed", "cuda", Path("/python"), "0.33.0", Path("/runtime"))
CPU = Runtime("cpu", "managed", "cpu", Path("/python"), "0.32.0", Path("/runtime"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return expanded("e2b-nvfp4a16", tmp_path_factory.mktemp("nvfp4")).folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No profiles or settings of the person who runs the tests."""
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(tmp_path / "config"))


def machine(monkeypatch: pytest.MonkeyPatch, *free: float, host: float = 32) -> None:
    """A machine with cards of that many GiB, all of it free, and that much free host memory."""
    sizes = [round(size * GIB) for size in free]
    cards = tuple(
        GpuMemory(index, f"card {index}", f"GPU-{index}", size, 0, size, compute_capability=(8, 9))
        for index, size in enumerate(sizes)
    )
    monkeypatch.setattr(gpu_module, "gpus", lambda: cards)
    memory = HostMemory(round(64 * GIB), round(host * GIB))
    monkeypatch.setattr(host_module, "host_memory", lambda *_: memory)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize("name", ["workstation", "workstation-w4a4", "bf16", "small-gpu", "dgx-spark"])
def test_nothing_that_vllm_does_not_know_is_left(
    name: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, home: None
) -> None:
    machine(monkeypatch, 122)
    profile, words = fitted(load_profile(name), CUDA, checkpoint)
    left = {flag for flag, value in profile.flags.items() if value == "auto"}
    assert left <= {"dtype", "kv-cache-dtype"}
    assert isinstance(profile.flags["max-model-len"], int)
    assert profile.flags["max-model-len"] == 131_072
    assert words.startswith("It fits")
    assert "CUDA_VISIBLE_DEVICES" not in profile.environment


def test_of_several_gpus_the_freest_is_named_by_its_uuid(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, home: None
) -> None:
    machine(monkeypatch, 8, 24, 12)
    profile = load_profile("workstation")
    assert fitted(profile, CUDA, checkpoint)[0].environment["CUDA_VISIBLE_DEVICES"] == "GPU-1"
    third = profile.model_copy(update={"gpu": 2})
    assert fitted(third, CUDA, checkpoint)[0].environment["CUDA_VISIBLE_DEVICES"] == "GPU-2"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert fitted(profile, CUDA, checkpoint)[0].environment["CUDA_VISIBLE_DEVICES"] == "GPU-2"
    own = profile.model_copy(update={"environment": {"CUDA_VISIBLE_DEVICES": "1"}})
    assert fitted(own, CUDA, checkpoint)[0].environment == {"CUDA_VISIBLE_DEVICES": "1"}
    spread = profile.model_copy(update={"flags": {**profile.flags, "tensor-parallel-size": 2}})
    assert "CUDA_VISIBLE_DEVICES" not in fitted(spread, CUDA, checkpoint)[0].environment
    with pytest.raises(UsageError, match="no GPU 9"):
        fitted(profile.model_copy(update={"gpu": 9}), CUDA, checkpoint)


def test_what_cannot_fit_is_refused_with_the_way_round_it(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, home: None
) -> None:
    machine(monkeypatch, 6)
    with pytest.raises(EngineError, match=r"as the profile small-gpu does.*tried as they are"):
        fitted(load_profile("workstation"), CUDA, checkpoint)
    small, _ = fitted(load_profile("small-gpu"), CUDA, checkpoint)
    assert small.engine_environment["GEMMA_IN_ENGINE_PER_LAYER_TABLE"] == "host"
    machine(monkeypatch, 6, host=5)
    with pytest.raises(EngineError, match="host memory"):
        fitted(load_profile("small-gpu"), CUDA, checkpoint)


def test_numbers_are_left_as_they_are(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 2)
    flags = {"gpu-memory-utilization": 0.9, "max-model-len": 4096}
    profile = Profile(name="mine", checkpoint=str(checkpoint), flags=flags)
    assert fitted(profile, CUDA, checkpoint) == (profile, "")


def test_where_no_memory_is_known_the_published_share_is_taken(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, home: None
) -> None:
    machine(monkeypatch)
    profile, words = fitted(load_profile("workstation"), CUDA, checkpoint)
    assert profile.flags["gpu-memory-utilization"] == 0.30
    assert profile.flags["max-model-len"] == 131072
    # A profile without published options leaves the context to the checkpoint.
    assert "published options" in words
    profile, words = fitted(load_profile("small-gpu"), CUDA, checkpoint)
    assert profile.flags["gpu-memory-utilization"] == 0.30
    assert "max-model-len" not in profile.flags
    assert profile.flags["dtype"] == "auto"
    assert "0.30" in words


def test_without_towers_vllm_is_told_so(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, home: None) -> None:
    machine(monkeypatch, 80)
    profile = load_profile("workstation").model_copy(update={"media": "off"})
    assert fitted(profile, CUDA, checkpoint)[0].flags["language-model-only"] is True
    fixed = Profile(name="mine", checkpoint=str(checkpoint), media="off", flags={"gpu-memory-utilization": 0.5})
    assert fitted(fixed, CUDA, checkpoint)[0].flags["language-model-only"] is True


def test_on_the_cpu_the_longest_context_is_found_too(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    profile = Profile(name="mine", checkpoint=str(checkpoint), flags={"max-model-len": "auto"})
    assert fitted(profile, CPU, checkpoint)[0].flags["max-model-len"] == 131_072
    tight = profile.model_copy(update={"environment": {"VLLM_CPU_KVCACHE_SPACE": "0.3"}})
    assert 2048 < int(fitted(tight, CPU, checkpoint)[0].flags["max-model-len"]) < 131_072
    assert fitted(Profile(name="mine", checkpoint="x"), CPU, checkpoint)[1] == ""
    with pytest.raises(EngineError, match="no number of GiB"):
        fitted(profile.model_copy(update={"environment": {"VLLM_CPU_KVCACHE_SPACE": "much"}}), CPU, checkpoint)
