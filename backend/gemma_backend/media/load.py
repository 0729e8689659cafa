"""Files that a person names -> parts of a message, by what is in them and whatever they are called."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from gemma_backend.media import clip, picture
from gemma_backend.media.sniff import HEAD_BYTES, Kind, kind_of
from gemma_backend.text.clean import clean
from gemma_backend.types import AudioPart, BadInput, ImagePart

# Opened so that a pipe without a writer answers at once, and no descriptor reaches an engine started meanwhile.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def load(
    path: Path,
    *,
    soft_tokens: int | None = None,
    start: float = 0.0,
    seconds: float = clip.MAX_SECONDS,
    name: str | None = None,
) -> ImagePart | AudioPart:
    """Return the picture or clip at `path` ready to send, with a note on what was changed.

    Blocks for as long as decoding takes (some 100 ms): call it in a thread. `soft_tokens` is the budget chosen for
    a picture, if any; a clip is taken from `start` seconds on, `seconds` of it, 30 at most. `name` is what it is
    called where that is not the file's name. Raises BadInput with a sentence for whatever is missing, unreadable,
    damaged, too large or of another kind.
    """
    name = path.name if name is None else name
    shown = clean(name or str(path), keep_newlines=False)
    kind, data = _opened(path, shown)
    part = (
        picture.picture(data, name, shown=shown, soft_tokens=soft_tokens)
        if kind.family == "image"
        else clip.clip(path, name, kind, shown=shown, start=start, seconds=seconds)
    )
    return part if kind.fits(path.suffix) else _noted(part, f"{kind.name} in spite of its name")


def load_picture(data: bytes, name: str, *, soft_tokens: int | None = None) -> ImagePart:
    """Return the picture in `data`, as from a clipboard, ready to send; raises BadInput as `load` does."""
    shown = clean(name, keep_newlines=False)
    if not data:
        raise BadInput(f"{shown} is empty: copy it again.")
    kind = _kind(data[:HEAD_BYTES], Path(name), shown)
    if kind.family != "image":
        raise BadInput(f"{shown} is no picture: copy a picture, or drop the file.")
    _refuse_too_large(len(data), kind, shown)
    return picture.picture(data, name, shown=shown, soft_tokens=soft_tokens)


def clip_kind(path: Path) -> tuple[Kind, str]:
    """What kind of clip lies at `path`, and its name made harmless; raises BadInput as `load` does."""
    shown = clean(path.name or str(path), keep_newlines=False)
    kind, _ = _opened(path, shown)
    if kind.family != "audio":
        raise BadInput(f"{shown} is no clip: choose another file.")
    return kind, shown


def _opened(path: Path, shown: str) -> tuple[Kind, bytes]:
    """The file's kind, and a picture's content."""
    descriptor = _open(path, shown)
    try:
        details = os.fstat(descriptor)
        _refuse_what_is_no_file(details, shown)
    except BaseException:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        try:
            head = file.read(HEAD_BYTES)
            kind = _kind(head, path, shown)
            _refuse_too_large(details.st_size, kind, shown)
            data = head + file.read() if kind.family == "image" else b""
        except OSError as error:
            raise BadInput(f"{shown} cannot be read ({error.strerror}): check the disk or get it again.") from None
    return kind, data


def _open(path: Path, shown: str) -> int:
    try:
        return os.open(path, _FLAGS)
    except FileNotFoundError:
        where = clean(str(path), keep_newlines=False)
        raise BadInput(f"There is no file {where}: check the path, or drop the file again.") from None
    except IsADirectoryError:
        raise _folder(shown) from None
    except PermissionError:
        if path.is_dir():  # what Windows answers for a folder
            raise _folder(shown) from None
        raise BadInput(f"{shown} may not be read: give yourself the right to read it, or copy it first.") from None
    except (OSError, ValueError) as error:
        reason = clean(getattr(error, "strerror", None) or str(error), keep_newlines=False)
        raise BadInput(f"{shown} cannot be opened ({reason}): check the path.") from None


def _folder(shown: str) -> BadInput:
    return BadInput(f"{shown} is a folder: drop the pictures or clips in it instead.")


def _refuse_what_is_no_file(details: os.stat_result, shown: str) -> None:
    if stat.S_ISDIR(details.st_mode):
        raise _folder(shown)
    if not stat.S_ISREG(details.st_mode):
        raise BadInput(f"{shown} is a device or pipe: save what it holds as a file first.")
    if details.st_size == 0:
        raise BadInput(f"{shown} is empty: choose another file, or get it again.")


def _kind(head: bytes, path: Path, shown: str) -> Kind:
    kind = kind_of(head)
    if kind is None and path.suffix.lower() == ".mp3":
        # An MP3 file may start with padding or rubbish that its decoder skips.
        return Kind("MP3", "audio")
    if kind is None:
        raise BadInput(
            f"{shown} is neither a picture (PNG, JPEG, WebP, GIF, ...) nor a clip (WAV, FLAC, OGG, MP3, ...): "
            "convert it first."
        )
    if kind.family == "other":
        article = "an" if kind.name[0] in "AEIOaeio" or kind.name.startswith(("MP", "M4", "SV")) else "a"
        raise BadInput(f"{shown} is {article} {kind.name} file, which cannot be read here: {kind.advice}.")
    return kind


def _refuse_too_large(size: int, kind: Kind, shown: str) -> None:
    limit = picture.MAX_BYTES if kind.family == "image" else clip.MAX_BYTES
    if size > limit:
        raise BadInput(
            f"{shown} has {size / 1e6:,.0f} MB, and at most {limit / 1e6:,.0f} MB can be taken: make it smaller first."
        )


def _noted(part: ImagePart | AudioPart, note: str) -> ImagePart | AudioPart:
    return replace(part, note="; ".join(filter(None, (part.note, note))))
