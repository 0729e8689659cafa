"""An engine in a container: what it is given, and that it ends with its keeper, its program and every crash."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gemma_backend.config.profiles import ContainerOptions, Profile
from gemma_backend.engine import container, container_life
from gemma_backend.engine import record as records
from gemma_backend.engine.command import EngineCommand
from gemma_backend.engine.engine import Engine
from gemma_backend.engine.proc import look
from gemma_backend.engine.spawn import Tcp
from gemma_backend.runtime.container import find_image
from gemma_backend.runtime.found import Image, Runtime
from gemma_backend.types import EngineError, EngineFailed, PhaseChanged
from stubs.docker_stand_in import Docker, docker

IMAGE = "someone/vllm:1"


@pytest.fixture
def service(homes: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Docker]:
    """A docker with one image, which has nothing of the test's own folder."""
    with docker(tmp_path_factory.mktemp("docker")) as made:
        monkeypatch.setenv("PATH", f"{made.path}:{os.environ['PATH']}")
        made.add_stand_in(IMAGE, hidden=[homes])
        yield made


@pytest.fixture
def boxed(service: Docker) -> Runtime:
    found = find_image(f"container:{IMAGE}")
    assert found is not None
    return found


async def until(done: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.05)


def record_of(engine: Engine) -> records.Record:
    return next(record for record in records.records() if record.id == engine._id)


async def test_an_image_is_a_runtime_and_asked_once(service: Docker) -> None:
    assert find_image("docker:nobody/none:2") is None
    for _ in range(2):
        found = find_image(f"docker:{IMAGE}")
        assert found is not None and found.image is not None
        assert (found.kind, found.device, found.version, found.image.name) == ("container", "cuda", "0.32.0", IMAGE)
    assert len([words for words in service.asked() if words[0] == "run"]) == 1
    service.add_image("empty:1", Path("/bin/false"))
    with pytest.raises(EngineError, match="holds no vLLM"):
        find_image("docker:empty:1")
    with pytest.raises(EngineError, match="none is on PATH"):
        find_image("podman:a/b")


async def test_it_serves_with_the_same_phases_and_leaves_nothing(
    service: Docker, boxed: Runtime, profile: Profile, checkpoint: Path
) -> None:
    engine = Engine(profile, boxed, checkpoint)
    await engine.start()
    endpoint = await engine.wait_ready()
    assert endpoint.socket is not None and engine.log is not None
    assert service.names() == [container.name_of(engine._id)]
    # The process on record is the one in the container, not the command that shows its output.
    await until(lambda: bool(engine.pid) and "docker_command" not in title(engine.pid or 0))
    written = record_of(engine).engine
    assert written is not None and written[0] == engine.pid
    started = next(words for words in service.asked() if words[0] == "run" and "--name" in words)
    given = started[: started.index(IMAGE)]
    for flag, value in {
        "--gpus": "all",
        "--ipc": "private",
        "--shm-size": "8g",
        "--network": "none",
        "--entrypoint": "python3",
        "--user": f"{os.getuid()}:{os.getgid()}",
        "--label": f"gemma-tui.engine={engine._id}",
    }.items():
        assert given[given.index(flag) + 1] == value
    mounts = [given[place + 1] for place, word in enumerate(given) if word == "--mount"]
    assert f"type=bind,source={checkpoint},target={checkpoint},readonly" in mounts
    assert any("/plugin/" in one and one.endswith(",readonly") for one in mounts)
    assert any("/cache/engine/0.32.0-" in one and not one.endswith(",readonly") for one in mounts)
    env = engine._folder / "env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    await engine.stop()
    assert engine.left == [] and service.names() == []
    names = [event.phase.name for event in engine.history() if isinstance(event, PhaseChanged)]
    assert names[0] == "imports" and names[-1] == "ready"
    assert not engine._folder.exists() and records.records() == []


async def test_the_key_is_in_a_file_alone(service: Docker, boxed: Runtime, profile: Profile, checkpoint: Path) -> None:
    with_port = Tcp(port=free_port(), key="k-e-y")
    engine = Engine(profile, boxed, checkpoint, address=with_port)
    await engine.start()
    assert "VLLM_API_KEY=k-e-y\n" in (engine._folder / "env").read_text()
    await engine.wait_ready()
    assert not any("k-e-y" in word for words in service.asked() for word in words)
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"k-e-y" in line for line in lines)
    await engine.stop()
    assert service.names() == []


async def test_the_command_killed_the_container_goes_on(
    service: Docker, boxed: Runtime, profile: Profile, checkpoint: Path
) -> None:
    engine = Engine(profile, boxed, checkpoint)
    await engine.start()
    await engine.wait_ready()
    keeper = record_of(engine).keeper[0]
    commands = [pid for pid in children(keeper) if "docker_command.py run" in title(pid)]
    assert len(commands) == 1
    os.kill(commands[0], signal.SIGKILL)
    await asyncio.sleep(1.5)
    assert engine.state == "ready" and service.names() == [container.name_of(engine._id)]
    # Its output is followed by another command, and its end is still seen, with its own exit code.
    await until(lambda: any("logs" in title(pid) for pid in children(keeper)))
    service.run("kill", container.name_of(engine._id))
    async for event in engine.events():
        if isinstance(event, EngineFailed):
            assert "137" in event.failure.cause or "killed" in event.failure.cause.lower()
            break
    await engine.stop()
    assert service.names() == [] and not engine._folder.exists()


async def test_a_killed_keeper_takes_the_container_with_it(
    service: Docker, boxed: Runtime, profile: Profile, checkpoint: Path
) -> None:
    engine = Engine(profile, boxed, checkpoint)
    await engine.start()
    await engine.wait_ready()
    os.kill(record_of(engine).keeper[0], signal.SIGKILL)
    async for event in engine.events():
        if isinstance(event, EngineFailed):
            assert "keeper" in event.failure.cause
    assert service.names() == [] and records.records() == []
    await engine.stop()


@pytest.mark.parametrize("record", ["kept", "lost"])
async def test_found_by_label_after_everything_of_ours_died(
    service: Docker, boxed: Runtime, profile: Profile, checkpoint: Path, record: str
) -> None:
    owner = subprocess.Popen(  # noqa: ASYNC220 - a program of its own, which is killed
        [sys.executable, "-c", OWNER, profile.model_dump_json(), str(checkpoint), f"container:{IMAGE}"],
        env=dict(os.environ) | {"PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    with owner.stdout as said:
        assert said.readline() == b"ready\n"
    found = records.records()[0]
    shown = [pid for pid in children(found.keeper[0]) if "docker_command.py run" in title(pid)]
    doomed = [owner.pid, found.keeper[0], *shown]
    assert len(shown) == 1
    # The command first: it would pass the keeper's death on.
    for pid in reversed(doomed):
        os.kill(pid, signal.SIGKILL)
    owner.wait()
    await until(lambda: look(found.keeper[0]) is None)
    assert service.names() == [container.name_of(found.id)]
    if record == "lost":
        found.path.unlink()
    cleaned = records.clean_stale()
    # Without a record its container and its folder are found each by itself.
    assert len(cleaned) == (2 if record == "lost" else 1) and all("Removed" in sentence for sentence in cleaned)
    assert service.names() == [] and records.records() == []
    # With the last container its tool is forgotten: nobody else pays for asking it.
    records.clean_stale()
    assert not records.container_notes().exists()


async def test_containers_of_another_home_are_left_alone(
    service: Docker, boxed: Runtime, profile: Profile, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = Engine(profile, boxed, checkpoint)
    await engine.start()
    mine = os.environ["GEMMA_TUI_STATE_DIR"]
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", str(tmp_path / "other"))
    container_life.note_tool(records.container_notes(), str(service.tool))
    assert records.clean_stale() == []
    monkeypatch.setenv("GEMMA_TUI_STATE_DIR", mine)
    assert records.clean_stale() == [] and service.names() == [container.name_of(engine._id)]
    await engine.stop()


async def test_what_the_tool_says_is_the_cause(
    service: Docker, homes: Path, profile: Profile, checkpoint: Path
) -> None:
    service.add_stand_in("gpuless:1", hidden=[homes])
    images = service.folder / "images.json"
    images.write_text(images.read_text().replace('"gpu": true', '"gpu": false'))
    found = find_image("docker:gpuless:1")
    assert found is not None
    engine = Engine(profile, found, checkpoint)
    await engine.start()
    with pytest.raises(EngineError, match="NVIDIA Container Toolkit"):
        await engine.wait_ready()
    await engine.stop()
    assert service.names() == []


def test_a_checkpoint_of_links_is_mounted_with_what_it_leads_to(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "1"
    for folder in (blobs, snapshot, tmp_path / "disk"):
        folder.mkdir(parents=True)
    (tmp_path / "disk" / "weights").write_text("w")
    (blobs / "c0ffee").symlink_to(tmp_path / "disk" / "weights")
    (snapshot / "model.safetensors").symlink_to("../../blobs/c0ffee")
    assert container.folders_of(snapshot) == (tmp_path / "disk", blobs, snapshot)
    assert container.folders_of(blobs.parent) == (tmp_path / "disk", blobs.parent)


def test_podman_and_rootless_are_spoken_to_in_their_own_words() -> None:
    place = container.Place((Path("/caches"),), (Path('/a,"b'),), 1000, 1000)

    def words(image: Image, options: ContainerOptions, *, gpu: bool = True) -> list[str]:
        return container.shared(image, options, place, "none", gpu=gpu)

    rootless = words(Image("/usr/bin/podman", "i", rootless=True), ContainerOptions())
    assert rootless[rootless.index("--device") + 1] == "nvidia.com/gpu=all"
    assert "--gpus" not in rootless and "--user" not in rootless and "--init" not in rootless
    assert 'type=bind,"source=/a,""b","target=/a,""b",readonly' in rootless
    host = words(Image("docker", "i"), ContainerOptions(ipc="host"), gpu=False)
    assert host[host.index("--ipc") + 1] == "host" and "--shm-size" not in host and "--gpus" not in host
    with pytest.raises(EngineError, match="more than one line"):
        container.env_file({"A": "b\nc"})


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_line_for_a_shell_needs_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    command = EngineCommand(("python3", "-m", "server", "--model", "a/b"), {"A": "b c", "VLLM_API_KEY": "k-e-y"})
    image = Image("docker", "nvcr.io/nvidia/vllm:26.10-py3", wrapped=wrapped)
    runtime = Runtime("docker:x", "container", "cuda", Path("python3"), "0.31.0", Path("x"), image)
    options = ContainerOptions(arguments=("--cpus", "2"))
    argv = container.for_a_shell(command, runtime, options, None, None, None).argv
    assert argv[:3] == ("docker", "run", "--rm") and "A=b c" in argv and "k-e-y" not in " ".join(argv)
    assert f"type=bind,source={tmp_path}/hub,target={tmp_path}/hub" in argv
    end = ("--cpus", "2", image.name, "python3") if wrapped else ("--cpus", "2", "--entrypoint", "python3", image.name)
    assert argv[-len(end) - 4 :] == (*end, *command.argv[1:])


OWNER = """
import asyncio, sys
from pathlib import Path
from gemma_backend.config.profiles import Profile
from gemma_backend.engine.engine import Engine
from gemma_backend.runtime.container import find_image
async def main():
    engine = Engine(Profile.model_validate_json(sys.argv[1]), find_image(sys.argv[3]), Path(sys.argv[2]))
    await engine.start()
    await engine.wait_ready()
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def free_port() -> int:
    from gemma_backend.engine.spawn import free_port as free

    return free()
