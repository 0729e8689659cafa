"""`gemma-tui top` on a server behind a real sshd: what is wrong is said while the screen stays alive."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from gemma_backend.endpoint.address import parse_url
from gemma_tui.tui.top import TopApp
from gemma_tui.tui.widgets.dashboard import Dashboard
from stubs.ssh_server import SshServer
from tui.test_top import replayed


@pytest.fixture
def sshd(monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    with tempfile.TemporaryDirectory(prefix="sshd-", dir="/tmp") as folder:
        server = SshServer(Path(folder))
        server.start()
        monkeypatch.setenv("PATH", f"{server.path}:{os.environ['PATH']}")
        monkeypatch.setattr("gemma_tui.tui.top.AGAIN_SECONDS", 0.2)
        yield server
        server.stop()


async def until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    """Return once something is so; a minute is more than it can take."""
    for _ in range(600):
        if true():
            return
        await pilot.pause(0.1)
    raise AssertionError("it never came to be")


def children() -> list[str]:
    """Command lines of every ssh that this process has."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
            words = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"BatchMode=yes" in words:
            found.append(words.decode())
    return found


async def test_a_tunnel_that_asks_breaks_and_comes_back(sshd: SshServer) -> None:
    known = sshd.known.read_text()
    sshd.known.write_text("")
    async with replayed() as url:
        address = f"{sshd.address}/{url.rpartition(':')[2]}"
        app = TopApp([("behind ssh", parse_url(address), None)], 0.1)
        async with app.run_test(size=(80, 24)) as pilot:
            board = app.query_one(Dashboard)

            def words() -> str:
                return " ".join(board.words().split())

            # What ssh would ask a person is a sentence, and keys are heard meanwhile.
            await until(pilot, lambda: "is not known to ssh" in board.words().replace("\n", " "))
            await pilot.press("space")
            assert board.held
            await pilot.press("space", "t")
            assert app.theme == "gemma-light"
            sshd.known.write_text(known)
            await until(pilot, lambda: "3 running" in words())
            await asyncio.to_thread(sshd.stop)
            await until(pilot, lambda: "does not answer" in words())
            await until(pilot, lambda: "Nobody listens for ssh" in words() or "was lost" in words())
            await pilot.press("w")
            assert board.view.window == 300
            await asyncio.to_thread(sshd.start)
            await until(pilot, lambda: "3 running" in words() and "does not answer" not in words())
            assert children()
            await pilot.press("q")
        # Leaving ends every ssh before the program ends.
        for _ in range(600):
            if not children():
                break
            await asyncio.sleep(0.1)
        assert children() == []
