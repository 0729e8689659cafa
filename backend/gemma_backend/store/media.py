"""Pictures and clips in a folder beside the database, each once, under the SHA-256 of its content."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from gemma_backend.config.paths import ensure
from gemma_backend.store.faults import StoreError
from gemma_backend.types import AudioPart, ImagePart, MediaRef, Part, TextPart

_KINDS: dict[str, type[ImagePart] | type[AudioPart]] = {"image": ImagePart, "audio": AudioPart}
_OWN_COLUMNS = {"data", "digest", "name"}


class MediaFolder:
    """The files in `folder`; `write` and `remove_unused` are called in a transaction that writes.

    The database's lock is what keeps one program from removing a file that another is about to use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the content of that digest lies."""
        return self.folder / digest

    def write(self, part: ImagePart | AudioPart | MediaRef) -> MediaRef:
        """Put the part's content on disk, unless it is there, and return what the database keeps of it."""
        if isinstance(part, MediaRef):
            return part
        digest = hashlib.sha256(part.data).hexdigest()
        target = self.path(digest)
        if not target.exists() or target.stat().st_size != len(part.data):
            ensure(self.folder)
            fresh = target.with_name(f".{digest}.{os.getpid()}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(part.data)
                file.flush()
                os.fsync(descriptor)
            fresh.replace(target)
        kind: Literal["image", "audio"] = "image" if isinstance(part, ImagePart) else "audio"
        details = {
            field.name: getattr(part, field.name)
            for field in dataclasses.fields(part)
            if field.name not in _OWN_COLUMNS
        }
        return MediaRef(kind, digest, part.name, len(part.data), details)

    def read(self, ref: MediaRef) -> ImagePart | AudioPart:
        """The part that `ref` stands for, with its content; StoreError where the file is gone or is another's."""
        try:
            data = self.path(ref.digest).read_bytes()
        except OSError:
            data = b""
        if hashlib.sha256(data).hexdigest() != ref.digest:
            raise StoreError(
                f"{ref.name} is no longer in the history's folder ({self.folder}): delete the turn that it belongs to."
            )
        kind = _KINDS[ref.kind]
        return kind(data=data, digest=ref.digest, name=ref.name, **_fitting(kind, ref.details))

    def remove_unused(self, connection: sqlite3.Connection, digests: Iterable[str]) -> None:
        """Remove those of `digests` that no turn uses."""
        for digest in digests:
            if connection.execute("SELECT 1 FROM attachment WHERE digest = ?", (digest,)).fetchone() is None:
                self.path(digest).unlink(missing_ok=True)

    def sweep(self, connection: sqlite3.Connection) -> None:
        """Remove what a program left behind that ended between writing a file and its turn, or the other way round."""
        if self.folder.is_dir():
            names = {entry.name for entry in self.folder.iterdir()}
            used = {str(row[0]) for row in connection.execute("SELECT DISTINCT digest FROM attachment")}
            for name in names - used:
                self.path(name).unlink(missing_ok=True)


def loaded(folder: MediaFolder, parts: Iterable[Part | MediaRef]) -> tuple[Part, ...]:
    """The parts with their content read from disk; blocks, and raises StoreError where a file is gone."""
    return tuple(folder.read(part) if isinstance(part, MediaRef) else part for part in parts)


def split_parts(parts: Iterable[Part | MediaRef]) -> tuple[str, list[tuple[int, ImagePart | AudioPart | MediaRef]]]:
    """The joined text, and each picture and clip with the number of characters before it."""
    text, media = "", []
    for part in parts:
        if isinstance(part, TextPart):
            text += part.text
        else:
            media.append((len(text), part))
    return text, media


def joined_parts(text: str, media: Iterable[tuple[int, MediaRef]]) -> tuple[Part | MediaRef, ...]:
    """The parts again that `split_parts` took apart; neighbouring texts have become one."""
    parts: list[Part | MediaRef] = []
    at = 0
    for place, ref in media:
        if place > at:
            parts.append(TextPart(text[at:place]))
            at = place
        parts.append(ref)
    if at < len(text):
        parts.append(TextPart(text[at:]))
    return tuple(parts)


def _fitting(kind: type[ImagePart] | type[AudioPart], details: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version's parts have; lists are the tuples that they were before they became JSON."""
    known = {field.name for field in dataclasses.fields(kind)} - _OWN_COLUMNS
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in details.items() if name in known
    }
