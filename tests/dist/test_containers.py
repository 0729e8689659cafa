"""The container files: their syntax, and every command in them run outside a container, in folders of a test's own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from gemma_tui.cli.main import build_parser
from stubs.handed_out import Built

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "containers"
KNOWN = {"FROM", "COPY", "RUN", "USER", "WORKDIR", "ENV", "VOLUME", "EXPOSE", "ENTRYPOINT", "COMMENT"}


def steps(name: str) -> list[tuple[str, str]]:
    """Instruction and value of each step of a container file."""
    with (FOLDER / name).open("rb") as file:
        return [(step["instruction"], step["value"]) for step in DockerfileParser(fileobj=file).structure]


@pytest.mark.parametrize("name", ["ui.Containerfile", "engine.Containerfile"])
def test_syntax(name: str) -> None:
    found = [step for step in steps(name) if step[0] != "COMMENT"]
    assert found[0][0] == "FROM"
    assert {instruction for instruction, _ in found} <= KNOWN
    assert found[-1][0] == "ENTRYPOINT"
    entry = [word.strip(' "') for word in found[-1][1].strip("[]").split(",")]
    assert entry[0] == "gemma-tui"
    # Raises SystemExit where the words are not the program's.
    build_parser(entry[1:]).parse_args(entry[1:])
    # Nothing runs as root.
    assert [value for instruction, value in found if instruction == "USER"] == ["user"]


@pytest.mark.parametrize("name", ["ui.Containerfile", "engine.Containerfile"])
def test_each_command_runs(name: str, built: Built, tmp_path: Path) -> None:
    data = os.environ.get("GEMMA_TUI_DATA_DIR", str(Path.home() / ".local/share/gemma-tui"))
    # The longest first: one is the beginning of another.
    moved = {
        "/opt/gemma-tui-data": data,
        "/opt/gemma-tui": str(tmp_path / "opt"),
        "/tmp/gemma-tui": str(tmp_path / "tmp"),
        "python3 -m venv": f"{sys.executable} -m venv",
    }
    environment = dict(os.environ)
    ran = 0
    for instruction, value in steps(name):
        for there, here in moved.items():
            value = value.replace(there, here)
        if instruction == "COPY":
            *sources, target = value.split()
            folder = Path(target) if target.endswith("/") else Path(target).parent
            folder.mkdir(parents=True, exist_ok=True)
            for source in sources:
                matches = sorted(ROOT.glob(source))
                assert matches, f"{source} is not there to be copied"
                for match in matches:
                    shutil.copy(match, target)
        elif instruction == "ENV":
            for assignment in shlex.split(value):
                variable, _, text = assignment.partition("=")
                environment[variable] = text if variable != "PATH" else f"{text}:{os.environ['PATH']}"
        elif instruction == "RUN" and not value.startswith("useradd"):
            done = subprocess.run(
                ["sh", "-c", value], env=environment, capture_output=True, text=True, check=False, timeout=280
            )
            assert done.returncode == 0, f"{value}\n{done.stdout}\n{done.stderr}"
            ran += 1
    assert ran >= 3
    assert (tmp_path / "opt" / "bin" / "gemma-tui").exists()
