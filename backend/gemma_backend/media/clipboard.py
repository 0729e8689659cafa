"""What is on the desktop's clipboard: a picture, files, or text; through wl-paste, xclip, or macOS's own programs."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gemma_backend.media.bounded import BoundedError, output_of
from gemma_backend.media.paste import paths_in
from gemma_backend.media.picture import MAX_BYTES
from gemma_backend.types import BadInput

SECONDS = 5.0
"""How long the program that owns the clipboard may take to hand it over."""
PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff")
"""What is asked for, the best first."""

_FILE_TYPES = ("text/uri-list", "x-special/gnome-copied-files")
_TEXT_TYPES = ("text/plain;charset=utf-8", "UTF8_STRING", "text/plain", "STRING", "TEXT")
_Command = Callable[[str], list[str]]
_HEX = re.compile(rb"\xc2\xabdata PNGf([0-9A-Fa-f]+)\xc2\xbb")


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied; one of the three is there."""

    picture: bytes = b""
    paths: tuple[Path, ...] = ()
    text: str = ""


def copied(environ: Mapping[str, str] = os.environ) -> Copied:
    """Return what is on the clipboard; a picture before files, files before text.

    Blocks for up to a few times SECONDS: call it in a thread. Raises BadInput in a sentence where nothing can be read.
    """
    try:
        if sys.platform == "darwin":
            return _on_macos()
        if environ.get("WAYLAND_DISPLAY") and shutil.which("wl-paste"):
            return _by_types(_wayland_types(), lambda kind: ["wl-paste", "--no-newline", "--type", kind])
        if environ.get("DISPLAY") and shutil.which("xclip"):
            return _by_types(_x11_types(), lambda kind: ["xclip", "-selection", "clipboard", "-o", "-t", kind])
    except BoundedError as error:
        raise BadInput(_sentence(error)) from None
    raise BadInput(_missing(environ))


def is_reachable(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a clipboard here that a program can read."""
    if sys.platform == "darwin":
        return True
    wayland, x11 = environ.get("WAYLAND_DISPLAY"), environ.get("DISPLAY")
    return bool((wayland and shutil.which("wl-paste")) or (x11 and shutil.which("xclip")))


def _wayland_types() -> list[str]:
    return _listed(["wl-paste", "--list-types"])


def _x11_types() -> list[str]:
    return _listed(["xclip", "-selection", "clipboard", "-o", "-t", "TARGETS"])


def _listed(words: list[str]) -> list[str]:
    try:
        return output_of(words, limit=1 << 16, seconds=SECONDS).decode("utf-8", "replace").split("\n")
    except BoundedError as error:
        if error.why == "failed" and re.search("no selection|nothing is copied|not available", error.said, re.I):
            return []
        raise


def _by_types(types: list[str], command: _Command) -> Copied:
    offered = {kind.strip() for kind in types}
    for kind in PICTURE_TYPES:
        if kind in offered:
            return Copied(picture=output_of(command(kind), limit=MAX_BYTES, seconds=SECONDS))
    for kind in (*_FILE_TYPES, *_TEXT_TYPES):
        if kind in offered:
            text = output_of(command(kind), limit=MAX_BYTES, seconds=SECONDS).decode("utf-8", "replace")
            if kind in _FILE_TYPES:
                listed = re.sub(r"\A(copy|cut)\r?\n", "", text)
                if paths := paths_in(listed):
                    return Copied(paths=tuple(paths))
            elif text:
                return Copied(text=text)
    raise BadInput("There is nothing on the clipboard that can be used: copy a picture, a file or a text first.")


def _on_macos() -> Copied:
    if shutil.which("pngpaste"):
        try:
            return Copied(picture=output_of(["pngpaste", "-"], limit=MAX_BYTES, seconds=SECONDS))
        except BoundedError as error:
            if error.why != "failed":
                raise
    for kind in ("furl", "PNGf"):
        source = "POSIX path of (the clipboard as «class furl»)" if kind == "furl" else "the clipboard as «class PNGf»"
        try:
            answer = output_of(["osascript", "-e", source], limit=3 * MAX_BYTES, seconds=SECONDS)
        except BoundedError as error:
            if error.why != "failed":
                raise
            continue
        if kind == "furl":
            return Copied(paths=(Path(os.fsdecode(answer.removesuffix(b"\n"))),))
        if match := _HEX.search(answer):
            return Copied(picture=bytes.fromhex(match[1].decode("ascii")))
    return Copied(text=output_of(["pbpaste"], limit=MAX_BYTES, seconds=SECONDS).decode("utf-8", "replace"))


def _sentence(error: BoundedError) -> str:
    if error.why == "large":
        return f"What is on the clipboard has more than {MAX_BYTES / 1e6:,.0f} MB: copy a smaller picture."
    if error.why == "slow":
        return "The program that holds the clipboard does not hand it over: copy again, or save the picture as a file."
    return "The clipboard cannot be read: copy again, or save the picture as a file and drop that."


def _missing(environ: Mapping[str, str]) -> str:
    if environ.get("WAYLAND_DISPLAY"):
        return "The clipboard is read with wl-paste, which is not installed: install wl-clipboard, or drop a file."
    if environ.get("DISPLAY"):
        return "The clipboard is read with xclip, which is not installed: install xclip, or drop a file."
    return "There is no clipboard that can be read here: drop a file, or name it with /image."
