"""The folder through which our launcher and plugins reach any vLLM installation without changing it."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from pathlib import Path

from gemma_backend.config import paths
from gemma_backend.types import EngineError

PACKAGE = "gemma_in_engine"
LAUNCHER = "gemma_in_engine.launcher"
# Entry points in vLLM's group; a user's own VLLM_PLUGINS has to be extended by these names.
ENTRY_POINTS = {
    "gemma_nvfp4_cpu": "gemma_in_engine.nvfp4_cpu:register",
    "gemma_cpu_gemm": "gemma_in_engine.cpu_gemm:register",
    "gemma_per_layer_table": "gemma_in_engine.per_layer_table:register",
    "gemma_inspect_model": "gemma_in_engine.inspect_model:register",
}
GROUP = "vllm.general_plugins"


def plugin_names() -> tuple[str, ...]:
    """Names that `VLLM_PLUGINS` must hold, if it is set at all, for our plugins to be loaded."""
    return tuple(ENTRY_POINTS)


def write_plugin_folder() -> Path:
    """Folder to put first on an engine's PYTHONPATH: the package `gemma_in_engine` and the entry points, nothing else.

    Its name holds a digest of its contents and it appears in one rename, so processes of different versions of this
    program never see each other's files, nor half a folder. EngineError if the state folder can't be written.
    """
    files = _contents()
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]
    target = paths.state_dir() / "plugin" / digest
    if target.is_dir():
        return target
    try:
        parent = paths.ensure(target.parent)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=parent))
        try:
            for name, data in files.items():
                path = building / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            building.replace(target)
        except OSError:
            shutil.rmtree(building, ignore_errors=True)
            # Somebody else was faster: what they wrote has the same contents.
            if not target.is_dir():
                raise
    except paths.FolderError:
        raise
    except OSError as error:
        raise EngineError(
            f"The engine's plugin can't be written under {paths.state_dir()} ({error.strerror}); "
            "make that folder writable or set GEMMA_TUI_STATE_DIR to another."
        ) from error
    return target


def _contents() -> dict[str, bytes]:
    """Every file of the folder by its relative name."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(f"The package {PACKAGE} is missing from this installation; install gemma-tui again.")
    source = Path(next(iter(spec.submodule_search_locations)))
    files = {f"{PACKAGE}/{path.relative_to(source).as_posix()}": path.read_bytes() for path in source.rglob("*.py")}
    points = "".join(f"{name} = {target}\n" for name, target in ENTRY_POINTS.items())
    info = f"{PACKAGE}-1.dist-info"
    files[f"{info}/entry_points.txt"] = f"[{GROUP}]\n{points}".encode()
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1\n".encode()
    return files
