"""One round of torture: begin something, kill one of its processes at a random moment, and look at what is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from faults.dripping_index import DrippingIndex
from faults.programs import Owner, Program, family, free_port, living, ready, stream, taken, until
from gemma_backend.engine import record as records
from gemma_backend.engine.health import healthy
from stubs.real_engine import Scene, environment, wait_for

LIMIT = 5.0
"""Seconds after which nothing may be left."""
MOMENTS = ("installing", "loading", "serving", "streaming")
LOADING = 40.0
"""Seconds from the server's process on; about as long as a start takes on two cores with nothing else to do."""
INSTALLING = 15.0


@dataclass(slots=True)
class Result:
    """How a round went: seconds until nothing was left, and what still was."""

    seconds: float = 0.0
    left: list[str] = field(default_factory=list)
    said: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """Who is killed how: `strike` does it, `command` says whether the next command has to clean up.

    `core` says that there is nothing to strike before the engine core's process is there.
    """

    strike: Callable[[Owner], None]
    serve: bool = False
    command: bool = False
    installing: bool = True
    two: bool = False
    core: bool = False


def _send(number: int) -> Callable[[Owner], None]:
    return lambda owner: os.kill(owner.pid, number)


def _interrupts(owner: Owner) -> None:
    for _ in range(2):
        owner.press(b"\x03")
        time.sleep(0.3)


def _scene(owner: Owner) -> Scene:
    assert owner.scene is not None
    return owner.scene


def _keeper(owner: Owner) -> None:
    os.kill(_scene(owner).record.keeper[0], signal.SIGKILL)


def _keeper_and_owner(owner: Owner) -> None:
    owner.kill()
    _keeper(owner)
    owner.wait()


def _server(owner: Owner) -> None:
    engine = _scene(owner).record.engine
    assert engine is not None
    os.kill(engine[0], signal.SIGKILL)


def _core(owner: Owner) -> None:
    core = _core_of(_scene(owner))
    assert core is not None, "there is no engine core"
    os.kill(core, signal.SIGKILL)


def _core_of(scene: Scene) -> int | None:
    """The engine core's process, which is called so from its first second of work on."""
    return scene.named("VLLM::EngineCore") or scene.named("spawn_main")


def _hang_up(owner: Owner) -> None:
    owner.close_terminal()


SCREEN = {
    "screen": Kind(_send(signal.SIGKILL)),
    "keeper": Kind(_keeper, installing=False),
    "server": Kind(_server, installing=False),
    "core": Kind(_core, installing=False, core=True),
    "screen and keeper": Kind(_keeper_and_owner, command=True, installing=False),
    "terminal closed": Kind(_hang_up),
    "SIGTERM": Kind(_send(signal.SIGTERM)),
    "Ctrl-C twice": Kind(_interrupts),
    "one of two screens": Kind(_send(signal.SIGKILL), installing=False, two=True),
}
SERVE = {
    "serve": Kind(_send(signal.SIGKILL), serve=True, installing=False),
    "serve's keeper": Kind(_keeper, serve=True, installing=False),
    "serve's server": Kind(_server, serve=True, installing=False),
    "serve's core": Kind(_core, serve=True, installing=False, core=True),
    "serve and keeper": Kind(_keeper_and_owner, serve=True, command=True, installing=False),
    "serve's terminal": Kind(_hang_up, serve=True, installing=False),
    "serve: SIGTERM": Kind(_send(signal.SIGTERM), serve=True, installing=False),
    "serve: Ctrl-C twice": Kind(_interrupts, serve=True, installing=False),
}
KINDS = SCREEN | SERVE


def play(name: str, moment: str, chance: Random, *, limit: float = LIMIT, loading: float = LOADING) -> Result:
    """One round of the kind called `name`, killed at a random time of `moment`; after `limit` seconds nothing is left.

    `loading` is how long that moment lasts at most.
    """
    kind = KINDS[name]
    if moment == "installing":
        return _within(_while_installing(kind, chance, limit), limit)
    port = free_port()
    words = ["serve", "--profile", "pocket", "--no-key", "--port", str(port)] if kind.serve else ["--profile", "pocket"]
    owner = Owner(*words)
    other = Owner(*words) if kind.two else None
    try:
        scene = owner.await_engine()
        if not _reach(kind, owner, scene, moment, chance, loading):
            return Result(left=["never became ready", owner.seen[-2000:].decode(errors="replace")])
        scene.look()
        if other is not None:
            return _within(_one_of_two(kind, owner, other, scene, chance, limit), limit)
        kind.strike(owner)
        return _within(_looked_at(kind, scene, port, limit), limit)
    finally:
        for program in (owner, other):
            if program is not None:
                program.kill()
                program.wait()
                program.close_terminal()
        for record in records.records():
            records.stop(record)


def _within(result: Result, limit: float) -> Result:
    """A clean-up that took too long is none."""
    if result.seconds > limit and not result.left:
        result.left.append(f"only clean after {result.seconds:.1f} s")
    return result


def _reach(kind: Kind, owner: Owner, scene: Scene, moment: str, chance: Random, loading: float) -> bool:
    """Let time pass until the moment has come; whether it came."""
    if kind.core and not wait_for(lambda: _core_of(scene) is not None, 300):
        return False
    if moment == "loading":
        until(chance.uniform(0.0, loading), scene.look, lambda: owner.poll() is None)
        return True
    if not ready(scene):
        return False
    if moment == "streaming":
        stream(scene, chance.uniform(0.2, 3.0))
    else:
        time.sleep(chance.uniform(0.0, 3.0))
    return True


def _looked_at(kind: Kind, scene: Scene, port: int, limit: float) -> Result:
    began = time.monotonic()
    said = _next_command() if kind.command else ""
    left: list[str] = []

    def clean() -> bool:
        left[:] = scene.left()
        return not left

    wait_for(clean, limit)
    result = Result(time.monotonic() - began, left, said)
    if kind.serve and taken(port):
        result.left.append(f"port {port}")
    if kind.command and "after a crash" not in said:
        result.left.append(f"the next command said: {said!r}")
    return result


def _next_command() -> str:
    """What the next command of any kind says on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "gemma_tui", "--version"], env=environment(), capture_output=True, text=True, check=True
    )
    return done.stderr


def _one_of_two(kind: Kind, owner: Owner, other: Owner, scene: Scene, chance: Random, limit: float) -> Result:
    """Both use one engine: the first one's death leaves it to the other, whose end is its end too."""
    first, second = (owner, other) if chance.random() < 0.5 else (other, owner)
    wait_for(lambda: records.ask(scene.record, {"do": "status"}, wait_for="status").get("leases") == 2, 30)
    engines = [record for record in records.records() if record.running]
    if len(engines) != 1:
        return Result(left=[f"{len(engines)} engines"])
    was_ready = healthy(scene.record.endpoint)
    kind.strike(first)
    time.sleep(chance.uniform(0.5, 2.0))
    if not scene.record.running or (was_ready and not healthy(scene.record.endpoint)):
        return Result(left=["the engine went with one of its two programs"])
    kind.strike(second)
    return _looked_at(kind, scene, 0, limit)


def _while_installing(kind: Kind, chance: Random, limit: float) -> Result:
    """The screen installs a runtime from an index that never comes to an end."""
    data = Path(tempfile.mkdtemp(prefix="gemma-data-"))
    with DrippingIndex() as index:
        program = Program(
            "--profile", "pocket", "--yes", GEMMA_TUI_DATA_DIR=str(data), PIP_INDEX_URL=index.url, PIP_NO_CACHE_DIR="1"
        )
        try:
            runtimes = data / "runtimes"
            if not wait_for(lambda: any(runtimes.glob(".building-*")), 60):
                return Result(left=["no installation was begun", program.seen[-2000:].decode(errors="replace")])
            seen: set[tuple[int, int]] = set()
            until(
                chance.uniform(0.0, INSTALLING),
                lambda: seen.update(family(program.pid)),
                lambda: program.poll() is None,
            )
            seen |= family(program.pid)
            began = time.monotonic()
            kind.strike(program)  # type: ignore[arg-type]  # the kinds that need an engine are not played here

            def left() -> list[str]:
                return [*living(seen), *(str(path) for path in runtimes.glob(".[bo]*-*"))]

            if kind.strike is SCREEN["screen"].strike:
                wait_for(lambda: living(seen) == [], limit)
                os.environ["GEMMA_TUI_DATA_DIR"] = str(data)
                said = _next_command()
                del os.environ["GEMMA_TUI_DATA_DIR"]
                problems = [] if "had left" in said else [f"the next command said: {said!r}"]
                return Result(time.monotonic() - began, left() + problems, said)
            wait_for(lambda: left() == [], limit)
            return Result(time.monotonic() - began, left())
        finally:
            program.kill()
            program.wait()
            program.close_terminal()
            shutil.rmtree(data, ignore_errors=True)
