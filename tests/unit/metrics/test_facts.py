"""What an engine's log, checkpoint and device tell: memory in parts, and the limit under its load."""

from __future__ import annotations

import dataclasses
import lzma
import shutil
import struct
from pathlib import Path

import pytest

from gemma_backend.metrics.facts import (
    Facts,
    MemoryParts,
    facts_of,
    measured_bandwidths,
    processor_name,
    read_parts,
    remember_bandwidth,
)
from gemma_backend.metrics.limit import TokenBytes, cache_bytes
from gemma_backend.types import GpuMemory, Sample

FIXTURES = Path(__file__).parents[2] / "fixtures"
GIB = 1 << 30
H200 = GpuMemory(0, "NVIDIA H200", "u", total=140 * GIB, used=46 * GIB)
SPARK = GpuMemory(0, "NVIDIA GB10", "u", total=121 * GIB, used=20 * GIB, unified=True)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "nvfp4a16"
    folder.mkdir()
    source = FIXTURES / "checkpoints" / "e2b-nvfp4a16"
    header = lzma.decompress((source / "model.safetensors.header.json.xz").read_bytes())
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(7_510_994_374)
    shutil.copy(source / "config.json", folder)
    return folder


def log(name: str) -> Path:
    return FIXTURES / "engine-logs" / name


def test_parts_of_real_logs() -> None:
    h200 = read_parts(log("h200-nvfp4a16-warm-start-ready.log").read_text())
    assert h200 == MemoryParts(round(7.37 * GIB), round(33.28 * GIB), round(0.56 * GIB))
    h100 = read_parts(log("h100-bf16-cold-start-ready.log").read_text())
    assert h100 == MemoryParts(round(9.9 * GIB), round(12.57 * GIB), round(0.59 * GIB))
    assert read_parts(log("cpu-nvfp4-ready.log").read_text()).weights is None
    table = "INFO The per-layer embedding table is in host memory: 4.38 GiB that the GPU keeps free"
    assert read_parts(table).table == round(4.38 * GIB)


def test_parts_add_up_to_what_is_used_or_say_nothing() -> None:
    parts = MemoryParts(7 * GIB, 33 * GIB, GIB)
    assert parts.split(45 * GIB) == (("weights", 7 * GIB), ("KV", 33 * GIB), ("graphs", GIB), ("other", 4 * GIB))
    assert parts.split(40 * GIB) == ()
    assert MemoryParts(weights=2 * GIB).split(5 * GIB, GIB) == (("weights", 2 * GIB), ("KV", GIB), ("other", 2 * GIB))
    assert MemoryParts().split(5 * GIB) == ()


def test_an_h200_under_load_by_hand(checkpoint: Path) -> None:
    facts = facts_of(checkpoint, log("h200-nvfp4a16-warm-start-ready.log"), [H200], on_gpu=True)
    assert facts.bandwidth == 4.8e12
    assert facts.read is not None
    one = facts.limit(Sample(0.0, generation_rate=278.5, running=1))
    assert one is not None
    assert one.rate == pytest.approx(4.8e12 / 1.86e9, rel=0.02)
    assert one.share == pytest.approx(278.5 / one.rate)
    # 64 requests of 1,000 tokens each in an fp8 cache: the weights are read once, each one's cache too.
    load = Sample(
        0.0, generation_rate=9165.0, running=64, kv_cache=64_000 / 9_245_496, kv_tokens=9_245_496, kv_width=1.0
    )
    many = facts.limit(load)
    assert many is not None
    step = facts.read.weights + 64 * (facts.read.row + cache_bytes(facts.config, 1000, 1.0))
    assert many.rate == pytest.approx(64 * 4.8e12 / step)
    assert "for 64 streams: a step of all reads" in many.sentence


def test_the_published_figure_on_a_dgx_spark(checkpoint: Path) -> None:
    facts = facts_of(checkpoint, None, [SPARK], on_gpu=True)
    found = facts.limit(Sample(0.0, generation_rate=90.0, running=1))
    assert found is not None
    assert found.rate == pytest.approx(147, rel=0.02)
    assert found.share == pytest.approx(0.61, abs=0.01)
    assert found.sentence.startswith("90 tok/s is 61 % of 147 tok/s, the most that GB10 can do for one stream")


def test_the_end_of_a_burst_is_no_speed_beyond_the_limit(checkpoint: Path) -> None:
    """Eight streams made these tokens in thirty steps, and one of them is left when the page is read."""
    facts = facts_of(checkpoint, None, [SPARK], on_gpu=True)
    burst = Sample(0.0, generation_rate=240.0, running=1, steps=30.0)
    found = facts.limit(burst)
    assert found is not None
    assert found.share == pytest.approx(30 / 147, rel=0.03)
    assert "for 8 streams" in found.sentence
    # A server that tells no steps: nothing is said that cannot be.
    untold = facts.limit(dataclasses.replace(burst, steps=None))
    assert untold is not None
    assert untold.share is None
    assert untold.sentence.startswith("GB10 can do 147 tok/s for one stream at most")
    # With speculation a step of one stream gives several tokens.
    guessed = facts.limit(dataclasses.replace(burst, generation_rate=120.0, steps=40.0, accepted=0.7))
    assert guessed is not None
    assert guessed.share == pytest.approx(120 / 147, rel=0.03)
    assert "for one stream without speculation: each token reads" in guessed.sentence


def test_a_row_from_host_memory_is_said(checkpoint: Path) -> None:
    facts = facts_of(checkpoint, None, [H200], on_gpu=True, table_on_host=True)
    found = facts.limit(Sample(0.0))
    assert found is not None
    assert found.share is None
    assert found.sentence.endswith("at 4,800 GB/s, and 17.9 kB over the bus.")


def test_two_devices_read_half_each(checkpoint: Path) -> None:
    assert facts_of(checkpoint, None, [H200, H200], on_gpu=True, devices=2).bandwidth == 9.6e12


def test_on_a_cpu_weights_are_unpacked_and_the_bandwidth_is_measured(checkpoint: Path) -> None:
    facts = facts_of(checkpoint, None, [], on_gpu=False)
    assert facts.limit(Sample(0.0, generation_rate=5.0)) is None
    assert "`gemma-tui bench --bandwidth` measures it" in facts.why_not
    # NVFP4 turned into BF16 takes what the BF16 checkpoint does.
    assert facts.parts.weights == pytest.approx(10.2e9, rel=0.01)
    assert facts.read is not None
    assert facts.read.weights == pytest.approx(4.56e9, rel=0.02)
    remember_bandwidth(processor_name(), 45.6e9)
    found = facts_of(checkpoint, None, [], on_gpu=False).limit(Sample(0.0, generation_rate=5.0, running=1))
    assert found is not None
    assert found.rate == pytest.approx(10.0, rel=0.02)
    assert "at 46 GB/s (measured)" in found.sentence


def test_a_measured_value_beats_the_stated_one(checkpoint: Path) -> None:
    remember_bandwidth("NVIDIA H200", 4.3e12)
    facts = facts_of(checkpoint, None, [H200], on_gpu=True)
    assert (facts.bandwidth, facts.measured) == (4.3e12, True)


def test_damaged_files_tell_nothing(tmp_path: Path) -> None:
    assert facts_of(tmp_path / "absent", tmp_path / "absent.log", [], on_gpu=False).read is None
    assert facts_of(None, None, [], on_gpu=False) == Facts(
        device="this processor", why_not="the checkpoint's files are not here"
    )
    (tmp_path / "state").mkdir()
    for text in ("", "[]", '{"a": "fast", "b": -1, "c": 2}', "[" * 100_000):
        (tmp_path / "state" / "bandwidth.json").write_text(text)
        assert measured_bandwidths() == ({"c": 2.0} if '"c"' in text else {})


def test_nothing_known_gives_no_limit() -> None:
    assert Facts().limit(Sample(0.0, generation_rate=1.0)) is None
    assert Facts(read=TokenBytes(1, 0, 0)).limit(Sample(0.0)) is None
