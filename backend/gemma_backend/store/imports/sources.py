"""A file, folder or ZIP file that a person names -> what kind of export it is, and the conversations in it."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from gemma_backend.store.imports import chatgpt, lines, oterm
from gemma_backend.store.imports.found import Found
from gemma_backend.types import BadInput, Part

_LARGEST = 2 << 30
"""Bytes of one file that are read into memory."""


def conversations(path: Path) -> Iterator[Found | str]:
    """What can be imported from `path`: conversations, and a sentence for each that cannot be read.

    Understands ChatGPT's export (ZIP file, folder or conversations.json), oterm's store.db, and JSON Lines in the chat
    form. Raises BadInput for anything else.
    """
    if path.is_dir():
        yield from _folder(path)
        return
    head = _head(path)
    if head == oterm.MAGIC:
        yield from oterm.read(path, _picture)
    elif head[:2] == b"PK":
        yield from _archive(path)
    elif head.lstrip()[:1] == b"[":
        yield from chatgpt.read(_whole(path), _Assets(path.parent).load)
    elif head.lstrip()[:1] == b"{":
        yield from lines.read(_whole(path), path.stat().st_mtime, _medium)
    else:
        raise _unknown(path)


def _folder(path: Path) -> Iterator[Found | str]:
    files = sorted(file for file in path.iterdir() if chatgpt.FILES.fullmatch(file.name))
    if not files:
        raise BadInput(f"There is no conversations.json in {path}: name the folder of a ChatGPT export, or a file.")
    assets = _Assets(path)
    for file in files:
        yield from chatgpt.read(_whole(file), assets.load)


def _archive(path: Path) -> Iterator[Found | str]:
    try:
        with zipfile.ZipFile(path) as archive, ExitStack() as stack:
            names = [name for name in archive.namelist() if chatgpt.FILES.fullmatch(name.rpartition("/")[2])]
            if not names:
                raise BadInput(f"There is no conversations.json in {path.name}: it is no ChatGPT export.")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gemma-tui-")))
            assets = _Assets(folder, archive)
            for name in sorted(names):
                if archive.getinfo(name).file_size > _LARGEST:
                    raise BadInput(f"{name} in {path.name} is larger than {_LARGEST >> 30} GiB: unpack and split it.")
                yield from chatgpt.read(archive.read(name), assets.load)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise BadInput(f"{path.name} is damaged or encrypted ({error}): fetch the export again.") from None


class _Assets:
    """The pictures and clips of an export by their file ids, which their names begin with."""

    def __init__(self, folder: Path, archive: zipfile.ZipFile | None = None) -> None:
        self._folder = folder
        self._archive = archive
        self._names: dict[str, str] | None = None

    def load(self, id: str, name: str) -> Part | None:
        """The part of that id, or None where the export does not hold it or it cannot be used."""
        if self._names is None:
            self._names = self._listed()
        member = self._names.get(id)
        if member is None:
            return None
        if self._archive is None:
            return _loaded(self._folder / member, name)
        if self._archive.getinfo(member).file_size > _LARGEST:
            return None
        target = self._folder / f"{len(self._names)}{Path(member).suffix}"
        target.write_bytes(self._archive.read(member))
        part = _loaded(target, name or Path(member).name)
        target.unlink()
        return part

    def _listed(self) -> dict[str, str]:
        if self._archive is not None:
            members = self._archive.namelist()
        else:
            members = [
                str(file.relative_to(self._folder)) for file in self._folder.rglob("file[-_]*") if file.is_file()
            ]
        found: dict[str, str] = {}
        for member in members:
            match = chatgpt.POINTER.match(Path(member).name)
            if match:
                found.setdefault(match[0], member)
        return found


def _loaded(path: Path, name: str) -> Part | None:
    from dataclasses import replace

    from gemma_backend.media.load import load

    try:
        part = load(path)
    except BadInput:
        return None
    return replace(part, name=name) if name else part


def _picture(data: bytes, name: str) -> Part | None:
    from gemma_backend.media.picture import picture

    try:
        return picture(data, name, shown=name)
    except BadInput:
        return None


def _medium(data: bytes, name: str) -> Part | None:
    with tempfile.TemporaryDirectory(prefix="gemma-tui-") as folder:
        file = Path(folder) / "medium"
        file.write_bytes(data)
        return _loaded(file, name)


def _head(path: Path) -> bytes:
    if path.is_fifo():
        raise BadInput(f"{path.name} is a pipe: save what it holds as a file first.")
    try:
        with path.open("rb") as file:
            return file.read(len(oterm.MAGIC))
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}: check the path.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): see to its permissions.") from None


def _whole(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST:
        raise BadInput(f"{path.name} is larger than {_LARGEST >> 30} GiB: split it.")
    return path.read_bytes()


def _unknown(path: Path) -> BadInput:
    return BadInput(
        f"{path.name} is no export that is known here: ChatGPT's ZIP file or conversations.json, oterm's store.db, or "
        "JSON Lines with messages."
    )
