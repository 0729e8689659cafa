"""A desktop of the tests' own: an X server, a Wayland compositor and a sound server, each without hardware."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_SECONDS = 60.0
NOBODY = 65534


def needed(*programs: str) -> None:
    """Fails where a program is missing, with how to get all of them."""
    missing = [program for program in programs if shutil.which(program) is None]
    assert not missing, f"{', '.join(missing)} missing: apt-get install what packaging/requirements/desktop.txt lists"


@contextmanager
def running(words: list[str], env: dict[str, str], up: Callable[[], bool], user: int | None = None) -> Iterator[None]:
    """A program for as long as the context, from the moment at which it is `up`."""
    process = subprocess.Popen(
        words,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while not up():
            assert process.poll() is None, f"{words[0]} ended with {process.returncode}"
            assert time.monotonic() < end, f"{words[0]} did not come up"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def runtime_folder() -> Iterator[Path]:
    """A short path: sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="gt-") as name:
        Path(name).chmod(0o700)
        yield Path(name)


@pytest.fixture
def x11(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of an X server without a screen."""
    needed("Xvfb", "xclip", "xdpyinfo")
    number = 500 + os.getpid() % 400
    env = {"DISPLAY": f":{number}", "PATH": os.environ["PATH"]}

    def up() -> bool:
        return subprocess.run(["xdpyinfo"], env=env, capture_output=True, check=False).returncode == 0

    with running(["Xvfb", f":{number}", "-screen", "0", "640x480x24"], dict(os.environ), up):
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        monkeypatch.setenv("DISPLAY", env["DISPLAY"])
        yield env


@pytest.fixture
def wayland(monkeypatch: pytest.MonkeyPatch, runtime_folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a Wayland compositor without a screen."""
    needed("sway", "wl-copy", "wl-paste")
    backend = {"WLR_BACKENDS": "headless", "WLR_RENDERER": "pixman", "WLR_LIBINPUT_NO_DEVICES": "1"}
    env = os.environ | backend | {"XDG_RUNTIME_DIR": str(runtime_folder)}
    env.pop("DISPLAY", None)
    (runtime_folder / "config").write_text("xwayland disable\n")
    if os.geteuid() == 0:
        # The compositor refuses to run as root.
        os.chown(runtime_folder, NOBODY, NOBODY)
    with running(
        ["sway", "-c", str(runtime_folder / "config")],
        env,
        lambda: (runtime_folder / "wayland-1").exists(),
        user=NOBODY if os.geteuid() == 0 else None,
    ):
        for name in ("XDG_RUNTIME_DIR", "WAYLAND_DISPLAY"):
            monkeypatch.setenv(name, {"WAYLAND_DISPLAY": "wayland-1"}.get(name, str(runtime_folder)))
        yield {"WAYLAND_DISPLAY": "wayland-1"}


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch, runtime_folder: Path) -> Iterator[str]:
    """A sound server with a speaker that nobody hears; the result is the microphone that hears it."""
    needed("pulseaudio", "paplay", "parecord", "pactl")
    socket = runtime_folder / "pulse.sock"
    words = [
        "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--system=false",
        "-L", "module-null-sink sink_name=speaker rate=48000",
        "-L", f"module-native-protocol-unix socket={socket} auth-anonymous=1",
    ]  # fmt: skip
    home = os.environ | {"HOME": str(runtime_folder), "XDG_RUNTIME_DIR": str(runtime_folder)}
    with running(words, home, socket.exists):
        monkeypatch.setenv("PULSE_SERVER", f"unix:{socket}")
        yield "speaker.monitor"
