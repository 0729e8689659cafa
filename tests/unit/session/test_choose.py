"""The default profile for a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from gemma_backend.session.choose import default_profile
from gemma_backend.session.visible import other_gpus, visible
from gemma_backend.types import GpuMemory, UsageError

GIB = 1 << 30


def gpu(
    free: float | None,
    capability: tuple[int, int] | None = (8, 9),
    name: str = "RTX",
    *,
    index: int = 0,
    unified: bool = False,
) -> GpuMemory:
    """A card with `free` GiB."""
    uuid = f"GPU-{index}a{index}b-{name}"
    size = None if free is None else int(free * GIB)
    return GpuMemory(index, name, uuid, free=size, compute_capability=capability, unified=unified)


SPARK = gpu(110, (12, 1), "NVIDIA GB10", unified=True)
PAIR = (gpu(8, name="small", index=0), gpu(80, name="H100", index=1))


@pytest.mark.parametrize(
    ("gpus", "name", "why"),
    [
        ((), "pocket", "No NVIDIA GPU"),
        ((gpu(12),), "workstation", "12.0 GiB"),
        ((gpu(11.99),), "small-gpu", "the whole needs 12"),
        ((gpu(4),), "small-gpu", "4.0 GiB"),
        ((gpu(3.99),), "pocket", "needs 4"),
        ((gpu(4), gpu(80, name="H100", index=1)), "workstation", "H100"),
        ((gpu(None),), "pocket", "does not tell"),
        ((gpu(24, (7, 0), "V100"),), "pocket", "V100 is too old"),
        ((gpu(24, (7, 0), "V100"), gpu(16, (7, 5), "T4", index=1)), "workstation", "T4"),
        ((gpu(6, (7, 5), "T4"),), "small-gpu", "T4"),
        ((gpu(24, None),), "workstation", "24.0 GiB"),
        ((SPARK,), "dgx-spark", "shares the host's memory"),
        ((gpu(3, (12, 1), "NVIDIA GB10", unified=True),), "dgx-spark", "GB10"),
    ],
)
def test_the_default_follows_the_gpu(gpus: tuple[GpuMemory, ...], name: str, why: str) -> None:
    chosen, reason = default_profile(gpus, environment={})
    assert chosen == name
    assert why in reason
    assert reason.endswith(".")


@pytest.mark.parametrize(
    ("devices", "name", "why"),
    [
        (None, "workstation", "H100"),
        ("0", "small-gpu", "small"),
        ("1", "workstation", "H100"),
        ("1,0", "workstation", "H100"),
        ("GPU-0a0b-small", "small-gpu", "small"),
        ("GPU-1a", "workstation", "H100"),
        ("", "pocket", "CUDA_VISIBLE_DEVICES= leaves no GPU"),
        ("-1", "pocket", "CUDA_VISIBLE_DEVICES=-1"),
        ("7,1", "pocket", "leaves no GPU"),
        ("0,7,1", "small-gpu", "small"),
        ("MIG-12345678", "pocket", "leaves no GPU"),
        ("GPU-", "pocket", "leaves no GPU"),
    ],
)
def test_only_gpus_that_cuda_sees_count(devices: str | None, name: str, why: str) -> None:
    environment = {} if devices is None else {"CUDA_VISIBLE_DEVICES": devices}
    chosen, reason = default_profile(PAIR, environment=environment)
    assert chosen == name
    assert why in reason


def test_a_gpu_that_is_named_is_taken_whatever_else_there_is() -> None:
    assert default_profile(PAIR, gpu=0, environment={"CUDA_VISIBLE_DEVICES": "1"})[0] == "small-gpu"
    assert default_profile(PAIR, gpu=1, environment={})[0] == "workstation"
    with pytest.raises(UsageError, match=r"no GPU 5 here; there are: 0 \(small\), 1 \(H100\)"):
        default_profile(PAIR, gpu=5, environment={})
    with pytest.raises(UsageError, match="there are: none"):
        default_profile((), gpu=0, environment={})


@pytest.mark.parametrize("gpus", [(), (gpu(24, (7, 0), "V100"),), (gpu(2),), (gpu(None),)])
def test_the_full_model_runs_on_the_cpu_where_that_is_asked_for(gpus: tuple[GpuMemory, ...]) -> None:
    chosen, reason = default_profile(gpus, environment={}, without_gpu="cpu")
    assert chosen == "cpu"
    assert reason.endswith("so the full model runs on the CPU.")


@pytest.mark.parametrize("maker", ["an AMD GPU", "an Intel GPU"])
def test_gpus_of_other_makers_are_named(maker: str) -> None:
    chosen, reason = default_profile((), environment={}, others=(maker,))
    assert chosen == "pocket"
    assert maker in reason


def test_the_order_of_the_list_is_kept() -> None:
    assert [one.index for one in visible(PAIR, {"CUDA_VISIBLE_DEVICES": "1, 0"})] == [1, 0]
    assert [one.index for one in visible(PAIR, {"CUDA_VISIBLE_DEVICES": "1,1"})] == [1]


def test_other_gpus_are_read_from_the_kernels_list(tmp_path: Path) -> None:
    for name, kind, vendor in [("0", "0x030000", "0x1002"), ("1", "0x030200", "0x10de"), ("2", "0x020000", "0x8086")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "class").write_text(f"{kind}\n")
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
    assert other_gpus(tmp_path) == ("an AMD GPU",)
    assert other_gpus(tmp_path / "nothing") == ()
