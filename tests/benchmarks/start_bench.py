"""From a command to the first token, and what this program adds to vLLM's start: `python -m benchmarks.start_bench`.

The pocket checkpoint on the CPU runtime with compiled graphs, in folders of its own: first with nothing compiled, then
`serve` and the same command line run by hand in turn, both timed to the first 200 of `/health` by one and the same
watcher, then the first command again. Takes about five minutes on two cores that do nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gemma_backend.config.profiles import load_profile
from gemma_backend.engine.health import healthy
from gemma_backend.engine.proc import MARK
from gemma_backend.engine.spawn import free_port
from gemma_backend.types import Endpoint
from stubs.real_engine import environment

PROFILE = "compiled"
LOOK_SECONDS = 0.01
LONGEST_SECONDS = 600.0
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class First:
    """A command's time to its first token and to its end, in seconds; `phases` are those of the start within it."""

    first: float
    whole: float
    phases: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Served:
    """From a program's start to its `/health`: to the server's process, to the answer, and its own processor time."""

    spawned: float
    healthy: float
    own: float
    argv: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


def ask(home: Path, *, joins: bool = False) -> First:
    """One token of `gemma-tui ask`, from the command on; `joins` an engine that runs, so that there is no start."""
    words = ["ask", "--raw", "Once upon", "--profile", PROFILE, "--max-tokens", "4", "--no-history"]
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "gemma_tui", *words],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as program:
        assert program.stdout is not None and program.stderr is not None
        got = program.stdout.read(1)
        first = time.monotonic() - began
        assert got, program.stderr.read().decode()
        program.communicate()
    return First(first, time.monotonic() - began, () if joins else shares(home))


def shares(home: Path) -> tuple[tuple[str, float], ...]:
    """How long each phase of the latest start took."""
    latest = json.loads((home / "state" / "starts" / f"{PROFILE}.json").read_text())[-1]
    begun = [*((name, at) for name, at in latest["phases"]), ("", latest["total"])]
    return tuple((name, after - at) for (name, at), (_, after) in pairwise(begun))


@contextmanager
def serving(home: Path) -> Iterator[tuple[Served, int]]:
    """`gemma-tui serve` until the block is left: its times, and its port."""
    port = free_port()
    began = _now()
    program = subprocess.Popen(
        [sys.executable, "-m", "gemma_tui", "serve", "--profile", PROFILE, "--no-key", "--port", str(port)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answered = _until(lambda: healthy(Endpoint(f"http://127.0.0.1:{port}")), program) - began
        [record] = (home / "state" / "engines").glob("*.json")
        said = json.loads(record.read_text())
        pid, start = said["engine"]
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        env = (line.partition(b"=") for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if line)
        own = _processor(program.pid) + _processor(said["keeper"][0])
        told = Served(
            start / TICK - began,
            answered,
            own,
            tuple(word.decode() for word in argv),
            tuple((name.decode(), value.decode()) for name, _, value in env),
        )
        yield told, port
    finally:
        program.send_signal(signal.SIGTERM)
        program.wait()


def by_hand(like: Served) -> Served:
    """The same command line and environment without this program."""
    port = str(free_port())
    argv = list(like.argv)
    argv[argv.index("--port") + 1] = port
    with tempfile.TemporaryDirectory(prefix="g-") as folder:
        env = {name: value for name, value in like.env if name != MARK}
        env |= {"TMPDIR": folder, "VLLM_RPC_BASE_PATH": folder}
        began = _now()
        program = subprocess.Popen(
            argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            answered = _until(lambda: healthy(Endpoint(f"http://127.0.0.1:{port}")), program) - began
        finally:
            program.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
    return Served(0.0, answered, 0.0)


def told(name: str, one: First) -> str:
    """One line: to the first token, and each phase's share of it."""
    rest = one.first - sum(seconds for _, seconds in one.phases)
    parts = [*one.phases, ("before and after", rest)] if one.phases else []
    listed = ", ".join(f"{phase} {seconds:.1f} s ({seconds / one.first:.0%})" for phase, seconds in parts)
    return f"{name:<24}{one.first:7.2f} s to the first token{': ' if listed else ''}{listed}"


def compared(ours: list[Served], theirs: list[Served]) -> str:
    """What this program adds: seen as the difference of two noisy numbers, and as the parts that are its own."""
    mine, hand = (statistics.median(one.healthy for one in rows) for rows in (ours, theirs))
    before = statistics.median(one.spawned for one in ours)
    own = statistics.median(one.own for one in ours)
    lines = [
        f"serve to /health        {' '.join(f'{one.healthy:7.2f}' for one in ours)} s",
        f"the same line by hand   {' '.join(f'{one.healthy:7.2f}' for one in theirs)} s",
        f"difference of medians   {mine - hand:+7.2f} s ({(mine - hand) / hand:+.1%})",
        f"of that before the server's process {before:.2f} s; processor time of ours meanwhile {own:.2f} s",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 2
    with tempfile.TemporaryDirectory(prefix="gemma-") as name:
        home = Path(name)
        before = dict(os.environ)
        os.environ |= {
            f"GEMMA_TUI_{kind}_DIR": f"{name}/{kind.lower()}" for kind in ("STATE", "LOG", "CONFIG", "CACHE")
        }
        try:
            _configure(home)
            print(told("cold, nothing compiled", ask(home)), flush=True)
            ours: list[Served] = []
            theirs: list[Served] = []
            joined: First | None = None
            for number in range(rounds):
                with serving(home) as (one, _):
                    ours.append(one)
                    joined = joined or ask(home, joins=True)
                theirs.append(by_hand(one))
                print(f"  {number + 1}: ours {ours[-1].healthy:.2f} s, by hand {theirs[-1].healthy:.2f} s", flush=True)
            print(told("warm, graphs kept", ask(home)))
            assert joined is not None
            print(told("an engine that runs", joined))
            print(compared(ours, theirs))
        finally:
            os.environ.clear()
            os.environ.update(before)


def _configure(home: Path) -> None:
    pocket = load_profile("pocket")
    flags = "".join(
        f"{name} = {json.dumps(value)}\n" for name, value in pocket.flags.items() if name != "enforce-eager"
    )
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text(
        f'[profiles.{PROFILE}]\ncheckpoint = "{pocket.checkpoint}"\nruntime = "{pocket.runtime}"\n'
        f"[profiles.{PROFILE}.flags]\n{flags}[profiles.{PROFILE}.environment]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in pocket.environment.items())
    )


def _now() -> float:
    """Seconds since boot, as start times in /proc have them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _until(true: Callable[[], bool], program: subprocess.Popen[bytes]) -> float:
    """When it came true."""
    end = _now() + LONGEST_SECONDS
    while not true():
        assert program.poll() is None and _now() < end, "the engine did not start"
        time.sleep(LOOK_SECONDS)
    return _now()


def _processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


if __name__ == "__main__":
    main()
