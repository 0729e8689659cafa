"""Tunnels through a real sshd on loopback, and what a far side can say."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.config.settings import Settings
from gemma_backend.endpoint.address import is_local, key_warning, parse_url, place
from gemma_backend.endpoint.tunnel import SshAddress, Tunnel, parse_ssh, ssh_sentence
from gemma_backend.metrics.poll import Poller
from gemma_backend.metrics.remote_gpu import RemoteGpus, parse_row
from gemma_backend.session.far import FarServer
from gemma_backend.session.session import Session
from gemma_backend.types import Delta, EndpointError, Finished, TextPart, UsageError
from stubs.openai_server import OpenAIServer, Reply
from stubs.ssh_server import SshServer


@pytest.fixture
def sshd(monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    with tempfile.TemporaryDirectory(prefix="sshd-", dir="/tmp") as folder:
        server = SshServer(Path(folder))
        server.start()
        monkeypatch.setenv("PATH", f"{server.path}:{os.environ['PATH']}")
        for name in ("STATE", "CONFIG", "LOG"):
            monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", f"{folder}/{name.lower()}")
        yield server
        server.stop()


async def until(true: Callable[[], bool]) -> None:
    """Return once something is so; a minute is more than it can take."""
    for _ in range(1200):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to be")


async def said(session: Session) -> tuple[str, object]:
    text, last = "", None
    async for event in session.chat([TextPart("Hello")]):
        text += event.text if isinstance(event, Delta) else ""
        last = event
    return text, last


async def test_a_session_through_a_tunnel_that_is_opened_again(sshd: SshServer) -> None:
    async with OpenAIServer(reply=Reply("Through ssh.")) as server:
        endpoint = parse_url(f"{sshd.address}/{server.port}")
        assert not is_local(endpoint)
        session = Session.for_endpoint(endpoint, None, Settings())
        await session.start()
        await session.wait_ready()
        assert session.far is not None
        assert (await said(session))[0] == "Through ssh."
        assert session.endpoint is not None
        near = session.endpoint.socket or ""
        assert Path(near).stat().st_mode & 0o077 == 0
        assert Path(near).parent.stat().st_mode & 0o777 == 0o700
        # The far side goes down with every connection, and comes back.
        await asyncio.to_thread(sshd.stop)
        _, last = await said(session)
        assert not isinstance(last, Finished)
        await asyncio.to_thread(sshd.start)
        await until(lambda: session.far is not None and session.far.tunnel.opened >= 2)
        assert session.far.tunnel.problem == ""
        assert (await said(session))[0] == "Through ssh."
        process = session.far.tunnel._process
        await session.close()
        assert process is not None
        assert process.returncode is not None
        assert not Path(near).parent.exists()


async def test_a_socket_on_the_far_side(sshd: SshServer) -> None:
    async with OpenAIServer(reply=Reply("Socket."), socket=str(sshd.folder / "far.sock")):
        session = Session.for_endpoint(parse_url(f"{sshd.address}{sshd.folder}/far.sock"), None, Settings())
        await session.start()
        await session.wait_ready()
        assert (await said(session))[0] == "Socket."
        await session.close()


async def failing(sshd: SshServer) -> str:
    with pytest.raises(EndpointError) as caught:
        await Tunnel(parse_url(sshd.address)).open()
    return str(caught.value)


async def test_what_would_ask_a_person_is_one_sentence(sshd: SshServer) -> None:
    sshd.known.write_text("")
    assert "is not known to ssh" in await failing(sshd)
    other = sshd.folder / "other"
    process = await asyncio.create_subprocess_exec(*("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)))
    await process.wait()
    sshd.known.write_text(f"[127.0.0.1]:{sshd.port} {' '.join((sshd.folder / 'other.pub').read_text().split()[:2])}\n")
    assert "is not known to ssh, or its key has changed" in await failing(sshd)
    sshd.known.write_text(f"[127.0.0.1]:{sshd.port} {' '.join((sshd.folder / 'host.pub').read_text().split()[:2])}\n")
    sshd.identity = other
    sshd.write_client()
    assert "without a password: set up a key" in await failing(sshd)
    sshd.stop()
    assert "Nobody listens for ssh" in await failing(sshd)


async def test_ask_answers_through_ssh(sshd: SshServer) -> None:
    before = set(Path("/tmp").glob("gemma-ssh-*"))
    async with OpenAIServer(reply=Reply("Yes.")) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gemma_tui", "ask", "Hello?", "--url", f"{sshd.address}/{server.port}"),
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
    assert (process.returncode, output.decode(), errors.decode()) == (0, "Yes.", "")
    assert set(Path("/tmp").glob("gemma-ssh-*")) <= before


ROW = "0, NVIDIA GB10, GPU-1, [N/A], [N/A], [N/A], 7, 11.17, 35, 2418, 12.1"


async def test_gpus_of_the_far_side(sshd: SshServer) -> None:
    rows = "0, NVIDIA H100 80GB HBM3, GPU-1, 81559, 20480, 61079, 87, 411.6, 61, 1980, 9.0"
    hostile = r"printf '\033]0;owned\007\n1, \033[31mred, x, -5, nan, 1e999, 900, inf, z, 1, 9\n'; yes | head -c 300000"
    far = FarServer(parse_url(sshd.address))
    far.cards = RemoteGpus(parse_ssh(sshd.address), command=f"{hostile}; while :; do echo '{rows}'; sleep 0.2; done")
    far.cards.start()
    await until(lambda: any(gpu.index == 0 for gpu in far.gpus()))
    card = far.gpus()[0]
    assert (card.name, card.total, card.used) == ("NVIDIA H100 80GB HBM3", 81559 << 20, 20480 << 20)
    assert (card.utilisation, card.power, card.temperature, card.clock) == (0.87, 411.6, 61, 1980)
    async with OpenAIServer() as server:
        poller = Poller(parse_url("http://203.0.113.1:9"), far=far)
        assert (await poller.once(0.1)).gpus[0].name == "NVIDIA H100 80GB HBM3"
        assert server.requests == []
    await far.close()


def test_a_row_without_memory_of_its_own() -> None:
    card = parse_row(ROW)
    assert card is not None
    assert (card.total, card.used, card.power, card.compute_capability) == (None, None, 11.17, (12, 1))


@given(st.text(max_size=2000))
def test_whatever_a_far_side_writes_is_harmless(text: str) -> None:
    for line in (text, f"0,{text}", ROW.replace("NVIDIA GB10", text), ROW.replace("35", text)):
        card = parse_row(line)
        if card is not None:
            assert card.name.isprintable()
            assert len(card.name) <= 60
            assert card.total is None or card.total >= 0
    assert "\n" not in ssh_sentence(text, SshAddress("h")) or "\n" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh://spark", SshAddress("spark")),
        ("ssh://me@spark:2222", SshAddress("spark", "me", 2222)),
        ("ssh://spark/8001", SshAddress("spark", server="8001")),
        ("ssh://spark:22/8001/v1", SshAddress("spark", port=22, server="8001")),
        ("ssh://spark/run/user/1000/vllm.sock", SshAddress("spark", server="/run/user/1000/vllm.sock")),
        ("ssh://[::1]:22", SshAddress("::1", port=22)),
    ],
)
def test_addresses(text: str, expected: SshAddress) -> None:
    assert parse_ssh(text) == expected
    assert parse_ssh(str(expected)) == expected
    endpoint = parse_url(text, api_key="k")
    assert place(endpoint) == str(expected)
    assert key_warning(endpoint) is None


@pytest.mark.parametrize(
    "text",
    ["ssh://", "ssh://-oProxyCommand=x", "ssh://-l@host", "ssh://host/99999", "ssh://host/run/a:b", "ssh://host?x",
     "ssh://a b", "ssh://me:secret@host", "ssh://host:port"],
)  # fmt: skip
def test_what_is_no_address_never_reaches_ssh(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)


async def test_no_ssh_outlives_a_program_that_was_killed(sshd: SshServer) -> None:
    async with OpenAIServer(reply=Reply("Hello. " * 500, rate=5)) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gemma_tui", "ask", "Hello?", "--url", f"{sshd.address}/{server.port}"),
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        await server.until(running=1)

        def clients() -> list[str]:
            found = []
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = path.read_bytes().split(b"\0")
                except OSError:
                    continue
                if str(sshd.port).encode() in words and b"BatchMode=yes" in words:
                    found.append(path.parent.name)
            return found

        assert clients()
        process.kill()
        await process.wait()
        await until(lambda: not clients())
        await server.until(running=0)
        # The dead near end goes with the next tunnel that is opened.
        left = set(Path("/tmp").glob("gemma-ssh-*"))
        assert left
        tunnel = Tunnel(parse_url(f"{sshd.address}/{server.port}"))
        await tunnel.open()
        assert not left & set(Path("/tmp").glob("gemma-ssh-*"))
        await tunnel.close()


async def test_top_looks_through_ssh(sshd: SshServer) -> None:
    async with OpenAIServer() as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gemma_tui", "top", "--once", "--interval", "0.2", f"{sshd.address}/{server.port}"),
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert "running         0" in output.decode()
    # This machine's memory is not the far one's.
    assert "this machine    not available" in output.decode()
