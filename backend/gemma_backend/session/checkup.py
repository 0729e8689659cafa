"""What `doctor` looks at before anything starts: each check is one finding with what a person can do about it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gemma_backend.checkpoint.locate import locate
from gemma_backend.config import paths
from gemma_backend.config.profiles import Profile
from gemma_backend.config.settings import Settings
from gemma_backend.metrics.gpu import gpus
from gemma_backend.metrics.host import host_memory
from gemma_backend.runtime.find import find, list_runtimes
from gemma_backend.session.choose import chosen_profile
from gemma_backend.types import GemmaError

Verdict = Literal["ok", "note", "missing"]
GIB = 1 << 30
# torch and vLLM pass tensors between an engine's processes through shared memory; Docker's default of 64 MiB fails.
SHARED_MEMORY = 1 * GIB


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found, and what to do if it is not as it should be."""

    subject: str
    verdict: Verdict
    text: str
    advice: str = ""


def check_up(settings: Settings, port: int = 8000) -> list[Finding]:
    """Look at everything; nothing is started, fetched or changed, and a check that fails itself is a finding."""
    findings: list[Finding] = []
    for subject, check in _CHECKS.items():
        try:
            findings += check(settings)
        except (GemmaError, OSError) as error:
            findings.append(Finding(subject, "missing", str(error)))
    return [*findings, _port(port)]


def _python(_: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", "ok", f"{version} at {sys.executable}")


def _memory(_: Settings) -> Iterator[Finding]:
    memory = host_memory(None)
    if memory is not None:
        yield Finding("memory", "ok", f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB available")
    shared = Path("/dev/shm")
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        if free >= SHARED_MEMORY:
            yield Finding("shared memory", "ok", f"{free / GIB:.1f} GiB free in {shared}")
        else:
            yield Finding(
                "shared memory",
                "missing",
                f"{free / (1 << 20):.0f} MiB free in {shared}",
                "vLLM's processes need 1 GiB there: in a container, start it with --shm-size 1g or --ipc host.",
            )


def _folders(_: Settings) -> Iterator[Finding]:
    for name, folder in (("data folder", paths.data_dir()), ("cache folder", paths.cache_dir())):
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free
        text = f"{folder}, {free / 1e9:.0f} GB free"
        if os.access(there, os.W_OK | os.X_OK):
            yield Finding(name, "ok", text)
        else:
            variable = "GEMMA_TUI_DATA_DIR" if name == "data folder" else "GEMMA_TUI_CACHE_DIR"
            yield Finding(
                name, "missing", f"{text}, not writable", f"Make {there} writable or set {variable} to another folder."
            )


def _gpus(_: Settings) -> Iterator[Finding]:
    found = gpus()
    if not found:
        yield Finding("GPU", "note", "no NVIDIA GPU was found", "The pocket checkpoint runs on the CPU instead.")
    for gpu in found:
        if gpu.free is None or gpu.total is None:
            text = f"{gpu.name}, memory not told"
        else:
            text = f"{gpu.name}, {gpu.free / GIB:.1f} of {gpu.total / GIB:.1f} GiB free"
            text += " (unified memory)" if gpu.unified else ""
        yield Finding(f"GPU {gpu.index}", "ok", text)


def _runtimes(_: Settings) -> Iterator[Finding]:
    for runtime in list_runtimes():
        yield Finding("runtime", "ok", f"{runtime.name}: {runtime.kind}, {runtime.device}, {runtime.version}")


def _profile(settings: Settings) -> Iterator[Finding]:
    profile, why = chosen_profile(settings.profile)
    yield Finding("profile", "ok", f"{profile.name}. {why or 'It was asked for.'}")
    if profile.url is not None:
        return
    if find(profile.runtime) is None:
        device = "cpu" if profile.runtime == "cpu" else "cuda"
        yield Finding(
            "vLLM",
            "missing",
            f"no runtime for {profile.runtime!r} is installed",
            f"Install one: gemma-tui engine install --runtime {device}",
        )
    yield _checkpoint(profile)


def _checkpoint(profile: Profile) -> Finding:
    if profile.checkpoint is None:
        return Finding("checkpoint", "missing", f"the profile {profile.name!r} names none")
    try:
        return Finding("checkpoint", "ok", f"{profile.served_name} in {locate(profile.checkpoint)}")
    except GemmaError as error:
        return Finding("checkpoint", "missing", str(error))


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return Finding(
                f"port {port}", "note", "in use", "gemma-tui serve needs another: give it --port, or stop what listens."
            )
    return Finding(f"port {port}", "ok", "free")


_CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "Python": _python,
    "memory": _memory,
    "folders": _folders,
    "GPU": _gpus,
    "runtimes": _runtimes,
    "profile": _profile,
}
