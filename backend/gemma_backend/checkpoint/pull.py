"""Fetches a checkpoint from the model hub into the hub's own cache: only what vLLM needs, resumable, checked."""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from gemma_backend.checkpoint.hub import DAMAGE, no_answer, sentences
from gemma_backend.types import EngineError, UsageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# What vLLM and transformers read of a checkpoint; other formats of the same weights would only double the download.
NEEDED = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")
UNNEEDED = ("onnx/*", "original/*", "consolidated*", "*.gguf")
# Besides the files: the cache's own books and what else is written meanwhile.
SPARE_BYTES = 200_000_000
PARTIAL = ".gemma-tui.incomplete"
_CHUNK = 1 << 22
_SHA256 = re.compile(r"[0-9a-f]{64}")
# How long to wait for another download of the same file before looking again whether to go on waiting.
_LOCK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Fetched:
    """How far a download is: bytes in all, the current file, and bytes of that."""

    done: int
    total: int
    file: str = ""
    file_done: int = 0
    file_total: int = 0

    @property
    def fraction(self) -> float:
        """Share that is there, from 0 to 1."""
        return self.done / self.total if self.total else 1.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository: `sha256` is known for large files only."""

    name: str
    size: int
    sha256: str | None = None


class Stopped(EngineError):
    """The person stopped the download; what was fetched is kept."""


def pull(
    repository: str,
    revision: str | None = None,
    *,
    progress: Callable[[Fetched], None],
    cancelled: Callable[[], bool],
    endpoint: str | None = None,
) -> Path:
    """Fetch what vLLM needs of `repository` and return its folder in the hub's cache.

    A second call goes on where a first one ended. The token is the hub's own (`HF_TOKEN` or its file). `endpoint` is
    another hub than the public one. Blocks. Raises UsageError for a repository that does not exist or may not be read,
    EngineError for what else is in the way, and Stopped once `cancelled` says so; each is one sentence.
    """
    from huggingface_hub import HfApi, constants

    api = HfApi(endpoint=endpoint)
    with sentences(repository, revision, api.endpoint):
        commit, files = _listing(api, repository, revision)
        cache = Path(constants.HF_HUB_CACHE)
        _check_room(cache, repository, commit, files)
        folder = _fetch(api, repository, commit, files, progress, cancelled)
        _name(cache, repository, revision or "main", commit)
        return folder


def _listing(api: HfApi, repository: str, revision: str | None) -> tuple[str, list[RemoteFile]]:
    try:
        info = api.model_info(repository, revision=revision, files_metadata=True, timeout=30)
        files = [
            RemoteFile(entry.rfilename, int(entry.size or 0), _sum_of(entry.lfs.sha256 if entry.lfs else None))
            for entry in info.siblings or []
            if _is_needed(entry.rfilename)
        ]
    except DAMAGE as error:
        # A login page, say, in the place of JSON.
        raise no_answer(error, api.endpoint) from error
    if info.sha is None or not any(file.name.endswith(".safetensors") for file in files):
        raise UsageError(
            f"{repository} holds no safetensors weights, so vLLM cannot serve it: name another repository."
        )
    # The small files first: if one is refused, nobody has waited for gigabytes.
    return info.sha, sorted(files, key=lambda file: file.size)


def _sum_of(given: object) -> str | None:
    """What becomes a file's name must be a checksum and nothing else."""
    return given if isinstance(given, str) and _SHA256.fullmatch(given) else None


def _is_needed(name: str) -> bool:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return False

    def fits(patterns: tuple[str, ...]) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)

    return fits(NEEDED) and not fits(UNNEEDED)


def _cached(repository: str, commit: str, file: RemoteFile) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file.name, revision=commit)
    return Path(found) if isinstance(found, str) and Path(found).stat().st_size == file.size else None


def _check_room(cache: Path, repository: str, commit: str, files: list[RemoteFile]) -> None:
    lacking = [file for file in files if _cached(repository, commit, file) is None]
    missing = sum(file.size for file in lacking)
    there = next(parent for parent in (cache, *cache.parents) if parent.exists())
    partial = sum(_begun(_blobs(cache, repository) / f"{file.sha256}{PARTIAL}", file) for file in lacking)
    needed, free = missing - partial + SPARE_BYTES, shutil.disk_usage(there).free
    if missing and needed > free:
        raise EngineError(
            f"{repository} needs {needed / 1e9:.1f} GB at {cache} and {free / 1e9:.1f} GB are free: "
            "make room, or set HF_HOME to a folder on a larger disk."
        )


def _fetch(
    api: HfApi,
    repository: str,
    commit: str,
    files: list[RemoteFile],
    progress: Callable[[Fetched], None],
    cancelled: Callable[[], bool],
) -> Path:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.utils.logging import set_verbosity

    # What the library logs would land on the screen in the middle of ours; what fails is raised as well.
    set_verbosity(logging.CRITICAL)
    # The plain HTTP way can be stopped between two chunks and resumed by range.
    constants.HF_HUB_DISABLE_XET = True
    # Progress and a stop come once a chunk; ten megabytes, its default, are half a minute on a slow line.
    constants.DOWNLOAD_CHUNK_SIZE = 1 << 20
    total, before = sum(file.size for file in files), 0
    folder = Path()
    for file in files:

        def tell(got: int, file: RemoteFile = file, before: int = before) -> None:
            if cancelled():
                raise Stopped("The download was stopped; what was fetched is kept.")
            progress(Fetched(before + got, total, file.name, got, file.size))

        tell(0)
        found = _cached(repository, commit, file)
        if found is None:
            if file.sha256 is not None:
                _fetch_blob(api, repository, commit, file, tell)
            found = Path(
                hf_hub_download(
                    repository,
                    file.name,
                    revision=commit,
                    endpoint=api.endpoint,
                    tqdm_class=_bar(tell),
                    library_name="gemma-tui",
                )
            )
        folder = found
        for _ in Path(file.name).parts:
            folder = folder.parent
        before += file.size
    progress(Fetched(total, total))
    return folder


def _name(cache: Path, repository: str, revision: str, commit: str) -> None:
    """Note which commit a branch or tag is, as the hub's own cache does: by that a checkpoint is found offline.

    Written last, so that what is not whole yet is not found, and an older one stays in use until then.
    """
    path = PurePosixPath(revision)
    if revision == commit or path.is_absolute() or ".." in path.parts:
        return
    ref = _blobs(cache, repository).parent / "refs" / path
    ref.parent.mkdir(parents=True, exist_ok=True)
    aside = ref.with_name(f".{ref.name}.{os.getpid()}")
    aside.write_text(commit, encoding="utf-8")
    aside.replace(ref)


def _begun(partial: Path, file: RemoteFile) -> int:
    """Bytes of `file` that an earlier download left."""
    try:
        return min(partial.stat().st_size, file.size)
    except OSError:
        return 0


def _blobs(cache: Path, repository: str) -> Path:
    return cache / f"models--{repository.replace('/', '--')}" / "blobs"


def _fetch_blob(api: HfApi, repository: str, commit: str, file: RemoteFile, tell: Callable[[int], None]) -> None:
    """Put a large file where huggingface_hub looks before it downloads: from release 2 on it forgets partial files."""
    from huggingface_hub import constants, get_token, hf_hub_url
    from huggingface_hub.file_download import http_get

    assert file.sha256 is not None
    blobs = _blobs(Path(constants.HF_HUB_CACHE), repository)
    blobs.mkdir(parents=True, exist_ok=True)
    partial, whole = blobs / f"{file.sha256}{PARTIAL}", blobs / file.sha256

    def waiting() -> None:
        # Another program fetches this file: what it has got is shown.
        tell(_begun(partial, file))

    with _alone(blobs / f"{file.sha256}{PARTIAL}.lock", waiting):
        if whole.exists():
            return
        if partial.is_symlink() or (partial.exists() and partial.stat().st_size > file.size):
            # Longer than the file itself, or another file altogether: nothing to go on with.
            partial.unlink()
        with partial.open("ab") as stream:
            url = hf_hub_url(repository, file.name, revision=commit, endpoint=api.endpoint)
            token = get_token()
            headers = {"authorization": f"Bearer {token}"} if token else {}
            here, bar = stream.tell(), _bar(tell)
            http_get(url, stream, resume_size=here, headers=headers, expected_size=file.size, tqdm_class=bar)
        digest = hashlib.sha256()
        with partial.open("rb") as written:
            while chunk := written.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != file.sha256:
            partial.unlink()
            raise EngineError(
                f"{file.name} arrived damaged (its checksum differs) and was removed: start the download again."
            )
        partial.replace(whole)


@contextmanager
def _alone(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock at `path`; `waiting` is called again and again while another program holds it."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout:
            waiting()
        else:
            break
    try:
        yield
    finally:
        lock.release()


def _bar(tell: Callable[[int], None]) -> type[Any]:
    """A progress bar for huggingface_hub that draws nothing and reports bytes; raising in it ends the download."""
    from tqdm.std import tqdm

    def begin(bar: Any, *_: object, **options: Any) -> None:
        bar.got = int(options.get("initial") or 0)
        tqdm.__init__(bar, disable=True)

    def update(bar: Any, n: float | None = 1) -> None:
        bar.got += int(n or 0)
        tell(bar.got)

    return type("Bar", (tqdm,), {"__init__": begin, "update": update})
