"""What `doctor` says of this machine: each check is a pure function from facts to findings and what a person can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from gemma_backend.checkpoint import reader
from gemma_backend.config.profiles import Profile
from gemma_backend.config.settings import Settings
from gemma_backend.engine import fp4_backend
from gemma_backend.engine.command import version_tuple
from gemma_backend.runtime import flags
from gemma_backend.runtime.container import is_image
from gemma_backend.runtime.fitting import misfits
from gemma_backend.session.machine import Facts, User, look
from gemma_backend.session.remarks import of_kernels

Verdict = Literal["ok", "note", "missing"]
GIB = 1 << 30
# torch and vLLM pass tensors between an engine's processes through shared memory; Docker's default of 64 MiB fails.
SHARED_MEMORY = 1 * GIB
# Compiled graphs and kernels of one profile on one vLLM take some hundred megabytes.
CACHE_SPACE = 2 * 10**9
# The weights of a W4A16 E2B, what CUDA and vLLM take besides, and room for one context.
LEAST_GPU = 9 * GIB
LEAST_SMALL_GPU = 4 * GIB
# Oldest driver for each CUDA major version (NVIDIA's CUDA compatibility guide, minor version compatibility).
DRIVERS = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found, and what to do if it is not as it should be."""

    subject: str
    verdict: Verdict
    text: str
    advice: str = ""


def check_up(settings: Settings, port: int = 8000) -> list[Finding]:
    """Look at everything; nothing is started, fetched or changed. Raises UsageError for a profile that is not there."""
    return findings(look(settings, port))


def findings(facts: Facts) -> list[Finding]:
    """What is to be said of `facts`, in the order in which a start needs it; pure."""
    return [finding for check in CHECKS for finding in check(facts)]


def python(facts: Facts) -> Iterator[Finding]:
    """The program's own Python."""
    yield Finding("Python", "ok", facts.python)


def memory(facts: Facts) -> Iterator[Finding]:
    """The machine's memory, and what its processes share."""
    if facts.memory is not None:
        available, total = facts.memory
        yield Finding("memory", "ok", f"{available / GIB:.1f} of {total / GIB:.1f} GiB available")
    if facts.shared_memory is None:
        return
    if facts.shared_memory >= SHARED_MEMORY:
        yield Finding("shared memory", "ok", f"{facts.shared_memory / GIB:.1f} GiB free in /dev/shm")
    else:
        yield Finding(
            "shared memory",
            "missing",
            f"{facts.shared_memory / (1 << 20):.0f} MiB free in /dev/shm",
            "vLLM's processes need 1 GiB there: remount it larger (sudo mount -o remount,size=8g /dev/shm), or in a "
            "container start that with --shm-size 8g or --ipc host.",
        )


def folders(facts: Facts) -> Iterator[Finding]:
    """Whether what the program keeps can be written, and has room."""
    for folder in facts.folders:
        text = f"{folder.path}, {folder.free / 1e9:.0f} GB free"
        if not folder.writable:
            advice = f"Make it writable, or set {folder.variable} to another folder."
            yield Finding(folder.use, "missing", f"{text}, cannot be written", advice)
        elif folder.use == "cache folder" and folder.free < CACHE_SPACE:
            text = f"{folder.path}, only {folder.free / 1e9:.1f} GB free"
            advice = (
                f"Compiled graphs need some 2 GB there: free some space, or set {folder.variable} to another folder."
            )
            yield Finding(folder.use, "missing", text, advice)
        else:
            yield Finding(folder.use, "ok", text)


def space(facts: Facts) -> Iterator[Finding]:
    """Whether what is still to be fetched has room."""
    data = next((folder for folder in facts.folders if folder.use == "data folder"), None)
    need = facts.runtime_disk if facts.installed is None else 0
    if facts.profile is not None and facts.checkpoint is None:
        need += facts.profile.disk_bytes
    if data is not None and need > data.free:
        yield Finding(
            "disk",
            "missing",
            f"{need / 1e9:.1f} GB are still to be fetched and {data.free / 1e9:.1f} GB are free",
            "Free some space, or set GEMMA_TUI_DATA_DIR and HF_HOME to folders on a larger disk.",
        )


def gpus(facts: Facts) -> Iterator[Finding]:
    """The GPUs, and whether other processes fill the one that the profile wants."""
    if not facts.gpus:
        yield Finding("GPU", "note", "no NVIDIA GPU was found", "The pocket checkpoint runs on the CPU instead.")
    for gpu in facts.gpus:
        if gpu.free is None or gpu.total is None:
            yield Finding(f"GPU {gpu.index}", "ok", f"{gpu.name}, memory not told")
            continue
        text = f"{gpu.name}, {gpu.free / GIB:.1f} of {gpu.total / GIB:.1f} GiB free"
        text += " (unified memory)" if gpu.unified else ""
        need = _needed(facts.profile, gpu.total) if _uses_gpu(facts) else 0
        if gpu.free >= need:
            yield Finding(f"GPU {gpu.index}", "ok", text)
            continue
        holders = ", ".join(map(_held, facts.gpu_users.get(gpu.index, ()))) or "processes that the driver does not name"
        yield Finding(
            f"GPU {gpu.index}",
            "missing" if len(facts.gpus) == 1 else "note",
            f"{text}, and the profile takes {need / GIB:.1f}; it is held by {holders}",
            "End what is not needed, lower gpu-memory-utilization in the profile, or choose another with --profile.",
        )


def driver(facts: Facts) -> Iterator[Finding]:
    """Whether the NVIDIA driver is new enough for the CUDA that the runtime was built with."""
    if facts.driver is not None:
        cuda = f", for CUDA {facts.driver.cuda[0]}.{facts.driver.cuda[1]} or older" if facts.driver.cuda else ""
        old = driver_too_old(facts)
        if old is None:
            yield Finding("NVIDIA driver", "ok", f"{facts.driver.release}{cuda}")
        else:
            yield Finding("NVIDIA driver", "missing", f"{facts.driver.release}{cuda}; {old[0]}", old[1])


def driver_too_old(facts: Facts) -> tuple[str, str] | None:
    """What is too old, and what to do; None where the driver does, or nothing is known."""
    built = facts.installed.packages.cuda if facts.installed is not None and facts.installed.packages else ""
    major = int(built.partition(".")[0]) if built.partition(".")[0].isdigit() else None
    if major is None or facts.driver is None or not _uses_gpu(facts):
        return None
    oldest = DRIVERS.get(major)
    release, told = version_tuple(facts.driver.release), facts.driver.cuda
    new_enough = release >= version_tuple(oldest) if oldest and release else told is None or told[0] >= major
    if new_enough:
        return None
    return (
        f"the runtime was built for CUDA {built}",
        f"Update the driver to {oldest or 'a newer one'} or newer, or use a runtime built for an older CUDA.",
    )


def runtimes(facts: Facts) -> Iterator[Finding]:
    """Every installation of vLLM that was found, and what can be updated or is of a newer version of this program."""
    for runtime in facts.runtimes:
        yield Finding("runtime", "ok", f"{runtime.name}: {runtime.kind}, {runtime.device}, {runtime.version}")
    for said in (*facts.outdated, *facts.newer):
        yield Finding("runtime", "note", said)


def profile(facts: Facts) -> Iterator[Finding]:
    """The profile, and whether what it runs on is there."""
    if facts.profile is None:
        return
    yield Finding("profile", "ok", f"{facts.profile.name}. {facts.why or 'It was asked for.'}")
    if facts.profile.url is not None:
        return
    if facts.runtime_error:
        yield Finding("vLLM", "missing", facts.runtime_error)
    elif facts.installed is None:
        wanted = facts.profile.runtime
        name = wanted if is_image(wanted) or wanted == "cpu" else "cuda"
        yield Finding(
            "vLLM",
            "missing",
            f"no runtime for {wanted!r} is installed",
            f"Install one: gemma-tui engine install --runtime {name}",
        )


def packages(facts: Facts) -> Iterator[Finding]:
    """Whether the packages of the profile's runtime fit each other, and can be imported."""
    installed = facts.installed
    if installed is None:
        return
    if installed.problem is not None:
        yield Finding("vLLM", "missing", f"{installed.runtime.name}: {installed.problem}")
        return
    if installed.packages is None:
        yield Finding("vLLM", "missing", f"{installed.runtime.name} does not run", "Install it again, or repair it.")
        return
    held = installed.packages
    found = misfits(held)
    for one in found:
        yield Finding("packages", "missing" if one.fatal else "note", one.text, one.advice)
    wanted = facts.checkpoint_need
    unread = reader.unreadable(held.versions.get("transformers"), wanted)
    if wanted is not None and unread is not None:
        advice = reader.NEWER if wanted.certain else f"If the start fails on an unknown configuration: {reader.NEWER}"
        yield Finding("checkpoint", "missing" if wanted.certain else "note", unread, advice)
    if installed.import_problem is not None:
        yield Finding(
            "torchvision",
            "missing",
            f"it cannot be imported: {installed.import_problem}",
            "Install the torchvision of this torch's own release and build (+cpu beside +cpu), or a runtime: "
            "gemma-tui engine install",
        )
    if not any(one.fatal for one in found) and installed.import_problem is None:
        names = ("transformers", "tokenizers", "torch", "torchvision")
        versions = ", ".join(f"{name} {held.versions[name]}" for name in names if name in held.versions)
        yield Finding("packages", "ok", f"vLLM {held.vllm} with {versions}")


def checkpoint(facts: Facts) -> Iterator[Finding]:
    """Whether the checkpoint is here, and can be read by the runtime's vLLM."""
    if facts.profile is None or facts.profile.url is not None:
        return
    if facts.checkpoint is None:
        yield Finding("checkpoint", "missing", facts.checkpoint_error)
        return
    version = facts.installed.runtime.version if facts.installed is not None else ""
    problem = None
    if _uses_gpu(facts) and facts.installed is not None:
        problem = fp4_backend.cannot_read(facts.weights, version, version_tuple(version))
    if problem is not None:
        yield Finding("checkpoint", "missing", problem)
        return
    yield Finding("checkpoint", "ok", f"{facts.profile.served_name} in {facts.checkpoint}")
    if _uses_gpu(facts):
        for note in of_kernels(facts.profile, facts.weights, version, [gpu.compute_capability for gpu in facts.gpus]):
            yield Finding("FP4", "note", note)


def memory_plan(facts: Facts) -> Iterator[Finding]:
    """Whether the checkpoint fits on the GPU, and with how long a context."""
    if facts.plan is not None:
        advice = "" if facts.plan.fits else "What takes how much: gemma-tui model fit"
        text = " ".join((facts.plan.verdict, *facts.plan.notes))
        yield Finding("memory plan", "ok" if facts.plan.fits else "note", text, advice)


def options(facts: Facts) -> Iterator[Finding]:
    """Whether the runtime's vLLM knows every option of the profile."""
    installed = facts.installed
    if installed is None or installed.flags is None or facts.profile is None:
        return
    for name in flags.unknown(facts.profile.flags, installed.flags):
        text = flags.refusal(name, installed.flags, installed.runtime.version, facts.profile.name)
        yield Finding("options", "missing", text, "Change it in the profile.")


def port(facts: Facts) -> Iterator[Finding]:
    """Whether the port that `serve` takes is free."""
    if facts.port_taken:
        user = f" by {facts.port_user.name} (pid {facts.port_user.pid})" if facts.port_user is not None else ""
        advice = "gemma-tui serve needs another: give it --port, or stop what listens."
        yield Finding(f"port {facts.port}", "note", f"in use{user}", advice)
    else:
        yield Finding(f"port {facts.port}", "ok", "free")


CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    python,
    memory,
    folders,
    space,
    gpus,
    driver,
    runtimes,
    profile,
    packages,
    checkpoint,
    memory_plan,
    options,
    port,
)


def _uses_gpu(facts: Facts) -> bool:
    if facts.profile is None or facts.profile.url is not None:
        return False
    if facts.installed is not None:
        return facts.installed.runtime.device == "cuda"
    return facts.profile.runtime != "cpu"


def _needed(profile: Profile | None, total: int) -> int:
    """Bytes of a GPU that a profile takes at least."""
    if profile is None:
        return 0
    share = profile.flags.get("gpu-memory-utilization")
    if isinstance(share, int | float) and not isinstance(share, bool):
        return round(total * share)
    return LEAST_SMALL_GPU if profile.per_layer_table == "host" else LEAST_GPU


def _held(user: User) -> str:
    size = f" with {user.bytes / GIB:.1f} GiB" if user.bytes else ""
    return f"{user.name or 'a process'} (pid {user.pid}){size}"
