"""Install a managed runtime: built aside, checked, and moved into place in one step."""

from __future__ import annotations

import errno
import json
import os
import platform
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
from gemma_backend.config.formats import KEY, RUNTIME
from gemma_backend.runtime import find, flags, locks, pip, process
from gemma_backend.runtime.check import check
from gemma_backend.runtime.found import Runtime, versions, vllm_version
from gemma_backend.runtime.locks import Device, Lock, Package
from gemma_backend.types import EngineError, UsageError

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

    `name` is what the runtime is called, `packages` everything that is fetched; `installed` is true if exactly this
    lock is installed already; `run_on` says what it was really run on.
    """

    name: str

    device: Device
    download_bytes: int
    disk_bytes: int
    python: str
    version: str
    target: Path
    free_bytes: int
    installed: bool
    packages: tuple[Package, ...] = ()
    machine: str = ""
    run_on: str = ""
    problem: str | None = None


def runtime_name(device: Device, version: str | None, where: Path | None = None, on: str | None = None) -> str:
    """The name of the runtime of `version` (`0.26` will do for `0.26.0`): the newest is called by its device alone.

    UsageError names the versions there are locks for.
    """
    if version is None:
        return device
    there = locks.versions(device, where, on)
    fitting = [one for one in there if one == version or one.startswith(f"{version}.")]
    if not fitting:
        raise UsageError(
            f"There is no lock of the {device} runtime for version {version}; there are {', '.join(there) or 'none'}."
        )
    return device if fitting[0] == there[0] else f"{device}-{fitting[0]}"


def plan(device: Device, *, version: str | None = None, where: Path | None = None, machine: str | None = None) -> Plan:
    """What `install(device)` would do, or for `machine` would do on such a one; nothing is fetched or written.

    UsageError for a version without a lock, EngineError where no lock fits the machine and its Pythons.
    """
    name = runtime_name(device, version, where, machine)
    lock, _ = _choose(device, where, name, machine)
    target = find.folder() / name
    free = shutil.disk_usage(_existing(target)).free
    installed = find.read_mark(target).get("lock") == lock.digest and (target / "bin" / "python").exists()
    # While pip works, the wheels lie beside what they are unpacked to.
    needed = lock.disk_bytes + lock.download_bytes
    problem = None if machine not in (None, locks.machine()) else _old_libc(lock)
    if problem is None and not installed and free < needed:
        problem = (
            f"Installing the {device} runtime needs {_gigabytes(needed)} in {target.parent}, where {_gigabytes(free)} "
            "are free; free some space, or set GEMMA_TUI_DATA_DIR to a folder on a larger disk."
        )
    return Plan(
        name,
        device,
        lock.download_bytes,
        lock.disk_bytes,
        lock.python,
        lock.main.version,
        target,
        free,
        installed,
        (*lock.torch_builds, *lock.packages),
        lock.machine,
        locks.run_on(device, lock.main.version, machine, where),
        problem,
    )


def _old_libc(lock: Lock) -> str | None:
    kind, version = platform.libc_ver()
    have, need = (tuple(int(part) for part in text.split(".") if part.isdigit()) for text in (version, lock.glibc))
    if kind != "glibc" or not have or have >= need:
        return None
    return (
        f"The {lock.device} runtime needs the C library glibc {lock.glibc} or newer and this system has {version}: "
        "use a newer system, or a container image as the runtime."
    )


def install(
    device: Device,
    *,
    version: str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    where: Path | None = None,
) -> Runtime:
    """Install the runtime for `device` and return it; does nothing if it is there already.

    Without `version` it is the newest that there is a lock of. Blocks for a minute or more; call it on a thread of its
    own. `cancelled` is asked several times a second. `where` is a folder of locks in place of those that ship.
    EngineError has one sentence for no space, no network, no fitting Python, an interrupted installation and a runtime
    that does not work when checked.
    """
    name = runtime_name(device, version, where)
    lock, interpreter = _choose(device, where, name)
    target = find.folder() / name
    with _stoppable(name), alone(name, progress, cancelled):
        if find.read_mark(target).get("lock") == lock.digest:
            found = find.managed(name)
            if found is not None and found.python.exists():
                progress(Progress(1.0, f"The {name} runtime is installed."))
                return found
        problem = plan(device, version=version, where=where).problem
        if problem is not None:
            raise EngineError(problem)
        _remove_leftovers(name)
        building = Path(tempfile.mkdtemp(prefix=f".building-{name}-", dir=find.folder()))
        try:
            _Build(lock, interpreter, building, target, progress, cancelled).run()
            _move(building, target, name)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    runtime = find.managed(name)
    if runtime is None:
        raise EngineError(f"The {name} runtime vanished from {target} while it was put there; install it again.")
    if device != "quantize":
        progress(Progress(_ENVIRONMENT + _PACKAGES, "Reading the options that it knows"))
        flags.read(runtime)
    progress(Progress(1.0, f"The {name} runtime is installed."))
    return runtime


@contextmanager
def _stoppable(name: str) -> Iterator[None]:
    """Turn a stop and the system's refusals into sentences."""
    try:
        yield
    except process.Cancelled:
        raise EngineError(
            f"The installation of the {name} runtime was stopped and nothing was changed; "
            f"run `gemma-tui {install_command(name)}` to go on."
        ) from None
    except paths.FolderError:
        raise
    except OSError as error:
        raise EngineError(_of_system(error, name)) from error


def install_command(name: str) -> str:
    """The words that install the runtime called `name`."""
    device, _, version = name.partition("-")
    return f"engine install --runtime {device}" + (f" --version {version}" if version else "")


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
        self.log = paths.ensure(paths.log_dir()) / f"install-{target.name}.log"
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
            KEY: RUNTIME.newest,
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


def _choose(device: Device, where: Path | None, name: str, machine: str | None = None) -> tuple[Lock, Path]:
    """The lock and the Python to install with: this program's own version if there is a lock, else one on PATH.

    For another machine, whose Pythons are not known, it is this program's version or the newest.
    """
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    version = name.partition("-")[2] or None
    there = locks.pythons(device, where, machine, version)
    if machine not in (None, locks.machine()):
        python = own if own in there or not there else there[-1]
        return locks.load(device, python, where, on=machine, version=version), Path(sys.executable)
    if own not in there:
        for python in reversed(there):
            other = shutil.which(f"python{python}")
            if other is not None and _runs(other, python):
                return locks.load(device, python, where, version=version), Path(other)
    return locks.load(device, own, where, version=version), Path(sys.executable)


def _runs(python: str, version: str) -> bool:
    """Whether a command on PATH is what its name says: version switchers leave names that only print an error."""
    ask = [python, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() == version


@contextmanager
def alone(name: str, progress: Callable[[Progress], None], cancelled: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock of the runtime called `name`, waiting for another installation to end first."""
    import fcntl

    paths.ensure(find.folder())
    handle = os.open(find.folder() / f".lock-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancelled():
                    raise EngineError(f"The wait for another installation of the {name} runtime was stopped.") from None
                progress(Progress(0.0, "Waiting for another installation of the same runtime"))
                time.sleep(process.POLL_S)
        yield
    finally:
        os.close(handle)


def _remove_leftovers(name: str) -> None:
    # As long as tempfile's endings are: a runtime's name may begin another's.
    for pattern in (f".building-{name}-????????", f".old-{name}-????????"):
        for path in find.folder().glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def _move(building: Path, target: Path, name: str) -> None:
    """Put the finished folder in place; a former runtime stands aside until the new one is there."""
    old: Path | None = None
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".old-{name}-", dir=target.parent))
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


def _of_system(error: OSError, name: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The {name} runtime was not installed, because the disk is full; free some space, or set "
            "GEMMA_TUI_DATA_DIR to a folder on a larger disk."
        )
    return (
        f"The {name} runtime can't be installed under {find.folder()} ({error.strerror}); "
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
