"""Wheel and sdist in empty environments, run outside the checkout, by pip, pipx and uv."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stubs.handed_out import Built

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
PINNED = ROOT / "packaging" / "requirements" / "run.txt"


def _pythons() -> list[str]:
    """Other Pythons that the program is for and that run here, on PATH or installed by pyenv: its shims may not run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    found = []
    for version in ("3.12", "3.13"):
        candidates = [f"python{version}", *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
        found += [one for one in candidates if shutil.which(one) and _runs(one)][:1]
    return found


def _runs(python: str) -> bool:
    ask = [python, "-c", "import ensurepip, ssl, sqlite3, venv"]
    return subprocess.run(ask, capture_output=True, check=False).returncode == 0


# What must be found beside the program, wherever it was installed.
FIND = """
import json
from gemma_assets import path as asset
from gemma_backend.checkpoint.locate import locate
from gemma_backend.config.profiles import load_profile
from gemma_backend.runtime.plugin import write_plugin_folder
import gemma_tui
folder = write_plugin_folder()
print(json.dumps({
    "package": gemma_tui.__file__,
    "locks": len(list(asset("locks").iterdir())),
    "checkpoint": (locate(load_profile("pocket").checkpoint) / "model.safetensors").stat().st_size,
    "template": asset("templates", "transcript.jinja").is_file(),
    "plugin": sorted(path.name for path in folder.iterdir()),
}))
"""


def run(words: list[str | Path], cwd: Path, env: dict[str, str]) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def works(command: Path, python: Path, server: str, cwd: Path, env: dict[str, str]) -> None:
    """Assert that an installed program answers and finds all that ships with it, and nothing of the checkout."""
    answer = json.loads(run([command, "ask", "--url", server, "--json", "Hello"], cwd, env))
    assert answer["text"]
    assert answer["model"] == "stub/model"
    found = json.loads(run([python, "-I", "-c", FIND], cwd, env))
    assert not Path(found["package"]).is_relative_to(ROOT)
    assert found["locks"] >= 10
    assert found["checkpoint"] > 1_000_000
    assert found["template"]
    assert any(name.endswith(".dist-info") for name in found["plugin"])
    assert "gemma_in_engine" in found["plugin"]


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_pip(kind: str, built: Built, server: str, tmp_path: Path, home: dict[str, str]) -> None:
    venv = tmp_path / "venv"
    run([sys.executable, "-m", "venv", venv], tmp_path, home)
    python = venv / "bin" / "python"
    archive = built.wheel if kind == "wheel" else built.sdist
    run([python, "-m", "pip", "install", "-q", archive], tmp_path, home)
    works(venv / "bin" / "gemma-tui", python, server, tmp_path, home)


# Where this machine has none, no test is made: what is checked of them everywhere is at the end of this file.
@pytest.mark.parametrize("python", _pythons())
def test_other_pythons(python: str, built: Built, server: str, tmp_path: Path, home: dict[str, str]) -> None:
    venv = tmp_path / "venv"
    run([python, "-m", "venv", venv], tmp_path, home)
    run([venv / "bin" / "python", "-m", "pip", "install", "-q", "--require-hashes", "-r", PINNED], tmp_path, home)
    run([venv / "bin" / "python", "-m", "pip", "install", "-q", "--no-deps", built.wheel], tmp_path, home)
    works(venv / "bin" / "gemma-tui", venv / "bin" / "python", server, tmp_path, home)


def test_pipx(built: Built, server: str, tmp_path: Path, home: dict[str, str]) -> None:
    env = home | {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    run([BIN / "pipx", "install", "-q", "--python", sys.executable, built.wheel], tmp_path, env)
    works(
        tmp_path / "bin" / "gemma-tui",
        tmp_path / "pipx" / "venvs" / "gemma-tui" / "bin" / "python",
        server,
        tmp_path,
        env,
    )


def test_uv_tool(built: Built, server: str, tmp_path: Path, home: dict[str, str]) -> None:
    env = home | {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    run([BIN / "uv", "tool", "install", "-q", "--python", sys.executable, built.wheel], tmp_path, env)
    works(tmp_path / "bin" / "gemma-tui", tmp_path / "tools" / "gemma-tui" / "bin" / "python", server, tmp_path, env)


def test_the_wheel_holds_what_is_tracked_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    listed = subprocess.run(
        ["git", "ls-files", "app/gemma_tui", "backend/gemma_backend", "backend/gemma_in_engine", "assets/gemma_assets"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert sorted(names) == sorted(path.partition("/")[2] for path in listed)
    assert built.wheel.stat().st_size <= 25_000_000


# What a marker sees there, and the platforms whose wheels run there too: pip takes each word for word.
ELSEWHERE = {
    "macos": (
        {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
        ["macosx_11_0_arm64", "macosx_12_0_arm64"]
        + [f"macosx_{version}_universal2" for version in ("10_9", "10_13", "11_0")],
    ),
    "windows": (
        {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
        ["win_amd64"],
    ),
    # A DGX Spark.
    "linux-aarch64": (
        {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
        [f"manylinux_2_{minor}_aarch64" for minor in (17, 24, 26, 27, 28)] + ["manylinux2014_aarch64"],
    ),
    "linux-x86_64": (
        {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
        [f"manylinux_2_{minor}_x86_64" for minor in (5, 12, 17, 24, 26, 27, 28)] + ["manylinux2014_x86_64"],
    ),
}


@pytest.mark.parametrize("system", ELSEWHERE)
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_dependency_has_a_wheel(system: str, version: str, tmp_path: Path) -> None:
    markers, platforms = ELSEWHERE[system]
    report = tmp_path / "report.json"
    words = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--no-deps", "--ignore-installed"]
    words += [
        "--only-binary=:all:",
        "--ignore-requires-python",
        "--target",
        str(tmp_path / "none"),
        "--report",
        str(report),
    ]
    words += ["--python-version", version, "--implementation", "cp"]
    words += [word for platform in platforms for word in ("--platform", platform)]
    environment = markers | {"python_version": version, "python_full_version": f"{version}.0"}
    wanted = [
        requirement
        for requirement in map(Requirement, _pinned())
        if requirement.marker is None or requirement.marker.evaluate(environment)
    ]
    plain = [f"{requirement.name}{requirement.specifier}" for requirement in wanted]
    subprocess.run([*words, *plain], check=True)
    found = {canonicalize_name(entry["metadata"]["name"]) for entry in json.loads(report.read_text())["install"]}
    assert found == {canonicalize_name(requirement.name) for requirement in wanted}
    assert {"textual", "openai", "numpy", "pillow", "soundfile", "soxr", "pydantic-core"} <= found


def test_nothing_is_used_that_a_later_python_has_not_any_more(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mypy", "--python-version", "3.13", "--cache-dir", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def _pinned() -> list[str]:
    lines = PINNED.read_text("utf-8").splitlines()
    return [line.rstrip("\\").strip() for line in lines if "==" in line and not line.startswith((" ", "#"))]
