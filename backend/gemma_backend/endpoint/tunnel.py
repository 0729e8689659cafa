"""A tunnel to a server behind ssh: the system's own `ssh`, watched, and opened again when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gemma_backend.types import Endpoint, EndpointError, UsageError

SSH_EXAMPLE = "for example --url ssh://host, ssh://me@host:22/8000 or ssh://host/run/vllm.sock"
SERVER_PORT = 8000
"""Where a server listens on the far side unless the address says otherwise: vLLM's default."""
OPEN_SECONDS = 30.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
STDERR_BYTES = 8192
PREFIX = "gemma-ssh-"
# What ssh takes for a host or a user; a leading dash would be an option.
_NAME = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:%-]{0,253}")

# A question would hang behind the screen: everything is in keys, agents and known_hosts, or it is an error.
_OPTIONS = (
    "-o", "BatchMode=yes",
    "-o", "ConnectTimeout=10",
    "-o", "ServerAliveInterval=10",
    "-o", "ServerAliveCountMax=3",
    "-o", "ForwardAgent=no",
    "-o", "ForwardX11=no",
    "-o", "ControlPath=none",
    "-o", "PermitLocalCommand=no",
    "-T",
)  # fmt: skip

# Reads until the pipe from here is closed, which a program that was killed does too: no ssh outlives it.
_STAY = "cat > /dev/null"
_FORWARDING = (
    "-o", "ExitOnForwardFailure=yes",
    "-o", "StreamLocalBindUnlink=yes",
    "-o", "StreamLocalBindMask=0177",
)  # fmt: skip

_FAULTS: tuple[tuple[str, str], ...] = (
    ("Host key verification failed", "{host} is not known to ssh, or its key has changed: run `ssh {host}` once and "
     "confirm the key."),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "{host} shows another key than before: find out why, then remove the "
     "old one with `ssh-keygen -R {host}`."),
    ("Permission denied", "{host} let nobody in without a password: set up a key with `ssh-copy-id {host}`, or start "
     "ssh-agent."),
    ("Could not resolve hostname", "The host name {host} is not known: check its spelling and the network."),
    ("Connection refused", "Nobody listens for ssh at {host}: check host and port."),
    ("timed out", "{host} does not answer: check the address, the network and any firewall."),
    ("No route to host", "There is no way to {host}: check the network."),
    ("administratively prohibited", "{host} forbids tunnels: its sshd needs AllowTcpForwarding (or "
     "AllowStreamLocalForwarding for a socket)."),
    ("Bad configuration option", "The system's ssh does not know an option that is needed: OpenSSH 6.7 or newer is."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Where to connect to, and where the server listens there: a port of its loopback, or a socket's path."""

    host: str
    user: str | None = None
    port: int | None = None
    server: str = str(SERVER_PORT)

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        tail = (
            "" if self.server == str(SERVER_PORT) else self.server if self.server.startswith("/") else f"/{self.server}"
        )
        return f"ssh://{user}{host}{port}{tail}"

    @property
    def words(self) -> list[str]:
        """The end of ssh's command line."""
        port = ["-p", str(self.port)] if self.port else []
        return [*port, "--", f"{self.user}@{self.host}" if self.user else self.host]

    @property
    def far_end(self) -> str:
        """The far end of a forwarding."""
        return self.server if self.server.startswith("/") else f"127.0.0.1:{self.server}"


def parse_ssh(text: str) -> SshAddress:
    """Return the address in `ssh://[user@]host[:port][/PORT or /path/of/a.sock]`; raises UsageError."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError(f"{text!r} is no address: its host or port is malformed; write it {SSH_EXAMPLE}.") from None
    if parts.password is not None:
        raise UsageError("A password does not belong in the address: set up a key with ssh-copy-id.")
    user = unquote(parts.username) if parts.username else None
    if not _NAME.fullmatch(host) or (user is not None and not _NAME.fullmatch(user)) or parts.query or parts.fragment:
        raise UsageError(f"{text!r} names no host that ssh could reach; write it {SSH_EXAMPLE}.")
    tail = unquote(parts.path.rstrip("/").removesuffix("/v1"))
    if not tail:
        return SshAddress(host, user, port)
    number = tail.removeprefix("/")
    if number.isdecimal():
        if not 0 < int(number) < 65536:
            raise UsageError(f"{number} is no port; write it {SSH_EXAMPLE}.")
        return SshAddress(host, user, port, number)
    if not tail.isprintable() or ":" in tail:
        raise UsageError(f"{tail!r} is no path of a socket; write it {SSH_EXAMPLE}.")
    return SshAddress(host, user, port, tail)


def ssh_sentence(said: str, address: SshAddress) -> str:
    """Say in a sentence why ssh ended; `said` is what it wrote, which may hold anything."""
    host = f"{address.user}@{address.host}" if address.user else address.host
    for mark, sentence in _FAULTS:
        if mark in said:
            return sentence.format(host=host)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"ssh could not connect to {host}: {lines[-1][:300] if lines else 'it ended without a word'}"


def ssh_command() -> str:
    """The system's ssh; raises EndpointError where there is none."""
    found = shutil.which("ssh")
    if found is None:
        raise EndpointError("There is no ssh on this machine: install OpenSSH's client, or give an http:// address.")
    return found


class Tunnel:
    """A tunnel that stays: where its ssh ends, another is started until `close`. Use `open` once.

    `problem` is why it is down, "" while it stands.
    """

    def __init__(self, endpoint: Endpoint, options: tuple[str, ...] = ()) -> None:
        assert endpoint.tunnel is not None
        self.address = parse_ssh(endpoint.tunnel)
        self.problem = ""
        self.opened = 0
        self._endpoint = endpoint
        self._options = options
        self._folder = ""
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> Endpoint:
        """Open it; the endpoint whose socket is its near end. Raises EndpointError with what a person can do."""
        ssh = ssh_command()
        await asyncio.to_thread(_sweep)
        self._folder = tempfile.mkdtemp(prefix=PREFIX, dir=_base())
        try:
            await self._start(ssh)
        except BaseException:
            await self.close()
            raise
        self._watch = asyncio.create_task(self._keep(ssh))
        return dataclasses.replace(self._endpoint, socket=self.socket)

    @property
    def socket(self) -> str:
        """The near end."""
        return f"{self._folder}/s"

    def _listens(self) -> bool:
        return Path(self.socket).exists()

    def _remove_socket(self) -> None:
        Path(self.socket).unlink(missing_ok=True)

    async def close(self) -> None:
        """End it; nothing is left of it."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        await self._end()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _start(self, ssh: str) -> None:
        """Start ssh and return when the near end listens."""
        self._remove_socket()
        words = [ssh, *_OPTIONS, *self._options, *_FORWARDING]
        words += ["-L", f"{self.socket}:{self.address.far_end}", *self.address.words, _STAY]
        self._process = process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
            start_new_session=True,
        )
        assert process.stderr is not None
        said = asyncio.create_task(_read_some(process.stderr))
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                while process.returncode is None and not self._listens():
                    await asyncio.sleep(0.02)
                    if said.done() and process.returncode is None:
                        await process.wait()
        except TimeoutError:
            await self._end()
        if process.returncode is not None or not self._listens():
            self.problem = ssh_sentence(await said, self.address)
            raise EndpointError(self.problem)
        self.problem = ""
        self.opened += 1

    async def _keep(self, ssh: str) -> None:
        """Start ssh again whenever it has ended, sooner at first."""
        pause = FIRST_PAUSE
        while True:
            if self._process is not None:
                await self._process.wait()
            self.problem = self.problem or f"The connection to {self.address.host} was lost: it is opened again."
            await asyncio.sleep(pause)
            try:
                await self._start(ssh)
                pause = FIRST_PAUSE
            except EndpointError:
                pause = min(LONGEST_PAUSE, pause * 2)
                self._process = None

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 3.0)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _base() -> str:
    """Where folders closed to others are made; short, since a socket's path has 107 bytes at most."""
    return "/tmp" if len(tempfile.gettempdir()) > 40 else tempfile.gettempdir()


def _sweep() -> None:
    """Remove what a program that was killed has left: a near end behind which nobody listens."""
    for folder in Path(_base()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(folder / "s"))
            except ConnectionRefusedError:
                shutil.rmtree(folder, ignore_errors=True)


def _environment() -> dict[str, str]:
    """This process's environment without what would make ssh ask a person in a window."""
    return {name: value for name, value in os.environ.items() if name not in ("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE")}


async def _read_some(stream: asyncio.StreamReader) -> str:
    """The end of what is written, read to its end: a host can send banners of any size."""
    kept = b""
    while piece := await stream.read(4096):
        kept = (kept + piece)[-STDERR_BYTES:]
    return kept.decode("utf-8", "replace")


def remote_words(address: SshAddress, command: str, options: tuple[str, ...] = ()) -> list[str]:
    """The command line that runs `command` on the far side without asking anything."""
    return [ssh_command(), *_OPTIONS, *options, *address.words, command]
