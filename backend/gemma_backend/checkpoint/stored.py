"""The checkpoints on this machine: in the model hub's cache and in the data folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gemma_backend.checkpoint.locate import has_weights
from gemma_backend.config.nearest import nearest
from gemma_backend.config.paths import data_dir
from gemma_backend.types import EngineError, UsageError

# Where runtimes lie below the data folder: their packages hold small checkpoints for tests of their own.
_NOT_BELOW = "runtimes"
_DEPTH = 3
_HUB_PREFIX = "models--"


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint on disk: its repository id or folder, bytes it takes, and when it was last read.

    `last_used` is in seconds since 1970, None if unknown; `whole` is false where a download was cut or files are
    missing.
    """

    name: str
    place: Literal["hub cache", "data folder"]
    path: Path
    nbytes: int
    last_used: float | None
    whole: bool

    def holds(self, folder: str) -> bool:
        """Whether `folder` is this checkpoint's, or one of its revisions'."""
        return Path(folder) == self.path or self.path in Path(folder).parents


def stored() -> list[Stored]:
    """Every checkpoint, the hub's first, by name."""
    return [*_in_hub(), *_in_data_folder()]


def stored_as(name: str) -> Stored:
    """The checkpoint of that name or folder; UsageError with the nearest one where there is none."""
    found = {one.name: one for one in stored()}
    given = Path(name).expanduser()
    by_path = next((one for one in found.values() if given.is_absolute() and one.path == given), None)
    if name in found or by_path is not None:
        return by_path or found[name]
    guess = nearest(name, found)
    hint = f"did you mean {guess!r}?" if guess else "`gemma-tui model list` shows what there is."
    raise UsageError(f"there is no checkpoint {name!r} in the model hub's cache or the data folder; {hint}")


def remove(one: Stored) -> None:
    """Remove a checkpoint with all its revisions and what was fetched of it; EngineError where that can't be."""
    try:
        shutil.rmtree(one.path)
        locks = one.path.parent / ".locks" / one.path.name
        if one.place == "hub cache" and locks.is_dir():
            shutil.rmtree(locks)
    except OSError as error:
        raise EngineError(f"{one.path} can't be removed: {error.strerror or error}.") from error


def hub_folder() -> Path:
    """The model hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _in_hub() -> Iterator[Stored]:
    cache = hub_folder()
    if not cache.is_dir():
        return
    for folder in sorted(cache.glob(f"{_HUB_PREFIX}*")):
        if not folder.is_dir():
            continue
        snapshots = [path for path in (folder / "snapshots").glob("*") if path.is_dir()]
        weights = any(True for path in snapshots for _ in path.glob("*.safetensors"))
        size, used = _taken(folder)
        # Other programs keep tokenizers and configs there, which are no checkpoints.
        if weights or any((folder / "blobs").glob("*.incomplete")):
            name = folder.name.removeprefix(_HUB_PREFIX).replace("--", "/")
            yield Stored(name, "hub cache", folder, size, used, any(has_weights(path) for path in snapshots))


def _in_data_folder() -> Iterator[Stored]:
    top = data_dir()
    for folder in sorted(_below(top, _DEPTH)):
        if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
            size, used = _taken(folder)
            yield Stored(str(folder), "data folder", folder, size, used, has_weights(folder))


def _below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inner = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return
    for path in inner:
        if path.name != _NOT_BELOW:
            yield path
            if depth > 1:
                yield from _below(path, depth - 1)


def _taken(folder: Path) -> tuple[int, float | None]:
    """Bytes on disk below a folder, links not followed, and the latest time at which a weights file was read."""
    size, used = 0, None
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                size += path.lstat().st_size if not path.is_symlink() else 0
                if name.endswith(".safetensors"):
                    used = max(used or 0.0, path.stat().st_atime)
            except OSError:
                continue
    return size, used
