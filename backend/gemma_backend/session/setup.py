"""What the set-up screen shows before anything is installed: what was found, and what can be chosen at which cost."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gemma_backend.config.paths import data_dir
from gemma_backend.config.profiles import Profile, list_profiles
from gemma_backend.config.settings import load
from gemma_backend.session.choose import Fallback, default_profile
from gemma_backend.session.visible import other_gpus
from gemma_backend.types import BadInput, EngineError, GpuMemory, HostMemory

if TYPE_CHECKING:
    from gemma_backend.runtime.locks import Device

GB = 1_000_000_000
# All processes of a CPU engine with the pocket checkpoint: 2.9 GB resident, vLLM 0.32.
POCKET_MEMORY = 4 * GB
# Profiles of the full model on a GPU; the one that fits this machine is offered, the first where none does.
FULL = ("workstation", "small-gpu", "dgx-spark")
OFFERED = (*FULL, "pocket")
_KEYS: Mapping[str, Literal["workstation", "pocket"]] = {**dict.fromkeys(FULL, "workstation"), "pocket": "pocket"}


@dataclass(frozen=True, slots=True)
class Need:
    """What installing a runtime takes, in bytes, or why it cannot be installed here.

    `image` says that it is a container image, whose size only the tool that fetches it knows.
    """

    download_bytes: int = 0
    disk_bytes: int = 0
    problem: str = ""
    image: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found on this machine.

    `needs` holds the runtimes that are not installed, by device or image; `lacking` the profiles whose checkpoint has
    to be fetched first; `disk_free` is in bytes, at `folder`, where runtimes go.
    """

    gpus: tuple[GpuMemory, ...] = ()
    memory: HostMemory | None = None
    disk_free: int = 0
    folder: str = ""
    runtimes: tuple[str, ...] = ()
    """Installed runtimes and existing vLLMs, each in a few words."""
    profiles: tuple[Profile, ...] = ()
    needs: Mapping[str, Need] = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()
    linux: bool = True
    wanted: str = ""
    """The profile that was asked for."""
    gpu: int | None = None
    """Number of the GPU that was asked for."""
    without_gpu: Fallback = "pocket"
    others: tuple[str, ...] = ()
    """GPUs of other makers, in words."""

    @property
    def default(self) -> tuple[str, str]:
        """The profile for this machine, and why."""
        return default_profile(self.gpus, gpu=self.gpu, without_gpu=self.without_gpu, others=self.others)


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to begin; `problem` is a sentence where it is not open on this machine, else empty.

    `device` is the runtime to install first, `image` the one to fetch as a container image, and `checkpoint` the
    repository to fetch first, each None where nothing is missing; the bytes count all but the image.
    """

    key: Literal["workstation", "pocket", "profile", "attach"]
    title: str
    detail: str
    profile: str | None = None
    device: Device | None = None
    image: str | None = None
    checkpoint: str | None = None
    download_bytes: int = 0
    disk_bytes: int = 0
    licence: str = ""
    recommended: bool = False
    problem: str = ""


def survey(wanted: str = "") -> Survey:
    """Look at this machine, with the profile `wanted` among those offered; nothing is started or fetched.

    Takes up to a second: call it off the event loop.
    """
    from gemma_backend.checkpoint.locate import locate
    from gemma_backend.metrics.gpu import gpus
    from gemma_backend.metrics.host import host_memory

    folder, settings = data_dir(), load().settings
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    profiles = tuple(profile for profile in list_profiles() if profile.name in (*OFFERED, wanted))
    lacking = set()
    for profile in profiles:
        try:
            locate(profile.checkpoint or "")
        except (BadInput, EngineError):
            lacking.add(profile.name)
    linux = sys.platform == "linux"
    runtimes, needs = _runtimes(profiles) if linux else ((), {})
    return Survey(
        gpus=gpus(),
        memory=host_memory(None),
        disk_free=shutil.disk_usage(there).free,
        folder=str(folder),
        runtimes=runtimes,
        profiles=profiles,
        needs=needs,
        lacking=frozenset(lacking),
        linux=linux,
        wanted=wanted,
        gpu=settings.gpu,
        without_gpu=settings.without_gpu,
        others=other_gpus(),
    )


def choices(found: Survey) -> list[Choice]:
    """The ways to begin on a machine as `found`, the recommended one marked; pure."""
    by_name = {profile.name: profile for profile in found.profiles}
    wanted, why = found.default
    full = wanted if wanted in FULL else FULL[0]
    names = [name for name in by_name if name not in OFFERED or name == found.wanted != full]
    names += [name for name in (full, "pocket") if name in by_name and name not in names]
    offered = [_own(by_name[name], found, why if name == wanted else "") for name in names]
    offered.append(
        Choice(
            "attach", "Attach to a URL", "Talk to an OpenAI-compatible server that runs elsewhere: nothing to fetch."
        )
    )
    open_ones = [choice for choice in offered if not choice.problem]
    best = next((choice for choice in open_ones if choice.profile == wanted), open_ones[0])
    return [dataclasses.replace(choice, recommended=choice is best) for choice in offered]


def _own(profile: Profile, found: Survey, why: str) -> Choice:
    need = found.needs.get(profile.runtime)
    lacking = profile.name in found.lacking
    download = (need.download_bytes if need else 0) + (profile.download_bytes if lacking else 0)
    disk = (need.disk_bytes if need else 0) + (profile.disk_bytes if lacking else 0)
    return Choice(
        key=_KEYS.get(profile.name, "profile"),
        title=profile.title or profile.name,
        detail=why or profile.description,
        profile=profile.name,
        device=_device(profile) if need else None,
        image=profile.runtime if need is not None and need.image else None,
        checkpoint=profile.checkpoint if lacking else None,
        download_bytes=download,
        disk_bytes=disk,
        licence=profile.licence,
        problem=_problem(profile, found, need, disk),
    )


def _device(profile: Profile) -> Device | None:
    """The runtime that `profile` names, where it is one that can be installed."""
    return "cpu" if profile.runtime == "cpu" else "cuda" if profile.runtime == "cuda" else None


def _problem(profile: Profile, found: Survey, need: Need | None, disk: int) -> str:
    if not found.linux:
        return "vLLM runs on Linux only: attach to a server that runs there."
    if profile.runtime == "cuda" and found.default[0] not in FULL:
        return found.default[1].partition(",")[0].rstrip(".") + "; 4 GiB are needed."
    if need is not None and need.image and profile.name in FULL and not found.gpus:
        return "No NVIDIA GPU was found, so the container would have none."
    if need is not None and need.problem:
        return need.problem
    if disk > found.disk_free:
        return (
            f"{disk / GB:.1f} GB are needed at {found.folder} and {found.disk_free / GB:.1f} GB are free: make room, "
            "or set GEMMA_TUI_DATA_DIR to a larger disk."
        )
    if profile.name == "pocket" and found.memory is not None and found.memory.available < POCKET_MEMORY:
        return f"{POCKET_MEMORY / GB:.0f} GB of memory are needed and {found.memory.available / GB:.1f} GB are free."
    return ""


def _image_need(profile: Profile) -> Need | None:
    """What the image that `profile` runs in takes; None for another runtime and where it is here."""
    from gemma_backend.runtime.container import find_image, is_image

    if not is_image(profile.runtime):
        return None
    try:
        return None if find_image(profile.runtime) is not None else Need(image=True)
    except EngineError as error:
        return Need(problem=str(error))


def _runtimes(profiles: tuple[Profile, ...]) -> tuple[tuple[str, ...], dict[str, Need]]:
    from gemma_backend.runtime.find import find, list_runtimes
    from gemma_backend.runtime.install import plan

    needs = {profile.runtime: need for profile in profiles if (need := _image_need(profile)) is not None}
    for device in {_device(profile) for profile in profiles}:
        if device is None or find(device) is not None:
            continue
        try:
            planned = plan(device)
            needs[device] = Need(planned.download_bytes, planned.disk_bytes)
        except EngineError as error:
            needs[device] = Need(problem=str(error))
    listed = tuple(f"vLLM {runtime.version} ({runtime.device}) at {Path(runtime.path)}" for runtime in list_runtimes())
    return listed, needs
