"""Runs a stand-in's container: namespaces of its own, what it may see, then its command. Standard library only.

This process stays outside as docker's shim does, and ends with the container's exit code.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PROCESSES, NEW_NETWORK = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG = 1
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    words = [None if word is None else word.encode() for word in (source, target, kind)]
    if libc.mount(*words, ctypes.c_ulong(flags), None if data is None else data.encode()):
        error = ctypes.get_errno()
        raise OSError(error, f"mount {source} on {target}: {os.strerror(error)}")


def build(spec: dict) -> None:
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", 0)
    # What is mounted may lie below what is hidden, so it is held open first.
    held = [(os.open(one["source"], os.O_PATH), one) for one in spec["mounts"]]
    if spec["shm"]:
        mount("shm", "/dev/shm", "tmpfs", 0, f"size={spec['shm']}")
    for path in spec["hidden"]:
        mount("nothing", path, "tmpfs", 0, "mode=1777")
    for descriptor, one in held:
        target = Path(one["target"])
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        mount(f"/proc/self/fd/{descriptor}", str(target), None, MS_BIND)
        if one["readonly"]:
            mount("none", str(target), None, MS_REMOUNT | MS_BIND | MS_RDONLY)
        os.close(descriptor)


def loopback_up() -> None:
    with socket.socket() as probe:
        request = struct.pack("16sh14x", b"lo", 0x1)  # IFF_UP
        fcntl.ioctl(probe, 0x8914, request)  # SIOCSIFFLAGS


def separate(spec: dict) -> None:
    kinds = NEW_MOUNTS | NEW_PROCESSES | (NEW_IPC if spec["shm"] else 0) | (NEW_NETWORK if spec["loopback"] else 0)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(ctypes.c_int(kinds | (NEW_USER if user else 0))):
        raise OSError(ctypes.get_errno(), "this system allows no namespaces of one's own")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def inside(spec: dict) -> int:
    """What the container's first process does."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.setsid()
    build(spec)
    if spec["loopback"]:
        loopback_up()
    os.chdir(spec["workdir"])
    command = spec["command"]
    if not spec["init"]:
        os.execvp(command[0], command)
    child = subprocess.Popen(command, start_new_session=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda given, _: child.send_signal(given))
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            return exit_code(status)


def exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def main() -> int:
    spec = json.loads(sys.argv[1])
    separate(spec)
    child = os.fork()
    if not child:
        code = 126
        try:
            code = inside(spec)
        except OSError as error:
            print(f"container: {error}", flush=True)
        finally:
            os._exit(code)
    return exit_code(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
