"""A docker to test against: a service with images in a folder, and a `docker` command to put on PATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VERSIONS = {"python": "3.12.3", "vllm": "0.32.0", "torch": "2.13.0", "transformers": "5.19.0", "tokenizers": "0.22.2"}


class Docker:
    """The service's folder; `path` is the folder of the command `docker`."""

    def __init__(self, folder: Path, tool: str = "docker") -> None:
        self.folder = folder
        self.path = folder / "bin"
        self.path.mkdir(parents=True)
        self.tool = self.path / tool
        program = HERE / "docker_command.py"
        self.tool.write_text(f'#!/bin/sh\nSTAND_IN_DOCKER="{folder}" exec "{sys.executable}" -S "{program}" "$@"\n')
        self.tool.chmod(0o755)

    def add_image(self, name: str, python: Path, *, pulled: bool = True, **facts: Any) -> None:
        """Make an image whose python3 is `python`; `hidden` names folders that the image has not."""
        file = self.folder / ("images.json" if pulled else "registry.json")
        known = json.loads(file.read_text()) if file.exists() else {}
        made = {"Id": f"sha256:{abs(hash(name)):064x}", "Config": {"Env": [], "Entrypoint": ["vllm", "serve"]}}
        file.write_text(json.dumps(known | {name: made | {"python": str(python)} | facts}))

    def add_stand_in(self, name: str, hidden: list[Path], **facts: Any) -> None:
        """Make an image whose python3 tells of a vLLM and runs the stand-in for it."""
        python = self.folder / f"python-of-{len(list(self.folder.glob('python-of-*')))}"
        program = HERE / "engine_stand_in.py"
        python.write_text(
            f"#!/bin/sh\nif [ \"$1\" = -I ]; then echo '{json.dumps(VERSIONS)}'; exit; fi\n"
            f'exec "{sys.executable}" -S "{program}" "$@"\n'
        )
        python.chmod(0o755)
        self.add_image(name, python, gpu=True, hidden=[str(one) for one in hidden], **facts)

    def asked(self) -> list[list[str]]:
        """Every command that reached the service."""
        file = self.folder / "asked"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def images(self) -> list[str]:
        """Images that are here."""
        file = self.folder / "images.json"
        return list(json.loads(file.read_text())) if file.exists() else []

    def names(self) -> list[str]:
        """Engines' containers that exist, ended ones too."""
        done = self.run("ps", "--all", "--filter", "label=gemma-tui.engine", "--format", "{{.Names}}")
        return done.stdout.split()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Use the command."""
        return subprocess.run([self.tool, *words], capture_output=True, text=True, check=False)


@contextmanager
def docker(folder: Path, tool: str = "docker") -> Iterator[Docker]:
    """A running service; its containers end with it."""
    made = Docker(folder, tool)
    program = subprocess.Popen(
        [sys.executable, "-S", str(HERE / "container_service.py"), str(folder)], env=dict(os.environ)
    )
    try:
        until = time.monotonic() + 10
        while not (folder / "service.sock").exists():
            assert time.monotonic() < until and program.poll() is None, "the service did not start"
            time.sleep(0.01)
        yield made
    finally:
        program.terminate()
        program.wait(10)
