"""What the program made on this machine, by class and with sizes, and its removal."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gemma_backend.config import paths
from gemma_backend.config.profiles import list_profiles
from gemma_backend.types import GemmaError

# Names in each folder that are ours. A folder that a variable names may hold other things too, so nothing else in it is
# ever touched.
RUNTIMES = ("runtimes", "program")
CACHES = ("engine", "flags", "images", "calibration")
RECORDS = (
    "engines", "plugin", "endpoints.json", "endpoints-????????", "serve.key", "starts", "log", "tune", "bandwidth.json",
    "fetching.json", ".fetching.*",
)  # fmt: skip
LOGS = ("engine", "bugs.log", "bugs.log.1", "install-*.log", "quantize.log", "pull.log")
CONVERSATIONS = ("history", "typed.jsonl", "typed.[0-9]*")
CONFIGURATION = ("config.toml", "config.toml.*", ".config.toml.*", "profiles", "presets", "prompts")
# What the hub's library makes in its cache besides repositories; ours to remove where there is none of others' there.
HUB = {".locks", "CACHEDIR.TAG", "version.txt"}


@dataclass(frozen=True, slots=True)
class Belonging:
    """One class of what was made: its files and folders, and bytes on disk."""

    name: str
    about: str
    paths: tuple[Path, ...]
    size: int


def belongings() -> list[Belonging]:
    """Everything that is there, in the order in which it is asked for; classes with nothing in them are left out."""
    found = [
        _class("runtimes", "vLLM installations and the program's own environment", paths.data_dir(), RUNTIMES),
        *_checkpoints(),
        _class("caches", "compiled graphs and what else can be made again", paths.cache_dir(), CACHES),
        _class("records", "records of engines, addresses used lately, keys made here", paths.state_dir(), RECORDS),
        _class("logs", "logs of engines and installations", paths.log_dir(), LOGS),
        _class("configuration", "settings, profiles, presets", paths.config_dir(), CONFIGURATION),
        _class("conversations", "all conversations with their media", paths.state_dir(), CONVERSATIONS),
    ]
    return [one for one in found if one.paths]


def remove(belonging: Belonging) -> list[str]:
    """Remove a class; returns the paths that could not be removed, with why."""
    left: list[str] = []
    for path in belonging.paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, onerror=lambda _, name, error: left.append(f"{name} ({error[1]})"))
        else:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                left.append(f"{path} ({error.strerror})")
    return left


def remove_empty_folders() -> None:
    """Remove those of our folders in which nothing is left."""
    for folder in (paths.log_dir(), paths.state_dir(), paths.cache_dir(), paths.config_dir(), paths.data_dir()):
        try:
            folder.rmdir()
        except OSError:
            continue


def _class(name: str, about: str, folder: Path, patterns: tuple[str, ...]) -> Belonging:
    found = sorted({path for pattern in patterns for path in folder.glob(pattern)} if folder.is_dir() else ())
    # The default log folder lies in the state folder; it is named once, as logs.
    found = [path for path in found if path != paths.log_dir()]
    return Belonging(name, about, tuple(found), sum(map(_size, found)))


def _checkpoints() -> Iterator[Belonging]:
    """Repositories of profiles in the hub's cache, each by itself: other programs may use them too."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or caches / "huggingface") / "hub")
    try:
        named = {profile.checkpoint or "" for profile in list_profiles(rewrite=False)}
    except GemmaError:
        # A profile that cannot be read names no checkpoint, and must not keep anybody from removing the rest.
        return
    ours = set()
    for repository in sorted(named):
        folder = hub / f"models--{repository.replace('/', '--')}"
        if repository.count("/") == 1 and ":" not in repository and folder.is_dir():
            about = "a checkpoint in the model hub's cache, which other programs share"
            found = tuple(path for path in (folder, hub / ".locks" / folder.name) if path.exists())
            ours.add(folder.name)
            yield Belonging(repository, about, found, sum(map(_size, found)))
    there = {path.name for path in hub.iterdir()} if ours else set()
    if ours and there <= ours | HUB:
        beside = tuple(hub / name for name in sorted(there & HUB))
        yield Belonging("model hub", "what its library keeps beside checkpoints", beside, sum(map(_size, beside)))


def _size(path: Path) -> int:
    """Bytes that `path` takes on disk; what several names share counts once, and a link's target does not count."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for one in (path, *path.rglob("*")) if path.is_dir() and not path.is_symlink() else (path,):
        try:
            found = one.lstat()
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            total += found.st_blocks * 512
    return total
