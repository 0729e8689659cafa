"""Install a managed runtime: built aside, checked, and moved into place in one step."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gemma_backend.config import paths
from gemma_backend.runtime import find, locks, pip, process
from gemma_backend.runtime.check import check
from gemma_backend.runtime.found import Runtime, versions, vllm_version
from gemma_backend.runtime.locks import Device, Lock, Package
from gemma_backend.types import EngineError

# Shares of the whole, about as the times are: the environment, all of pip's work, the check.
_ENVIRONMENT, _PACKAGES = 0.04, 0.80


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an installation is: a fraction from 0 to 1 and what is being done."""

    fraction: float
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What an installation would take: bytes to fetch and on disk, with which Python, and why it can't be if it can't.

    `installed` is true if exactly this lock is installed already.
    """

    device: Device
    download_bytes: int
    disk_bytes: int
    python: str
    version: str
    target: Path
    free_bytes: int
    installed: bool
    problem: str | None = None


def plan(device: Device, *, where: Path | None = None) -> Plan:
    """What `install(device)` would do; EngineError only where no lock fits this machine and its Pythons."""
    lock, _ = _choose(device, where)
    target = find.folder() / device
    free = shutil.disk_usage(_existing(target)).free
    installed = find.read_mark(target).get("lock") == lock.digest and (target / "bin" / "python").exists()
    # While pip works, the wheels lie beside what they are unpacked to.
    needed = lock.disk_bytes + lock.download_bytes
    problem = None
    if not installed and free < needed:
        problem = (
            f"Installing the {device} runtime needs {_gigabytes(needed)} in {target.parent}, where {_gigabytes(free)} "
            "are free; free some space, or set GEMMA_TUI_DATA_DIR to a folder on a larger disk."
        )
    return Plan(
        device, lock.download_bytes, lock.disk_bytes, lock.python, lock.main.version, target, free, installed, problem
    )


def install(
    device: Device,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    where: Path | None = None,
) -> Runtime:
    """Install the runtime for `device` and return it; does nothing if it is there already.

    Blocks for a minute or more; call it on a thread of its own. `cancelled` is asked several times a second. `where` is
    a folder of locks in place of those that ship. EngineError has one sentence for no space, no network, no fitting
    Python, an interrupted installation and a runtime that does not work when checked.
    """
    lock, interpreter = _choose(device, where)
    target = find.folder() / device
    with _stoppable(device), _alone(device, progress, cancelled):
        if find.read_mark(target).get("lock") == lock.digest:
            found = find.managed(device)
            if found is not None and found.python.exists():
                progress(Progress(1.0, f"The {device} runtime is installed."))
                return found
        problem = plan(device, where=where).problem
        if problem is not None:
            raise EngineError(problem)
        _remove_leftovers(device)
        building = Path(tempfile.mkdtemp(prefix=f".building-{device}-", dir=find.folder()))
        try:
            _Build(lock, interpreter, building, target, progress, cancelled).run()
            _move(building, target, device)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    runtime = find.managed(device)
    if runtime is None:
        raise EngineError(f"The {device} runtime vanished from {target} while it was put there; install it again.")
    progress(Progress(1.0, f"The {device} runtime is installed."))
    return runtime


@contextmanager
def _stoppable(device: Device) -> Iterator[None]:
    """Turn a stop and the system's refusals into sentences."""
    try:
        yield
    except process.Cancelled:
        raise EngineError(
            f"The installation of the {device} runtime was stopped and nothing was changed; "
            f"run `gemma-tui engine install --runtime {device}` to go on."
        ) from None
    except OSError as error:
        raise EngineError(_of_system(error, device)) from error


class _Build:
    """One installation in progress, in the folder `root`."""

    def __init__(
        self,
        lock: Lock,
        interpreter: Path,
        root: Path,
        target: Path,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.lock, self.interpreter, self.root, self.target = lock, interpreter, root, target
        self.progress, self.cancelled = progress, cancelled
        self.python = root / "bin" / "python"
        self.site = root / "lib" / f"python{lock.python}" / "site-packages"
        self.scratch = root / ".scratch"
        self.log = paths.ensure(paths.log_dir()) / f"install-{lock.device}.log"
        self.log.write_bytes(b"")
        self.done = _ENVIRONMENT
        self.total = max(1, lock.download_bytes)

    def run(self) -> None:
        """Do every step, ending with the mark that makes the folder a runtime."""
        self.progress(Progress(0.0, f"Making an environment for Python {self.lock.python}"))
        if self._run([str(self.interpreter), "-m", "venv", str(self.root)]):
            raise EngineError(
                f"Python {self.lock.python} could not make a virtual environment; install its venv module "
                f"(Debian and Ubuntu: python{self.lock.python}-venv). The whole output: {self.log}"
            )
        self.scratch.mkdir(mode=0o700)
        rest = list(self.lock.packages) + self._torch_builds()
        if not self._pip(rest):
            raise EngineError(f"The {self.lock.device} runtime was not installed: {self._cause()}.")
        shutil.rmtree(self.scratch)
        self.progress(Progress(_ENVIRONMENT + _PACKAGES, "Checking that it can be imported"))
        problem = check(self.lock.device, self.python, self._run)
        if problem is not None:
            raise EngineError(f"The {self.lock.device} runtime does not work: {problem} The whole output: {self.log}")
        found = versions(self.python)
        mark = {
            "format_version": find.FORMAT,
            "device": self.lock.device,
            "version": vllm_version(found) if self.lock.device != "quantize" else found.get("nvidia-modelopt"),
            "lock": self.lock.digest,
            "versions": found,
            "bytes": _size(self.root),
        }
        _move_inside(self.root, self.target)
        (self.root / find.MARK).write_text(json.dumps(mark, indent=1) + "\n", "utf-8")

    def _torch_builds(self) -> list[Package]:
        """Install PyTorch's CPU builds: from where pip looks, else from PyTorch's index. Returns what replaces others.

        They come first and by themselves, so that no other package is asked for at PyTorch's index.
        """
        missing = [package for package in self.lock.torch_builds if not self._pip([package])]
        if missing:
            # One question for all that is missing: an index out of reach costs its time-out only once.
            missing = [] if self._pip(missing, index=pip.TORCH_CPU_INDEX) else missing
        for package in missing:
            if package.name not in self.lock.instead:
                raise EngineError(
                    f"The {self.lock.device} runtime was not installed, because {package.name} {package.version} could "
                    f"not be had: {self._cause()}."
                )
        return [self.lock.instead[package.name] for package in missing]

    def _pip(self, packages: list[Package], index: str | None = None) -> bool:
        requirements = self.root / "requirements.txt"
        requirements.write_text("".join(f"{package.requirement}\n" for package in packages))
        share = _PACKAGES * sum(package.size for package in packages) / self.total
        meter = pip.Progress(packages, self.log, self.scratch, self.site)

        def watch() -> None:
            at = self.done + share * meter.fraction()
            what = packages[0].name if len(packages) == 1 else meter.current
            words = "Unpacking" if meter.current == "unpacking" else f"Fetching {what}" if what else "Fetching"
            self.progress(Progress(min(at, _ENVIRONMENT + _PACKAGES), words))

        hashes = all(package.sha256 for package in packages)
        code = self._run(pip.arguments(self.python, requirements, index=index, hashes=hashes), watch)
        requirements.unlink()
        if code == 0:
            self.done += share
        return code == 0

    def _run(self, command: list[str], watch: Callable[[], None] = lambda: None) -> int:
        # A person's settings say where packages come from; where they go is not theirs to say here.
        environment = {"PYTHONNOUSERSITE": "1", "PYTHONPATH": "", "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
        environment["TMPDIR"] = str(self.scratch if self.scratch.exists() else self.root)
        return process.run(command, log=self.log, environment=environment, cancelled=self.cancelled, watch=watch)

    def _cause(self) -> str:
        return f"{pip.cause(self.log.read_text('utf-8', 'replace'))} (pip's whole output: {self.log})"


def _choose(device: Device, where: Path | None) -> tuple[Lock, Path]:
    """The lock and the Python to install with: this program's own version if there is a lock, else one on PATH."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    there = locks.pythons(device, where)
    if own not in there:
        for version in reversed(there):
            other = shutil.which(f"python{version}")
            if other is not None and _runs(other, version):
                return locks.load(device, version, where), Path(other)
    return locks.load(device, own, where), Path(sys.executable)


def _runs(python: str, version: str) -> bool:
    """Whether a command on PATH is what its name says: version switchers leave names that only print an error."""
    ask = [python, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() == version


@contextmanager
def _alone(device: Device, progress: Callable[[Progress], None], cancelled: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock of `device`, waiting for another installation to end first."""
    import fcntl

    paths.ensure(find.folder())
    handle = os.open(find.folder() / f".lock-{device}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancelled():
                    raise EngineError(
                        f"The wait for another installation of the {device} runtime was stopped."
                    ) from None
                progress(Progress(0.0, "Waiting for another installation of the same runtime"))
                time.sleep(process.POLL_S)
        yield
    finally:
        os.close(handle)


def _remove_leftovers(device: Device) -> None:
    for pattern in (f".building-{device}-*", f".old-{device}-*"):
        for path in find.folder().glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def _move(building: Path, target: Path, device: Device) -> None:
    """Put the finished folder in place; a former runtime stands aside until the new one is there."""
    old: Path | None = None
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".old-{device}-", dir=target.parent))
        target.rename(old / "runtime")
    building.rename(target)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _move_inside(root: Path, target: Path) -> None:
    """Make commands and the environment's own notes name the folder in which they are going to lie."""
    before, after = os.fsencode(root), os.fsencode(target)
    for path in [root / "pyvenv.cfg", *(root / "bin").iterdir()]:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > 1_000_000:
            continue
        data = path.read_bytes()
        if before in data and not data.startswith(b"\x7fELF"):
            path.write_bytes(data.replace(before, after))


def _of_system(error: OSError, device: Device) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The {device} runtime was not installed, because the disk is full; free some space, or set "
            "GEMMA_TUI_DATA_DIR to a folder on a larger disk."
        )
    return (
        f"The {device} runtime can't be installed under {find.folder()} ({error.strerror}); "
        "make that folder writable, or set GEMMA_TUI_DATA_DIR to another."
    )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _size(folder: Path) -> int:
    """Bytes that a folder takes on disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
