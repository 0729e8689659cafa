"""Opens an address with the desktop's own program; nothing is ever opened in the terminal itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

SCHEMES = ("http", "https", "mailto")
"""Kinds of addresses that are opened; what another one would start is not known."""


def desktop_opener(environ: Mapping[str, str] = os.environ) -> str | None:
    """The program that opens addresses on this desktop, None where there is no desktop, as over ssh."""
    if sys.platform == "darwin":
        return shutil.which("open")
    if environ.get("WSL_DISTRO_NAME") and (found := shutil.which("wslview")):
        return found
    if environ.get("WAYLAND_DISPLAY") or environ.get("DISPLAY"):
        return shutil.which("xdg-open")
    return None


def can_open(url: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a program for this kind of address."""
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        return False
    return scheme in SCHEMES and desktop_opener(environ) is not None


def open_address(url: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Start the desktop's program on `url`, apart from this terminal; whether that could be done."""
    program = desktop_opener(environ)
    if program is None or not can_open(url, environ):
        return False
    try:
        subprocess.Popen(
            [program, url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    return True
