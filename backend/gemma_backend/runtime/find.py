"""Find vLLM installations: those that were installed by this program, and those that a person already has."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from gemma_backend.config import paths
from gemma_backend.config.formats import RUNTIME, bring_up, current
from gemma_backend.runtime.container import find_image, is_image
from gemma_backend.runtime.found import Runtime, device_of, versions, vllm_version
from gemma_backend.runtime.locks import DEVICES, Device
from gemma_backend.types import EngineError, UsageError

MARK = "runtime.json"
# What the driver and WSL leave where an NVIDIA GPU can be used.
_GPU_SIGNS = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/dev/dxg"))


def folder() -> Path:
    """Where managed runtimes lie."""
    return paths.data_dir() / "runtimes"


def read_mark(runtime: Path) -> dict[str, Any]:
    """What was written at the end of an installation, in the newest form; {} for a folder that is none.

    EngineError where a newer version of this program installed it.
    """
    try:
        text = (runtime / MARK).read_text("utf-8")
        newest, mark = current(RUNTIME, runtime / MARK, text)
    except (OSError, ValueError):
        return {}
    if mark.get("device") not in DEVICES:
        return {}
    if newest != text:
        bring_up(RUNTIME, runtime / MARK)
    return mark


def managed(name: str) -> Runtime | None:
    """The runtime called `name` that this program installed: a device, or a device and a version (`cuda-0.26.0`).

    EngineError where a newer version of this program installed it.
    """
    return _managed(folder() / name)


def all_managed() -> list[Runtime]:
    """Every runtime that this program installed, by device, the newest of each first; without what a newer one did."""
    there = []
    for path in _folders():
        with contextlib.suppress(EngineError):
            there += [runtime for runtime in (_managed(path),) if runtime is not None]
    newest_first = sorted(there, key=lambda runtime: _numbers(runtime.version), reverse=True)
    return sorted(newest_first, key=lambda runtime: (DEVICES.index(runtime.device), "-" in runtime.name))


def newer() -> list[str]:
    """A sentence for each runtime that a newer version of this program installed."""
    said = []
    for path in _folders():
        try:
            read_mark(path)
        except EngineError as error:
            said.append(str(error))
    return said


def _folders() -> list[Path]:
    return sorted(folder().glob("[a-z]*")) if folder().is_dir() else []


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def preferred() -> Device:
    """What this machine is best served by: `cuda` where an NVIDIA GPU is seen, else `cpu`."""
    return "cuda" if any(sign.exists() for sign in _GPU_SIGNS) else "cpu"


def find(wanted: str) -> Runtime | None:
    """The runtime that `wanted` names, None where it is not installed yet, not fetched, or its Python is gone.

    `cpu`, `cuda` and `quantize` are managed runtimes, or else installations found on this machine; `auto` takes CUDA
    where an NVIDIA GPU is seen; `path:` stands before a Python, an environment or a `vllm` command, `container:` before
    an image. UsageError for a path that does not exist or a word that is none of these; EngineError for a path or an
    image that holds no vLLM, for a docker that does not work, and
    for a runtime that a newer version of this program installed.
    """
    if is_image(wanted):
        return find_image(wanted)
    if wanted.startswith("path:"):
        return _given(Path(wanted.removeprefix("path:")).expanduser())
    if wanted == "auto":
        return find(preferred())
    device = wanted.partition("-")[0]
    if device not in DEVICES:
        raise UsageError(
            f"There is no runtime {wanted!r}; use {', '.join(DEVICES)}, auto, path:/… of a Python that has vLLM, or "
            "container:IMAGE."
        )
    # Refuses one of a newer version: another in its place would be a second of the same name.
    managed(wanted)
    own = next((one for one in all_managed() if wanted in (one.name, one.device) and one.python.exists()), None)
    if own is not None or wanted == "quantize" or wanted != device:
        return own
    return next((runtime for runtime in _on_this_machine() if runtime.device == wanted), None)


def removable(name: str) -> Runtime:
    """The managed runtime called `name`; UsageError for any other, since only these are this program's to remove."""
    there = all_managed()
    found = next((one for one in there if one.name == name), None)
    if found is None and "/" not in name:
        managed(name)
    if found is not None:
        return found
    if is_image(name):
        tool = "podman" if name.startswith("podman:") else "docker"
        raise UsageError(f"An image is removed with its own tool: {tool} image rm {name.partition(':')[2]}")
    names = ", ".join(one.name for one in there) or "none"
    raise UsageError(
        f"There is no managed runtime {name!r}; there are: {names}. What gemma-tui did not install, it does not remove."
    )


def list_runtimes() -> list[Runtime]:
    """Every runtime that can be seen: managed ones first, then a `vllm` on PATH and this program's own environment."""
    return all_managed() + _on_this_machine()


def problem(runtime: Runtime) -> str | None:
    """Why `runtime` can't be used, in a sentence; None if nothing is wrong with it as far as its files tell."""
    version = f" --version {runtime.version}" if "-" in runtime.name else ""
    again = f"install it again with: gemma-tui engine install --runtime {runtime.device}{version}"
    if runtime.image is not None:
        return None
    if not runtime.python.exists():
        return f"its Python {runtime.python} is gone; " + (again if runtime.kind == "managed" else "choose another.")
    found = versions(runtime.python)
    if not found:
        return f"its Python {runtime.python} does not run; " + (again if runtime.kind == "managed" else "repair it.")
    held = found.get("nvidia-modelopt") if runtime.device == "quantize" else vllm_version(found)
    if held is None or "torch" not in found:
        return "its packages are incomplete; " + (again if runtime.kind == "managed" else "repair it.")
    return None


def _managed(path: Path) -> Runtime | None:
    mark = read_mark(path)
    device = next((device for device in DEVICES if device == mark.get("device")), None)
    if device is None:
        return None
    return Runtime(path.name, "managed", device, path / "bin" / "python", str(mark.get("version", "")), path)


def _given(path: Path) -> Runtime:
    try:
        there = path.exists()
    except OSError as error:
        raise UsageError(f"{path} cannot be looked at ({error.strerror}); make it readable, or give another.") from None
    if not there:
        raise UsageError(f"There is no {path}; give the path of a Python, of its environment or of a vllm command.")
    python = _python_of(path)
    runtime = _of_python(python, str(path)) if python is not None else None
    if runtime is None:
        raise EngineError(f"{path} has no vLLM; install vLLM there, or run: gemma-tui engine install")
    return runtime


def _python_of(path: Path) -> Path | None:
    """The Python that a path means: itself, an environment's, or the one a command's first line names.

    None where there is none, or it may not be read.
    """
    if path.is_dir():
        return next((p for p in (path / "bin" / "python", path / "bin" / "python3") if p.exists()), None)
    if not path.is_file() or not os.access(path, os.R_OK):
        return None
    with path.open("rb") as file:
        first = file.readline(512)
    if not first.startswith(b"#!"):
        return path
    named = first[2:].decode("utf-8", "replace").strip()
    if Path(named).name.startswith("python") and Path(named).exists():
        return Path(named)
    # Long paths and `env` give a shell line instead; the environment's Python lies beside its commands.
    beside = path.resolve().parent / "python"
    return beside if beside.exists() else None


def _of_python(python: Path, name: str) -> Runtime | None:
    found = versions(python)
    version = vllm_version(found)
    if version is None:
        return None
    return Runtime(name, "path", device_of(found), python, version, python.parent.parent)


def _on_this_machine() -> list[Runtime]:
    """Installations that nobody told us of: a `vllm` command on PATH, and environments of this user that hold vLLM."""
    candidates: list[tuple[str, Path]] = []
    command = shutil.which("vllm")
    if command is not None:
        python = _python_of(Path(command))
        if python is not None:
            candidates.append(("vllm on PATH", python))
    for name, environment in _environments():
        # Looked at before any Python is run: most environments hold no vLLM.
        if next(environment.glob("lib/python3*/site-packages/vllm/__init__.py"), None) is not None:
            python = _python_of(environment)
            candidates += [(name, python)] if python is not None else []
    seen: dict[Path, Runtime] = {}
    for name, python in candidates:
        if python.parent.parent not in seen and (runtime := _of_python(python, name)) is not None:
            seen[runtime.path] = runtime
    return list(seen.values())


def _environments() -> list[tuple[str, Path]]:
    """Environments that programs keep in known places, by the name that finds them again, the active ones first."""
    active = [os.environ.get(name, "") for name in ("VIRTUAL_ENV", "CONDA_PREFIX")]
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    places = [*map(Path, active), data / "uv" / "tools" / "vllm", data / "pipx" / "venvs" / "vllm"]
    try:
        # Every conda writes the environments that it makes into this list.
        places += map(Path, Path("~/.conda/environments.txt").expanduser().read_text("utf-8").split("\n"))
    except (OSError, RuntimeError, UnicodeDecodeError):
        pass
    return [("beside gemma-tui", Path(sys.prefix)), *((f"path:{one}", one) for one in places if one.is_absolute())]
