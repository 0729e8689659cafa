"""A container's life as its keeper and later commands see it: followed, ended and found again by label.

A container belongs to docker's service, not to the command that started it, so it goes on when that command is killed.
Standard library only, because the keeper imports it.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

LABEL = "gemma-tui.engine"
HOME_LABEL = "gemma-tui.home"
ANSWER_SECONDS = 10.0
STEP = 0.05
# What `inspect` prints: whether it runs, its exit code, its first process as the machine sees it, killed for memory.
_STATE = "{{.State.Running}} {{.State.ExitCode}} {{.State.Pid}} {{.State.OOMKilled}}"
# As a shell shows a process that was killed.
KILLED = 137


@dataclass(frozen=True, slots=True)
class State:
    """What the tool says of one container; `pid` is its first process, 0 once it has ended."""

    running: bool
    code: int
    pid: int
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """One engine's container: the path of the tool that runs it, and its name."""

    tool: str
    name: str

    def state(self) -> State | None:
        """How it is; None where there is no such container, or the tool does not answer."""
        words = self._ask("container", "inspect", "--format", _STATE, self.name).split()
        if len(words) < 4:
            return None
        with contextlib.suppress(ValueError):
            return State(words[0] == "true", int(words[1]), int(words[2]), words[3] == "true")
        return None

    def follow(self) -> list[str]:
        """The command that goes on with its output from now on, and ends when it does."""
        return [self.tool, "logs", "--follow", "--tail", "0", self.name]

    def end(self, grace: float, tick: Callable[[], None] = lambda: None) -> bool:
        """Ask it to end, kill it after `grace` seconds, remove it; whether it is gone. `tick` is called meanwhile."""
        if self.state() is not None:
            self._wait(["stop", "-t", str(round(grace)), self.name], grace + ANSWER_SECONDS, tick)
            state = self.state()
            if state is not None and state.running:
                self._wait(["kill", self.name], ANSWER_SECONDS, tick)
        self._wait(["rm", "--force", self.name], ANSWER_SECONDS, tick)
        return self.state() is None

    def _ask(self, *words: str) -> str:
        try:
            done = subprocess.run(
                [self.tool, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=ANSWER_SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""

    def _wait(self, words: list[str], seconds: float, tick: Callable[[], None]) -> None:
        try:
            command = subprocess.Popen(
                [self.tool, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            return
        until = time.monotonic() + seconds
        while command.poll() is None and time.monotonic() < until:
            tick()
            time.sleep(STEP)
        if command.poll() is None:
            command.kill()
        command.wait()


def found(tool: str, label: str) -> list[tuple[str, str]] | None:
    """Name and engine id of every container with `label` (`key=value`), ended ones too; None without an answer."""
    form = f'{{{{.Names}}}} {{{{.Label "{LABEL}"}}}}'
    try:
        done = subprocess.run(
            [tool, "ps", "--all", "--filter", f"label={label}", "--format", form],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode:
        return None
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(words[0], words[1]) for words in lines if len(words) == 2]


def note_tool(notes: Path, tool: str) -> None:
    """Write down that containers were started with `tool`, so that only those who use any are asked about them."""
    with contextlib.suppress(OSError):
        known = notes.read_text("utf-8").splitlines() if notes.exists() else []
        if tool not in known:
            notes.write_text("".join(f"{one}\n" for one in [*known, tool]), "utf-8")


def remove_stray(notes: Path, home: str, running: Callable[[], Iterable[str]]) -> list[str]:
    """End and remove this home's containers whose engine is not in `running`; a sentence for each.

    `running` is asked after the containers were listed: a container that is just being started has a record already.
    """
    try:
        tools = notes.read_text("utf-8").splitlines()
    except OSError:
        return []
    said = []
    done = True
    for tool in tools:
        listed = found(tool, f"{HOME_LABEL}={home}")
        if listed is None:
            done = False
            continue
        known = set(running()) if listed else set()
        for name, engine in listed:
            if engine in known:
                done = False
            elif Container(tool, name).end(1.0):
                said.append(f"Removed the container {name} that an engine had left after a crash.")
            else:
                done = False
                said.append(f"The container {name} of an engine that crashed could not be removed: see {tool} ps -a.")
    if done:
        with contextlib.suppress(OSError):
            notes.unlink()
    return said
