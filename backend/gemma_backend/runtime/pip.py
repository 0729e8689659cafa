"""Talk to pip: what to run, how far it is, and what a failure of it means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from gemma_backend.runtime.locks import Package

# PyTorch's public index of CPU builds (pytorch.org, "Start locally"); these builds are not on PyPI.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

_BEGUN = re.compile(r"^(?:Collecting|Processing|Requirement already satisfied:) (?P<what>\S+)", re.M)
_INSTALLING = "Installing collected packages"
# Words of pip, urllib3 and the C library, in the order in which they are looked for.
_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|Errno 28|Disk quota exceeded",
        "the disk is full: free some space, or set GEMMA_TUI_DATA_DIR to a folder on a larger disk, and install again",
    ),
    (
        r"DO NOT MATCH THE HASHES|Hashes are required|InvalidWheel|invalid wheel",
        "a file that came is not the one that was locked, so it was not installed: try again, and if it stays so, "
        "ask whoever runs the package index that pip is set up with",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "the package index's certificate was not accepted: check the clock, or pip's `cert` setting behind a proxy",
    ),
    (
        r"Failed to establish a new connection|NewConnectionError|NameResolutionError|Temporary failure in name|"
        r"Network is unreachable|ConnectTimeout|ReadTimeout|Read timed out|Connection refused|ProxyError|"
        r"Connection reset|IncompleteRead|Connection broken",
        "the package index could not be reached: check the network and pip's settings, then install again; "
        "what came already is not fetched twice",
    ),
    (
        r"No matching distribution found|Could not find a version",
        "the package index that pip is set up with does not have all locked versions: use one that mirrors PyPI",
    ),
)


def arguments(python: Path, requirements: Path, *, index: str | None = None, hashes: bool = True) -> list[str]:
    """pip's command line to install exactly the wheels that `requirements` names, from where pip is set up to look.

    Dependencies are not followed, since a lock is complete, and bytecode is not compiled: the check at the end imports
    what an engine uses, which compiles just that.
    """
    command = [str(python), "-m", "pip", "install", "--no-deps", "--no-compile", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "off"]
    command += ["--retries", "2", "-r", str(requirements)]
    if hashes:
        command.append("--require-hashes")
    return command + (["--index-url", index] if index else [])


def cause(output: str) -> str:
    """Why pip failed, as half a sentence that says what to do."""
    for pattern, meaning in _CAUSES:
        if re.search(pattern, output):
            return meaning
    errors = [line.removeprefix("ERROR:").strip() for line in output.splitlines() if line.startswith("ERROR:")]
    return f"pip says: {errors[0]}" if errors else "pip ended without saying why"


class Progress:
    """How far one run of pip is, from 0 to 1, read from its output and from the folders that it fills.

    Fetching counts 60% and unpacking 40%, about the times these take from a near index; both are weighed by bytes.
    """

    def __init__(self, packages: Sequence[Package], log: Path, scratch: Path, site: Path) -> None:
        self._sizes = {package.name: package.size for package in packages}
        self._total = max(1, sum(self._sizes.values()))
        self._log, self._scratch, self._site = log, scratch, site
        self._start = log.stat().st_size if log.exists() else 0
        self.current = ""

    def fraction(self) -> float:
        """From 0 to 1; `current` then names the package at hand."""
        with self._log.open("rb") as file:
            file.seek(self._start)
            text = file.read().decode("utf-8", "replace")
        if _INSTALLING in text:
            self.current = "unpacking"
            return 0.6 + 0.4 * self._share(_installed(self._site))
        begun = [_name(match["what"]) for match in _BEGUN.finditer(text)]
        self.current = begun[-1] if begun else ""
        return 0.6 * min(1.0, max(self._share(begun[:-1]), _bytes_in(self._scratch) / self._total))

    def _share(self, names: Iterable[str]) -> float:
        return sum(self._sizes.get(name, 0) for name in set(names)) / self._total


def _name(what: str) -> str:
    """A package's normalised name from a requirement or a wheel's file name."""
    stem = re.split(r"[=<>!~\[;]", what.rsplit("/", 1)[-1])[0]
    if stem.endswith(".whl"):
        stem = stem.split("-", 1)[0]
    return re.sub(r"[-_.]+", "-", stem).lower()


def _installed(site: Path) -> list[str]:
    return [_name(path.name.split("-", 1)[0]) for path in site.glob("*.dist-info")]


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            # pip removes what it has used.
            continue
    return total
