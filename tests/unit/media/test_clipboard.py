"""What is taken from a clipboard, and what is said where nothing can be."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gemma_backend.media import bounded, clipboard
from gemma_backend.media.clipboard import Copied, copied, is_reachable
from gemma_backend.types import BadInput
from unit.media.conftest import Program

WAYLAND = {"WAYLAND_DISPLAY": "wayland-0"}
X11 = {"DISPLAY": ":0"}


def answers(types: str, content: str) -> str:
    """A script for wl-paste that offers `types` and gives `content` for the one that is asked for."""
    return f'case "$*" in *--list-types*) printf "{types}";; *) printf "$4 {content}";; esac'


def refused(environ: dict[str, str]) -> str:
    with pytest.raises(BadInput) as caught:
        copied(environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_picture_comes_before_files_and_text(program: Program) -> None:
    program("wl-paste", answers("text/plain\\nimage/jpeg\\nimage/png\\ntext/uri-list\\n", "bytes"))
    # $4 is the type that was asked for.
    assert copied(WAYLAND) == Copied(picture=b" bytes") or copied(WAYLAND).picture.endswith(b"bytes")
    assert is_reachable(WAYLAND)


def test_files_come_before_text(program: Program, tmp_path: Path) -> None:
    (tmp_path / "a b.png").touch()
    listed = f"copy\\nfile://{tmp_path}/a%%20b.png"
    program(
        "xclip",
        f'case "$*" in *TARGETS*) printf "x-special/gnome-copied-files\\nUTF8_STRING\\n";; *) printf "{listed}";; esac',
    )
    assert copied(X11) == Copied(paths=(tmp_path / "a b.png",))


def test_text_is_text(program: Program) -> None:
    program("xclip", 'case "$*" in *TARGETS*) printf "TIMESTAMP\\nUTF8_STRING\\n";; *) printf "Grüße\\n\\n";; esac')
    assert copied(X11) == Copied(text="Grüße\n\n")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exec sleep 100", "does not hand it over"),
        ('case "$*" in *--list-types*) printf "image/png\\n";; *) cat /dev/zero;; esac', "more than 1 MB"),
        ("echo 'No selection' >&2; exit 1", "nothing on the clipboard"),
        ("echo 'Nothing is copied' >&2; exit 1", "nothing on the clipboard"),
        ("printf 'application/x-own\\n'", "nothing on the clipboard"),
        ("echo 'failed to connect' >&2; exit 1", "cannot be read"),
    ],
)
def test_what_goes_wrong_is_a_sentence(
    program: Program, script: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipboard, "SECONDS", 0.5)
    monkeypatch.setattr(clipboard, "MAX_BYTES", 1_000_000)
    program("wl-paste", script)
    assert said in refused(WAYLAND)


@pytest.mark.parametrize(
    ("environ", "said"), [(WAYLAND, "install wl-clipboard"), (X11, "install xclip"), ({}, "no clipboard")]
)
def test_what_is_missing_is_named(program: Program, environ: dict[str, str], said: str) -> None:
    assert said in refused(environ)
    assert not is_reachable(environ)


def test_x11_is_read_where_wayland_has_no_program(program: Program) -> None:
    program("xclip", 'case "$*" in *TARGETS*) printf "STRING\\n";; *) printf "text";; esac')
    assert copied(WAYLAND | X11) == Copied(text="text")


def test_a_program_ends_with_its_children(program: Program, tmp_path: Path) -> None:
    program("forks", f"(while :; do printf x >> {tmp_path}/alive; sleep 0.05; done) & sleep 100")
    with pytest.raises(bounded.BoundedError, match="slow"):
        bounded.output_of(["forks"], limit=100, seconds=0.5)
    written = (tmp_path / "alive").stat().st_size
    assert written > 0
    time.sleep(0.5)
    assert (tmp_path / "alive").stat().st_size == written
