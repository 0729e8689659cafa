"""Stands in for docker's service: `python container_service.py FOLDER`, spoken to by `tests/stubs/docker`.

As with dockerd, a container is a child of the service and none of the command that asked for it: it runs in a session
and in namespaces of its own (processes, mounts, shared memory, network), sees only what was mounted where the image
has nothing, and goes on when the command is killed. `FOLDER/images.json` says which images there are:

    {"NAME": {"Id": "sha256:...", "Config": {"Env": [...], "Entrypoint": [...]}, "python": "/path/of/python",
              "hidden": ["/folders", "/that", "/the image has not"], "gpu": true}}

and `FOLDER/registry.json`, of the same form, which can be pulled; with `"gate": PATH` that lasts until
there is such a file. Every command is written to `FOLDER/asked`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INIT = Path(__file__).with_name("container_init.py")
FLAGS = ("--rm", "--init", "--detach", "-d")
VALUES = (
    "--name",
    "--label",
    "--pull",
    "--network",
    "--ipc",
    "--shm-size",
    "--user",
    "--gpus",
    "--workdir",
    "--mount",
    "--env",
    "--env-file",
    "--entrypoint",
)


class Refused(Exception):
    """What the service says to a command it cannot do."""


@dataclass
class Container:
    name: str
    log: Path
    labels: dict[str, str]
    remove: bool
    process: subprocess.Popen[bytes] | None = None
    code: int = 0
    pid: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def running(self) -> bool:
        return self.process is not None and not self.ended.is_set()


class Service:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.containers: dict[str, Container] = {}
        self.lock = threading.Lock()

    def images(self, file: str = "images.json") -> dict[str, Any]:
        path = self.folder / file
        return json.loads(path.read_text()) if path.exists() else {}

    def image(self, name: str) -> dict[str, Any]:
        found = self.images().get(name)
        if found is None:
            raise Refused(f"Error response from daemon: No such image: {name}")
        return found

    def container(self, name: str) -> Container:
        found = self.containers.get(name)
        if found is None:
            raise Refused(f"Error response from daemon: No such container: {name}")
        return found

    def pull(self, name: str, say: Any) -> None:
        offered = self.images("registry.json").get(name)
        if offered is None:
            raise Refused(f"Error response from daemon: manifest for {name} not found: manifest unknown")
        say(f"Pulling from {name}\n")
        for layer in ("4f4fb700ef54", "8a1e25ce7c4f"):
            say(f"{layer}: Pulling fs layer\n")
        say("4f4fb700ef54: Download complete\n4f4fb700ef54: Pull complete\n")
        while "gate" in offered and not Path(offered["gate"]).exists():
            # As dockerd does, it gives up when the command that asked has gone.
            say("8a1e25ce7c4f: Waiting\n")
            time.sleep(0.05)
        say(f"8a1e25ce7c4f: Pull complete\nStatus: Downloaded newer {name}\n")
        (self.folder / "images.json").write_text(json.dumps(self.images() | {name: offered}))

    def run(self, words: list[str], cwd: str, environ: dict[str, str]) -> Container:
        options, rest = parse(words)
        if not rest:
            raise Refused("docker: 'docker run' requires at least 1 argument")
        image = self.image(rest[0])
        if "--gpus" in options and not image.get("gpu"):
            raise Refused(
                'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]]'
            )
        env = dict(one.split("=", 1) for one in image.get("Config", {}).get("Env", []))
        for name in options.get("--env-file", []):
            env |= dict(line.split("=", 1) for line in Path(name).read_text().splitlines() if line)
        env |= dict(one.split("=", 1) for one in options.get("--env", []))
        entry = options.get("--entrypoint") or image.get("Config", {}).get("Entrypoint") or []
        command = [*entry, *rest[1:]]
        command[0] = image["python"] if command[0] == "python3" else command[0]
        mounts = [mount(text) for text in options.get("--mount", [])]
        for one in mounts:
            if not Path(one["source"]).exists():
                raise Refused(f"docker: Error response from daemon: bind source path does not exist: {one['source']}")
        name = options.get("--name", [f"unnamed{len(self.containers)}"])[0]
        spec = {
            "command": command,
            "mounts": mounts,
            "hidden": image.get("hidden", []),
            "workdir": options.get("--workdir", ["/"])[0],
            "init": "--init" in options,
            "shm": options.get("--shm-size", ["64m"])[0] if options.get("--ipc") != ["host"] else "",
            "loopback": options.get("--network") != ["host"],
        }
        with self.lock:
            if name in self.containers:
                raise Refused(f'docker: Error response from daemon: Conflict. The container name "/{name}" is in use')
            labels = dict(one.split("=", 1) for one in options.get("--label", []))
            made = self.containers[name] = Container(name, self.folder / f"{name}.log", labels, "--rm" in options)
        with made.log.open("wb") as out:
            made.process = subprocess.Popen(
                [sys.executable, "-I", str(INIT), json.dumps(spec)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin"} | env,
                start_new_session=True,
            )
        threading.Thread(target=self._await, args=(made,), daemon=True).start()
        made.pid = first_process(made.process.pid)
        return made

    def _await(self, made: Container) -> None:
        assert made.process is not None
        code = made.process.wait()
        made.code = 128 - code if code < 0 else code
        made.pid = 0
        made.ended.set()
        if made.remove:
            self.containers.pop(made.name, None)

    def stop(self, name: str, seconds: float) -> None:
        made = self.container(name)
        self.kill(name, signal.SIGTERM)
        if not made.ended.wait(seconds):
            self.kill(name, signal.SIGKILL)
            made.ended.wait(10)

    def kill(self, name: str, number: int) -> None:
        made = self.container(name)
        if made.running and made.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(made.pid, number)

    def remove(self, name: str, force: bool) -> None:
        made = self.container(name)
        if made.running:
            if not force:
                raise Refused(f"Error response from daemon: cannot remove container {name}: container is running")
            self.kill(name, signal.SIGKILL)
            made.ended.wait(10)
        self.containers.pop(name, None)


def parse(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    options: dict[str, list[str]] = {}
    while words and words[0].startswith("-"):
        word = words[0]
        if word in FLAGS:
            options.setdefault(word, [])
            words = words[1:]
        elif word in VALUES and len(words) > 1:
            options.setdefault(word, []).append(words[1])
            words = words[2:]
        else:
            raise Refused(f"unknown flag: {word}\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]")
    return options, words


def mount(text: str) -> dict[str, Any]:
    fields = dict(one.partition("=")[::2] for one in text.split(","))
    return {"source": fields["source"], "target": fields["target"], "readonly": "readonly" in fields}


def first_process(shim: int) -> int:
    """The machine's pid of the first process in the new namespace."""
    for _ in range(200):
        try:
            children = Path(f"/proc/{shim}/task/{shim}/children").read_text().split()
        except OSError:
            return 0
        if children:
            return int(children[0])
        time.sleep(0.01)
    return 0


class Handler(socketserver.StreamRequestHandler):
    """One command: a line of JSON in; out come lines of output, errors and at last the exit code."""

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        words: list[str] = asked["words"]
        with (service.folder / "asked").open("a") as file:
            file.write(json.dumps(words) + "\n")
        try:
            code = self.do(words, asked)
        except Refused as error:
            self.say("err", f"{error}\n")
            code = 125 if words[0] == "run" else 1
        except OSError:
            return
        with contextlib.suppress(OSError):
            self.say("code", code)

    def say(self, kind: str, what: Any) -> None:
        self.wfile.write(json.dumps([kind, what]).encode() + b"\n")
        self.wfile.flush()

    def do(self, words: list[str], asked: dict[str, Any]) -> int:
        match words:
            case ["run", *rest]:
                made = service.run(rest, asked["cwd"], asked["env"])
                self.say("name", made.name)
                if "--detach" in rest or "-d" in rest:
                    return 0
                self.stream(made, 0)
                return made.code
            case ["logs", "--follow", "--tail", "0", name]:
                made = service.container(name)
                self.stream(made, made.log.stat().st_size)
                return 0
            case ["logs", name]:
                self.say("out", service.container(name).log.read_text(errors="replace"))
            case ["stop", "-t", seconds, name]:
                service.stop(name, float(seconds))
            case ["kill", "--signal", number, name]:
                service.kill(name, int(number))
            case ["kill", name]:
                service.kill(name, signal.SIGKILL)
            case ["rm", "--force", name]:
                # As docker: with --force, a container that is not there is no error.
                if name in service.containers:
                    service.remove(name, force=True)
            case ["rm", name]:
                service.remove(name, force=False)
            case ["ps", "--all", "--filter", chosen, "--format", form]:
                key, given, value = chosen.removeprefix("label=").partition("=")
                for made in list(service.containers.values()):
                    if key in made.labels and (not given or made.labels[key] == value):
                        line = form.replace("{{.Names}}", made.name)
                        line = re.sub(r'{{\.Label "([^"]+)"}}', lambda found: made.labels.get(found[1], ""), line)  # noqa: B023
                        self.say("out", line + "\n")
            case ["container", "inspect", "--format", form, name]:
                made = service.container(name)
                values = {
                    "Running": str(made.running).lower(),
                    "ExitCode": made.code,
                    "Pid": made.pid,
                    "OOMKilled": "false",
                }
                self.say("out", re.sub(r"{{\.State\.(\w+)}}", lambda found: str(values[found[1]]), form) + "\n")
            case ["image", "inspect", name]:
                self.say("out", json.dumps([service.image(name)]) + "\n")
            case ["pull", name] | ["image", "pull", name]:
                service.pull(name, lambda line: self.say("out", line))
            case ["info", "--format", _]:
                self.say("out", '["name=seccomp,profile=builtin"]\n')
            case _:
                raise Refused(f"docker: unknown command: docker {' '.join(words)}")
        return 0

    def stream(self, made: Container, start: int) -> None:
        with made.log.open("rb") as file:
            file.seek(start)
            while True:
                ended = made.ended.is_set()
                data = file.read()
                if data:
                    self.say("out", data.decode(errors="replace"))
                elif ended:
                    return
                else:
                    # Asks nothing of whoever listens: it may have been killed, which a write shows.
                    time.sleep(0.05)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    service = Service(Path(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        Server(str(service.folder / "service.sock"), Handler).serve_forever()
    finally:
        for one in list(service.containers.values()):
            if one.process is not None:
                one.process.kill()
                one.process.wait()
