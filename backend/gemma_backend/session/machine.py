"""What `doctor` knows of this machine before it judges: facts alone, gathered without starting or changing anything."""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from gemma_backend.checkpoint import fp4, reader
from gemma_backend.checkpoint.fit import Plan
from gemma_backend.checkpoint.header import read_checkpoint
from gemma_backend.checkpoint.locate import locate
from gemma_backend.config import paths
from gemma_backend.config.profiles import Profile
from gemma_backend.config.settings import Settings
from gemma_backend.engine.proc import everyone, holds, listening
from gemma_backend.metrics import gpu as nvml
from gemma_backend.metrics.host import host_memory
from gemma_backend.runtime import find, flags, install, packages
from gemma_backend.runtime.found import Runtime
from gemma_backend.runtime.outdated import outdated
from gemma_backend.session.choose import chosen_profile
from gemma_backend.session.planning import card_of, chosen_gpu, planned
from gemma_backend.types import GemmaError, GpuMemory

SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that something is written to: its use, the variable that moves it, bytes free there."""

    use: str
    path: Path
    variable: str
    free: int
    writable: bool


@dataclass(frozen=True, slots=True)
class User:
    """A process: its pid, its name, and bytes on a GPU where they are told."""

    pid: int
    name: str
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """The profile's runtime: what it holds, what its files show to be wrong, and why torchvision cannot be imported."""

    runtime: Runtime
    packages: packages.Packages | None = None
    flags: flags.Flags | None = None
    problem: str | None = None
    import_problem: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is looked at; bytes, and None where the system does not tell."""

    python: str = ""
    memory: tuple[int, int] | None = None
    shared_memory: int | None = None
    folders: tuple[Folder, ...] = ()
    gpus: tuple[GpuMemory, ...] = ()
    gpu_users: dict[int, tuple[User, ...]] = field(default_factory=dict)
    driver: nvml.Driver | None = None
    profile: Profile | None = None
    why: str = ""
    runtimes: tuple[Runtime, ...] = ()
    outdated: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()
    installed: Installed | None = None
    runtime_error: str = ""
    runtime_disk: int = 0
    checkpoint: Path | None = None
    checkpoint_error: str = ""
    checkpoint_need: reader.Need | None = None
    weights: fp4.Fp4 | None = None
    plan: Plan | None = None
    port: int = 0
    port_user: User | None = None
    port_taken: bool = False


def look(settings: Settings, port: int) -> Facts:
    """Look at everything; takes some seconds, most of them for importing torch in the runtime."""
    profile, why = chosen_profile(settings.profile, settings)
    memory = host_memory(None)
    cards = nvml.gpus()
    installed, runtime_error = _installed(profile)
    checkpoint, checkpoint_error = _checkpoint(profile)
    taken, user = listener(port)
    there = find.list_runtimes()
    return Facts(
        python=f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}",
        memory=(memory.available, memory.total) if memory is not None else None,
        shared_memory=shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None,
        folders=tuple(map(folder, ("data", "cache", "state", "log"))),
        gpus=cards,
        gpu_users={card.index: tuple(map(_gpu_user, nvml.gpu_processes(card.index))) for card in cards},
        driver=nvml.driver(),
        profile=profile,
        why=why,
        runtimes=tuple(there),
        outdated=tuple(said for runtime in there if (said := outdated(runtime)) is not None),
        newer=tuple(find.newer()),
        installed=installed,
        runtime_error=runtime_error,
        runtime_disk=_runtime_disk(profile) if installed is None else 0,
        checkpoint=checkpoint,
        checkpoint_error=checkpoint_error,
        checkpoint_need=reader.need_of(checkpoint) if checkpoint is not None else None,
        weights=fp4.look_at(checkpoint) if checkpoint is not None else None,
        plan=_plan(profile, cards, checkpoint) if checkpoint is not None and profile.runtime != "cpu" else None,
        port=port,
        port_user=user,
        port_taken=taken,
    )


def folder(kind: str) -> Folder:
    """One of the program's own folders, or where it will be made."""
    path = {"data": paths.data_dir, "cache": paths.cache_dir, "state": paths.state_dir, "log": paths.log_dir}[kind]()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    return Folder(f"{kind} folder", path, f"GEMMA_TUI_{kind.upper()}_DIR", shutil.disk_usage(there).free, writes(there))


def writes(place: Path) -> bool:
    """Whether a file can be made in `place`: tried, because permissions say nothing of a disk mounted read-only."""
    try:
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


def listener(port: int) -> tuple[bool, User | None]:
    """Whether somebody listens on a TCP port of this machine, and who where this user may see that."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    return taken, _listening(port) if taken else None


def _listening(port: int) -> User | None:
    sockets = listening(port)
    found = next((process.pid for process in everyone() if holds(process.pid, sockets)), None)
    return User(found, name_of(found)) if found is not None else None


def name_of(pid: int) -> str:
    """The name of a process, "" where it has gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""


def _gpu_user(process: tuple[int, int | None]) -> User:
    return User(process[0], name_of(process[0]), process[1])


def _installed(profile: Profile) -> tuple[Installed | None, str]:
    if profile.url is not None:
        return None, ""
    try:
        runtime = find.find(profile.runtime)
    except GemmaError as error:
        return None, str(error)
    if runtime is None:
        return None, ""
    problem = find.problem(runtime)
    if problem is not None:
        return Installed(runtime, problem=problem), ""
    known = flags.known(runtime)
    if known is None and flags.unknown(profile.flags, None):
        known = flags.read(runtime)
    return Installed(runtime, packages.packages(runtime), known, None, packages.import_problem(runtime)), ""


def _runtime_disk(profile: Profile) -> int:
    """Bytes that installing the profile's runtime takes; 0 where nothing can be installed for it."""
    if profile.runtime not in ("cpu", "cuda", "auto"):
        return 0
    try:
        planned = install.plan("cpu" if profile.runtime == "cpu" else "cuda")
    except GemmaError:
        return 0
    return planned.disk_bytes + planned.download_bytes


def _checkpoint(profile: Profile) -> tuple[Path | None, str]:
    if profile.url is not None:
        return None, ""
    if profile.checkpoint is None:
        return None, f"the profile {profile.name!r} names none"
    try:
        return locate(profile.checkpoint), ""
    except GemmaError as error:
        return None, str(error)


def _plan(profile: Profile, cards: tuple[GpuMemory, ...], checkpoint: Path) -> Plan | None:
    """How the checkpoint would be served on the GPU that the profile runs on, None where that cannot be told."""
    gpu = chosen_gpu(cards, profile)
    if gpu is None or gpu.total is None or gpu.free is None:
        return None
    try:
        return planned(profile, read_checkpoint(checkpoint), card_of(gpu))
    except GemmaError:
        return None
