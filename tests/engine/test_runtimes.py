"""A real vLLM in a container, without a network, and from a printed command line that is pasted into a shell."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemma_backend.checkpoint.locate import locate
from gemma_backend.config.profiles import load_profile
from gemma_backend.engine import container
from gemma_backend.engine import record as records
from gemma_backend.engine.engine import Engine
from gemma_backend.engine.health import connect
from gemma_backend.engine.spawn import free_port
from gemma_backend.runtime.container import find_image
from gemma_backend.types import Endpoint, EngineReady, PhaseChanged
from stubs.docker_stand_in import Docker, docker
from stubs.real_engine import ROOT, cpu_runtime, environment, wait_for

pytestmark = pytest.mark.engine
START = 280.0
IMAGE = "somebody/vllm-cpu:0.32.0"


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folders of their own, so that no running engine is joined; what a test leaves is ended."""
    for kind in ("STATE", "LOG", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind.lower()))
    yield tmp_path
    for record in records.records():
        records.stop(record)


def complete(endpoint: Endpoint, prompt: str) -> str:
    """One completion over the engine's socket."""
    body = json.dumps({"model": "gemma-tui/pocket", "prompt": prompt, "max_tokens": 8, "temperature": 0})
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = connect(endpoint)
    connection.sock.settimeout(60)
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    return str(json.loads(connection.getresponse().read())["choices"][0]["text"])


@pytest.fixture
def service(alone: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Docker]:
    with docker(tmp_path_factory.mktemp("docker")) as made:
        monkeypatch.setenv("PATH", f"{made.path}:{os.environ['PATH']}")
        # As in a real image, nothing of this program, its checkpoint and its folders is there unless it is mounted.
        made.add_image(IMAGE, cpu_runtime().python, hidden=[str(ROOT), str(alone)])
        yield made


@pytest.mark.timeout(600)
async def test_a_real_vllm_serves_from_a_container(service: Docker, alone: Path) -> None:
    runtime = find_image(f"docker:{IMAGE}")
    assert runtime is not None and (runtime.device, runtime.version) == ("cpu", "0.32.0")
    profile = load_profile("pocket").model_copy(update={"runtime": runtime.name})
    engine = Engine(profile, runtime, locate("bundled:pocket"))
    await engine.start()
    endpoint = await engine.wait_ready()
    assert endpoint.socket is not None
    assert complete(endpoint, "Once upon a time").strip()
    assert service.names() == [container.name_of(engine._id)]
    inside = engine.pid or 0
    assert Path(f"/proc/{inside}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    await engine.stop()
    assert engine.left == [] and service.names() == [] and not engine._folder.exists()
    assert not Path(f"/proc/{inside}").exists()
    names = [event.phase.name for event in engine.history() if isinstance(event, PhaseChanged)]
    assert {"imports", "config", "engine core", "weights", "kv cache", "server"} <= set(names)
    assert [event for event in engine.history() if isinstance(event, EngineReady)]


CUT = """
import errno, fcntl, socket, struct, sys
with socket.socket() as probe:
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh14x", b"lo", 1))
with socket.socket() as probe:
    assert probe.connect_ex(("192.0.2.1", 80)) == errno.ENETUNREACH, "the network is not cut"
from gemma_tui.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.timeout(600)
def test_with_the_network_cut_an_installed_profile_starts_and_talks(alone: Path) -> None:
    cut = ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    words = ["ask", "--profile", "pocket", "--raw", "--max-tokens", "8", "--temperature", "0", "Once upon a time"]
    done = subprocess.run(
        [*cut, sys.executable, "-c", CUT, *words],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=START + 120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert records.records() == []


@pytest.mark.timeout(600)
def test_the_printed_command_runs_in_a_shell_without_us(alone: Path, tmp_path: Path) -> None:
    port = free_port()
    printed = subprocess.run(
        [sys.executable, "-m", "gemma_tui", "engine", "command", "--profile", "pocket", "--port", str(port)],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    ).stdout
    # A shell of a person who has nothing of ours in the environment.
    bare = {"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    shell = shutil.which("bash") or "sh"
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([shell, "-c", printed], stdout=log, stderr=log, env=bare, start_new_session=True)
    try:
        until = time.monotonic() + START
        while not answers(port):
            assert server.poll() is None, (tmp_path / "log").read_text()[-3000:]
            assert time.monotonic() < until, "it did not become ready"
            time.sleep(0.5)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=30) as answer:
            assert json.load(answer)["data"][0]["id"] == "gemma-tui/pocket"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(30)
    assert wait_for(lambda: not listens(port), 30)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
