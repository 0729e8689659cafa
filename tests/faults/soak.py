"""Streams through every fault of a server for an hour, in the real program: `make soak`, or

    PYTHONPATH=tests python -m faults.soak --seconds 60

A person's part is played in a terminal: ask in a conversation of its own, wait for the end and for the sentence that
tells of it. Prints what the program holds as time passes; the exit code is 1 where at the end it holds more than after
a tenth of the time, where it stood still, or where something was written that nobody should see.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stubs.faulty_server import IN_TIME, LAST, SENTENCES
from tui.ptys import TESTS, PtyProgram, close, program_on, terminal_env

FAULTS = (*IN_TIME, *SENTENCES)
MEMORY_MB = 6.0
"""How much more it may hold at the end than after a tenth of the time: what allocators keep varies by so much."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the program holds: seconds since the start, questions asked, PSS in MB, descriptors, threads, children."""

    seconds: float
    asked: int
    memory: float
    files: int
    threads: int
    children: int

    def __str__(self) -> str:
        return (
            f"{self.seconds:>8.0f} {self.asked:>7} {self.memory:>10.1f} {self.files:>6} {self.threads:>8} "
            f"{self.children:>9}"
        )


HEAD = f"{'seconds':>8} {'asked':>7} {'memory MB':>10} {'files':>6} {'threads':>8} {'children':>9}"


@dataclass(slots=True)
class Soak:
    """What was seen: looks in their order, the first of them once every fault was met, and what was wrong."""

    looks: list[Held] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    told: int = 0

    def judge(self) -> list[str]:
        """All that is wrong."""
        problems = list(self.problems)
        if not self.looks:
            return [*problems, "it never met all faults"]
        # Caches of a fixed size fill up first: a tenth of the time is theirs.
        first, last = self.looks[len(self.looks) // 10], self.looks[-1]
        if last.files > first.files:
            problems.append(f"{last.files - first.files} more files are open")
        if last.children > first.children:
            problems.append(f"{last.children - first.children} more child processes")
        # Whatever the last moment holds by chance, the least of the last looks has.
        least = min(look.memory for look in self.looks[-max(1, len(self.looks) // 4) :])
        if least > first.memory + MEMORY_MB:
            problems.append(f"{least - first.memory:.1f} MB more memory")
        return problems


@contextmanager
def faulty_server() -> Iterator[str]:
    """The address of the server in a process of its own."""
    words = [sys.executable, "-m", "stubs.faulty_server"]
    env = os.environ | {"PYTHONPATH": str(TESTS)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def words(text: str) -> str:
    """The words left of the dashboard, wherever lines were broken and whatever stands before them."""
    lines = (line.partition("▏")[0].replace("▌", " ").replace("▐", " ") for line in text.splitlines())
    return " ".join(" ".join(lines).split())


def held(pid: int, begun: float, asked: int) -> Held:
    """What the process holds now."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    memory = re.search(r"^Pss: +(\d+)", rollup, re.MULTILINE)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return Held(
        time.monotonic() - begun,
        asked,
        int(memory.group(1)) / 1024 if memory else 0.0,
        len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208 - names alone
        len(os.listdir(f"/proc/{pid}/task")),  # noqa: PTH208
        len(children),
    )


def soak(seconds: float, *, seed: int = 1, say: Callable[[str], object] = lambda line: None) -> Soak:
    """Ask until `seconds` have passed, every fault at least twice; `say` is called with each line of the table."""
    source, seen = random.Random(seed), Soak()
    with tempfile.TemporaryDirectory(prefix="gemma-") as home, faulty_server() as url:
        names = ("DATA", "STATE", "CACHE", "CONFIG", "LOG")
        env = terminal_env(
            GEMMA_TUI_CHAT_STALL_TIMEOUT="2", **{f"GEMMA_TUI_{name}_DIR": f"{home}/{name.lower()}" for name in names}
        )
        program = PtyProgram(program_on(url), env, columns=120, rows=40)
        fault = "nothing"
        try:
            program.until(lambda text: "ready" in text)
            begun, look = time.monotonic(), time.monotonic()
            say(HEAD)
            for asked, fault in enumerate(_order(source)):
                _new(program)
                _ask(program, fault, seen)
                now = time.monotonic()
                met = asked + 1
                if met == len(FAULTS) or (met > len(FAULTS) and now - look >= seconds / 20):
                    _new(program)
                    look = now
                    seen.looks.append(held(program.child.pid, begun, met))
                    say(str(seen.looks[-1]))
                if now - begun >= seconds and met >= 2 * len(FAULTS):
                    break
            _new(program)
            seen.looks.append(held(program.child.pid, begun, met))
            say(str(seen.looks[-1]))
            program.type(b"\x11")
            if (code := program.end()) != 0:
                seen.problems.append(f"the program ended with {code}")
        except AssertionError as error:
            seen.problems.append(f"after {fault} it stood still before this screen:\n{error}")
        finally:
            close(program.child)
        if b"Traceback" in program.written:
            seen.problems.append("a traceback was shown")
        if bugs := list(Path(home).glob("log/*bug*")):
            seen.problems.append(f"a bug was reported: {bugs[0].read_text('utf-8')[-2000:]}")
    return seen


def _order(source: random.Random) -> Iterator[str]:
    """Every fault once, then again and again in an order of chance."""
    for _ in itertools.count():
        yield from source.sample(FAULTS, len(FAULTS))


def _new(program: PtyProgram) -> None:
    # What stands there from before must not be taken for what comes.
    program.type(b"\x0e")
    # A frame can be seen half drawn: neither the first row of what was there may be left, nor the last.
    rest = ("play", LAST, "✗", "Esc Stop")
    program.until(lambda text: not any(word in text for word in rest))


def _ask(program: PtyProgram, fault: str, seen: Soak) -> None:
    program.type(f"play {fault}\r")
    if fault in IN_TIME:
        program.until(lambda text: LAST in text and "answering" not in text)
    else:
        program.until(lambda text: SENTENCES[fault] in words(text) and "Ctrl+R asks again." in words(text))
    seen.told += 1


def main() -> int:
    """Play and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    seen = soak(args.seconds, seed=args.seed, say=lambda line: print(line, flush=True))
    problems = seen.judge()
    print(f"{seen.told} questions, {len(FAULTS)} kinds of fault: {'; '.join(problems) or 'nothing was left behind'}")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
