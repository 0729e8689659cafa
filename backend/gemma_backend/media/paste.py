"""Pasted or dropped text as the paths that a terminal meant by it.

A terminal tells a program about dropped files by typing their paths, each in its own way: between quotes
(GNOME Terminal, Konsole, kitty at a prompt, VS Code), with backslashes (Ghostty, iTerm2, WezTerm), bare
(Alacritty, kitty in a full-screen program, WezTerm with `quote_dropped_files = "None"`), as `file://` URIs
(file managers, by way of the clipboard), or between double quotes (Windows Terminal). Nothing says which, so
every reading is tried and the files that exist decide.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

from gemma_backend.media.words import shell_words, space_words, window_words

MAX_CHARACTERS = 65_536
"""Longer text is never a list of paths: Linux allows 4,096 bytes for one."""

MEDIA_SUFFIX = re.compile(
    r"\.(png|jpe|jpe?g|webp|gif|bmp|avif|hei[cf]|tiff?|svg|wave?|flac|og[ga]|opus|mp[34]|aif[fc]?|m4a|aac|webm)",
    re.IGNORECASE,
)
"""What a missing file's name must end with for its path to be taken for one; the loader then says what is wrong."""

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_URI = re.compile(r"file:", re.IGNORECASE)
_PATH_START = re.compile(r"\s+(?=/|~/|file:|[A-Za-z]:\\)", re.IGNORECASE)
_FIRST = frozenset("/~'\"\\$fFx")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def paths_in(
    text: str,
    *,
    exists: Callable[[Path], bool] = _is_there,
    home: Path | None = None,
    windows: bool = os.name == "nt",
) -> list[Path] | None:
    """Return the files that `text` names, in order, or None where it is ordinary text.

    Only absolute paths, `~/` and `file:` URIs count, and only where the whole text is made of them. Paths that
    exist (asked through `exists`) are taken in any reading; a text that can be nothing else than a path list
    (URIs, or absolute paths with a picture's or clip's suffix) is returned even where a file is missing.
    """
    stripped = text.strip()
    if not stripped or len(text) > MAX_CHARACTERS or "\0" in text:
        return None
    if stripped[0] not in _FIRST and not _DRIVE.match(stripped):
        return None
    certain: list[Path] | None = None
    for words, quoted in _readings(_without_header(text), windows):
        paths = [path for path in (_path(word, home, windows) for word in words) if path is not None]
        if not paths or len(paths) != len(words):
            continue
        if all(exists(path) for path in paths):
            return paths
        if certain is None and quoted and all(_is_clear(w, p, exists) for w, p in zip(words, paths, strict=True)):
            certain = paths
    return certain


def _readings(text: str, windows: bool) -> Iterator[tuple[list[str], bool]]:
    """Yield each way to cut the text into paths, likeliest first, and whether it can vouch for missing files."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    yield lines, False
    dos = windows or _DRIVE.search(text) is not None
    if dos and (words := window_words(text)) is not None:
        yield words, True
    if not windows:
        if (words := shell_words(text)) is not None:
            yield words, True
        # VS Code writes 'it\'s.png' for bash, which no shell would read that way.
        if "\\'" in text and (words := shell_words(text, escaped_quote=True)) is not None:
            yield words, True
    yield space_words(text), False
    yield [piece.strip() for line in lines for piece in _PATH_START.split(line)], False


def _without_header(text: str) -> str:
    """Drop the two lines that GNOME's file manager puts before the URIs of copied files."""
    if text.startswith("x-special/"):
        first, _, rest = text.partition("\n")
        verb, _, uris = rest.partition("\n")
        return uris if verb.strip() in ("copy", "cut") else rest or first
    return text


def _path(word: str, home: Path | None, windows: bool) -> Path | None:
    """Return the absolute path that a word stands for, None where it stands for none."""
    if _URI.match(word):
        return _from_uri(word, windows)
    if _DRIVE.match(word):
        if windows:
            return Path(word)
        # Windows Terminal before 1.19 drops drive letters on WSL shells too; WSL mounts drives here.
        return Path("/mnt", word[0].lower(), *re.split(r"[\\/]+", word[3:]))
    if word.startswith("~/") or (windows and word.startswith("~\\")):
        return (home or Path.home()) / word[2:]
    if windows:
        return Path(word) if word.startswith("\\\\") else None
    return Path(word) if word.startswith("/") and word.strip("/") else None


def _from_uri(uri: str, windows: bool) -> Path | None:
    """Return the path of a `file:` URI; `?` and `#` are taken as part of the name, which senders rarely encode."""
    rest = uri[len("file:") :]
    host = ""
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        rest = slash + rest
    path = os.fsdecode(unquote_to_bytes(rest))
    if "\0" in path or not path.strip("/"):
        return None
    if windows:
        if _DRIVE.match(path[1:]):
            return Path(path[1:])
        return Path(f"\\\\{host}{path}") if host and host != "localhost" else Path(path)
    return Path(path) if path.startswith("/") else None


def _is_clear(word: str, path: Path, exists: Callable[[Path], bool]) -> bool:
    return _URI.match(word) is not None or MEDIA_SUFFIX.fullmatch(path.suffix) is not None or exists(path)
