"""Kills every part of an engine at random moments and counts what is left: `make torture`, or

    PYTHONPATH=tests python -m faults.torture --rounds 20 --only keeper,core --moments loading,serving

prints one line for each kind and moment: rounds passed and the slowest clean-up in seconds. The exit code is 1 if any
round failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gemma_backend.engine import record as records
from gemma_backend.engine.health import connect, healthy
from stubs.real_engine import Scene, environment, start_scene, wait_for

LIMIT = 5.0
MOMENTS = ("loading", "serving", "streaming")
# A start takes some 50 s on an idle machine with two cores; much of it is imports, before the engine core exists.
LOADING = (0.0, 45.0)


@dataclass(slots=True)
class Tally:
    """What became of the rounds of one kind at one moment."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0


def _program(number: int) -> Callable[[Scene], None]:
    return lambda scene: os.kill(scene.program.pid, number)


def _program_twice(scene: Scene) -> None:
    for _ in range(2):
        os.kill(scene.program.pid, signal.SIGINT)
        time.sleep(0.2)


def _keeper(scene: Scene) -> None:
    os.kill(scene.record.keeper[0], signal.SIGKILL)


def _keeper_and_program(scene: Scene) -> None:
    scene.program.kill()
    _keeper(scene)
    scene.program.wait()
    subprocess.run(
        [sys.executable, "-m", "gemma_tui", "engine", "status"], env=environment(), capture_output=True, check=True
    )


def _server(scene: Scene) -> None:
    assert scene.record.engine is not None
    os.kill(scene.record.engine[0], signal.SIGKILL)


def _core(scene: Scene) -> None:
    core = scene.named("VLLM::EngineCore") or scene.named("spawn_main")
    if core is not None:
        os.kill(core, signal.SIGKILL)
    else:
        _server(scene)


# Who gets what; the second column is the program that owns the engine.
KINDS: dict[str, tuple[str, Callable[[Scene], None]]] = {
    "program": ("owner", _program(signal.SIGKILL)),
    "keeper": ("owner", _keeper),
    "both": ("owner", _keeper_and_program),
    "server": ("owner", _server),
    "core": ("owner", _core),
    "hang-up": ("owner", _program(signal.SIGHUP)),
    "terminate": ("owner", _program(signal.SIGTERM)),
    "interrupts": ("owner", _program_twice),
    "serve": ("serve", _program(signal.SIGKILL)),
    "serve-hang-up": ("serve", _program(signal.SIGHUP)),
    "serve-terminate": ("serve", _program(signal.SIGTERM)),
    "serve-interrupts": ("serve", _program_twice),
}


def one_round(kind: str, moment: str, random_source: random.Random) -> tuple[float, list[str]]:
    """Start, wait for the moment, kill, and return the seconds until clean and what was left after the limit."""
    owner, kill = KINDS[kind]
    port = _free_port()
    serve = ["serve", "--profile", "pocket", "--no-key", "--port", str(port)]
    scene = start_scene(serve if owner == "serve" else None)
    try:
        if moment == "loading":
            until = time.monotonic() + random_source.uniform(*LOADING)
            while time.monotonic() < until and scene.program.poll() is None:
                scene.look()
                time.sleep(0.5)
        else:
            if not wait_for(lambda: healthy(scene.record.endpoint), 240):
                return 0.0, ["never became ready"]
            if moment == "streaming":
                threading.Thread(target=_stream, args=(scene,), daemon=True).start()
            time.sleep(random_source.uniform(0.0, 3.0))
        scene.look()
        kill(scene)
        began = time.monotonic()
        wait_for(lambda: scene.left() == [], LIMIT)
        took, left = time.monotonic() - began, scene.left()
        if owner == "serve" and not _free(port):
            left.append(f"port {port}")
        return took, left
    finally:
        scene.program.kill()
        scene.program.wait()
        for record in records.records():
            records.stop(record)


def _stream(scene: Scene) -> None:
    endpoint = scene.record.endpoint
    body = json.dumps({"model": scene.record.model, "prompt": "Once", "max_tokens": 3000, "stream": True})
    head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        with connect(endpoint) as connection:
            connection.settimeout(60)
            connection.sendall(f"POST /v1/completions HTTP/1.1\r\n{head}{body}".encode())
            while connection.recv(65536):
                pass
    except OSError:
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
        return True


def main() -> int:
    """Run all rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, separated by commas")
    parser.add_argument("--moments", default=",".join(MOMENTS))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    random_source = random.Random(args.seed)
    tallies: dict[tuple[str, str], Tally] = {}
    with tempfile.TemporaryDirectory(prefix="gemma-") as home:
        os.environ |= {"GEMMA_TUI_STATE_DIR": f"{home}/state", "GEMMA_TUI_LOG_DIR": f"{home}/log"}
        for number in range(args.rounds):
            for kind in args.only.split(","):
                for moment in args.moments.split(","):
                    tally = tallies.setdefault((kind, moment), Tally())
                    took, left = one_round(kind, moment, random_source)
                    tally.slowest = max(tally.slowest, took)
                    if left:
                        tally.failed.append(f"round {number + 1}: {', '.join(left)}")
                    else:
                        tally.passed += 1
                    print(f"{kind:<17}{moment:<11}{left or 'ok'} {took:.1f} s", file=sys.stderr, flush=True)
    print(f"{'killed':<17}{'moment':<11}{'clean':>8}{'slowest':>10}")
    for (kind, moment), tally in tallies.items():
        total = tally.passed + len(tally.failed)
        print(f"{kind:<17}{moment:<11}{tally.passed:>4}/{total:<3}{tally.slowest:>8.1f} s")
        for line in tally.failed:
            print(f"    {line}")
    return int(any(tally.failed for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
