"""Stands in for the `docker` command: asks the service at STAND_IN_DOCKER and shows what that says."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path


def connect() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A relative path keeps to the length that the system allows.
    os.chdir(os.environ["STAND_IN_DOCKER"])
    connection.connect("service.sock")
    return connection


def ask(words: list[str]) -> socket.socket:
    cwd = str(Path.cwd())
    connection = connect()
    connection.sendall(json.dumps({"words": words, "cwd": cwd, "env": dict(os.environ)}).encode() + b"\n")
    return connection


def main() -> int:
    words = sys.argv[1:]
    names: list[str] = []

    def pass_on(number: int, _: object) -> None:
        # As `docker run` does while it shows a container's output.
        if names:
            with ask(["kill", "--signal", str(number), names[0]]) as answer:
                answer.recv(1 << 16)

    if words[:1] == ["run"]:
        signal.signal(signal.SIGTERM, pass_on)
        signal.signal(signal.SIGINT, pass_on)
    try:
        connection = ask(words)
    except (OSError, KeyError):
        print("Cannot connect to the Docker daemon. Is the docker daemon running?", file=sys.stderr)
        return 1
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            kind, what = json.loads(line)
            if kind == "code":
                return int(what)
            if kind == "name":
                names.append(what)
            else:
                stream = sys.stdout if kind == "out" else sys.stderr
                stream.write(what)
                stream.flush()
    print("error during connect: the service has gone", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
