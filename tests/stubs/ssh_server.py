"""A real sshd on loopback with keys and configuration of its own, and an `ssh` that uses them."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path


class SshServer:
    """Starts with `start`; `folder` should be new and short. `path` goes first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.user = getpass.getuser()
        self.path = folder / "bin"
        self._process: subprocess.Popen[bytes] | None = None
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        assert Path(sshd).exists(), "OpenSSH's server is missing: apt-get install openssh-server"
        self._sshd = sshd
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=30
            )
        (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
        (folder / "authorized").chmod(0o600)
        key = (folder / "host.pub").read_text().split()[:2]
        self.known = folder / "known_hosts"
        self.known.write_text(f"[127.0.0.1]:{self.port} {' '.join(key)}\n")
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nPidFile {folder / 'pid'}\n"
            f"AuthorizedKeysFile {folder / 'authorized'}\nPasswordAuthentication no\nUsePAM no\nStrictModes no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n"
        )
        self.path.mkdir()
        self.identity = folder / "user"
        self.write_client()

    def write_client(self) -> None:
        """Write the `ssh` that knows the present identity and known hosts, and nothing of the person's own."""
        script = self.path / "ssh"
        script.write_text(
            f"#!/bin/sh\nexec {shutil.which('ssh', path='/usr/bin:/bin') or 'ssh'} -F none -i {self.identity} "
            f'-o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile={self.known} "$@"\n'
        )
        script.chmod(0o755)

    @property
    def address(self) -> str:
        """Where it answers, as an ssh URL without a path."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, or start it again, and return when it answers."""
        Path("/run/sshd").mkdir(parents=True, exist_ok=True) if os.getuid() == 0 else None
        self._process = subprocess.Popen(
            [self._sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
            start_new_session=True,
        )
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """End it with all its connections."""
        if self._process is None:
            return
        for pid in _below(self._process.pid):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self._process.kill()
        self._process.wait()
        self._process = None


def _below(pid: int) -> list[int]:
    """Every process that came of `pid`."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat[stat.rindex(")") + 2 :].split()[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
