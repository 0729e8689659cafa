"""What the set-up screen offers on machines of different kinds."""

from __future__ import annotations

import dataclasses

from gemma_backend.config.profiles import Profile
from gemma_backend.session.setup import Choice, Need, Survey, choices
from gemma_backend.types import GpuMemory, HostMemory

GIB = 1 << 30
WORKSTATION = Profile(
    name="workstation",
    title="Full",
    description="On a GPU.",
    checkpoint="org/name",
    runtime="cuda",
    download_bytes=7_000,
    disk_bytes=8_000,
    licence="Apache-2.0",
)
POCKET = Profile(name="pocket", title="Pocket", description="Small.", checkpoint="bundled:pocket", runtime="cpu")
NEEDS = {"cuda": Need(5_000, 9_000), "cpu": Need(500, 900)}
BARE = Survey(
    memory=HostMemory(24 * GIB, 20 * GIB),
    disk_free=1_000_000,
    folder="/data",
    profiles=(WORKSTATION, POCKET),
    needs=NEEDS,
    lacking=frozenset({"workstation"}),
)
CARD = GpuMemory(0, "RTX", "u", total=24 * GIB, free=20 * GIB, compute_capability=(8, 9))


def by_key(found: Survey) -> dict[str, Choice]:
    """The choices by their keys; exactly one is recommended, and it is open."""
    offered = choices(found)
    marked = [choice for choice in offered if choice.recommended]
    assert len(marked) == 1
    assert marked[0].problem == ""
    return {choice.key: choice for choice in offered}


def test_without_a_gpu_the_pocket_checkpoint_is_recommended() -> None:
    offered = by_key(BARE)
    pocket = offered["pocket"]
    assert pocket.recommended
    assert (pocket.device, pocket.checkpoint, pocket.download_bytes, pocket.disk_bytes) == ("cpu", None, 500, 900)
    assert "No NVIDIA GPU was found" in pocket.detail
    assert "4 GiB" in offered["workstation"].problem


def test_with_a_gpu_the_full_model_is_recommended_and_its_cost_is_whole() -> None:
    full = by_key(dataclasses.replace(BARE, gpus=(CARD,)))["workstation"]
    assert full.recommended
    assert (full.device, full.checkpoint) == ("cuda", "org/name")
    assert (full.download_bytes, full.disk_bytes, full.licence) == (12_000, 17_000, "Apache-2.0")


def test_a_small_card_is_offered_the_profile_that_fits_it() -> None:
    small = Profile(name="small-gpu", title="Small", checkpoint="org/name", runtime="cuda")
    card = dataclasses.replace(CARD, free=6 * GIB)
    found = dataclasses.replace(BARE, gpus=(card,), profiles=(WORKSTATION, small, POCKET))
    offered = by_key(found)
    assert offered["workstation"].profile == "small-gpu"
    assert offered["workstation"].recommended
    # One that was asked for is offered besides, whatever fits better.
    asked = [choice.profile for choice in choices(dataclasses.replace(found, wanted="workstation"))]
    assert asked == ["workstation", "small-gpu", "pocket", None]


def test_what_is_there_is_not_fetched_again() -> None:
    found = dataclasses.replace(BARE, gpus=(CARD,), needs={}, lacking=frozenset())
    full = by_key(found)["workstation"]
    assert (full.device, full.checkpoint, full.download_bytes, full.disk_bytes) == (None, None, 0, 0)


def test_a_full_disk_and_little_memory_are_told_before_anything_is_fetched() -> None:
    full_disk = by_key(dataclasses.replace(BARE, disk_free=100))
    assert "make room" in full_disk["pocket"].problem
    assert full_disk["attach"].recommended
    small = by_key(dataclasses.replace(BARE, memory=HostMemory(2 * GIB, GIB)))
    assert "memory" in small["pocket"].problem


def test_what_the_installer_says_is_passed_on() -> None:
    found = dataclasses.replace(BARE, needs={**NEEDS, "cpu": Need(problem="Python 3.9 is too old.")})
    assert by_key(found)["pocket"].problem == "Python 3.9 is too old."


def test_elsewhere_than_on_linux_one_attaches() -> None:
    offered = by_key(dataclasses.replace(BARE, linux=False, gpus=(CARD,)))
    assert offered["attach"].recommended
    assert "Linux" in offered["pocket"].problem
