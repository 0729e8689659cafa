"""Container images with a vLLM in them: which tool runs them, whether they are here, and what they hold."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from gemma_backend.config import paths
from gemma_backend.runtime.found import ASK, Image, Runtime, device_of, vllm_version
from gemma_backend.types import EngineError, UsageError

# What a runtime in a container is called by; `container` takes docker, or podman where there is no docker.
SCHEMES = ("container", "docker", "podman")
TOOLS = ("docker", "podman")
# Importing nothing, the probe answers within a second; starting a container of 20 GB for the first time takes longer.
PROBE_SECONDS = 120.0
ASK_SECONDS = 20.0
# Entry points that set the machine's libraries up and then run the command they are given.
_WRAPPERS = ("nvidia_entrypoint.sh",)
# Words of docker and podman where they cannot work at all, and what a person can do.
_TROUBLE = (
    ("permission denied", "add yourself to its group (sudo usermod -aG docker $USER) and log in again"),
    ("Cannot connect to", "start its service (sudo systemctl start docker)"),
    ("Is the docker daemon running", "start its service (sudo systemctl start docker)"),
    ("no such host", "see to its DOCKER_HOST"),
)


def is_image(wanted: str) -> bool:
    """Whether the name of a runtime is that of a container image, such as `container:vllm/vllm-openai:v0.33.0`."""
    return wanted.partition(":")[0] in SCHEMES and ":" in wanted


def find_image(wanted: str) -> Runtime | None:
    """The runtime in the image that `wanted` names; None where the image is not on this machine.

    Raises EngineError where there is no docker or podman, where it does not work, and for an image without a vLLM.
    """
    tool, name = named(wanted)
    facts = inspect(tool, name)
    if facts is None:
        return None
    config = facts.get("Config") or {}
    image = Image(
        tool=tool,
        name=name,
        id=str(facts.get("Id", "")),
        environment=_pairs(config.get("Env")),
        wrapped=any(Path(str(word)).name in _WRAPPERS for word in config.get("Entrypoint") or ()),
        rootless=_rootless(tool),
    )
    held = holds(image)
    version = vllm_version(held)
    if version is None:
        raise EngineError(f"The image {name} holds no vLLM that its python3 can import: name another image.")
    return Runtime(wanted, "container", device_of(held), Path("python3"), version, Path(name), image)


def named(wanted: str) -> tuple[str, str]:
    """The tool's path and the image's name; UsageError for no name, EngineError where the tool is not installed."""
    scheme, _, name = wanted.partition(":")
    if not name or name.startswith("-") or any(character.isspace() for character in name):
        raise UsageError(f"{wanted!r} names no image: write it as {scheme}:NAME, as docker or podman spell NAME.")
    for candidate in TOOLS if scheme == "container" else (scheme,):
        tool = shutil.which(candidate)
        if tool is not None:
            return tool, name
    which = "docker or podman" if scheme == "container" else scheme
    raise EngineError(f"The image {name} needs {which}, and none is on PATH: install it, or choose another runtime.")


def inspect(tool: str, name: str) -> dict[str, Any] | None:
    """What the tool tells of an image, None where it is not here; EngineError where the tool does not work."""
    done = ask(tool, "image", "inspect", name)
    if done.returncode:
        trouble = next((advice for words, advice in _TROUBLE if words in done.stderr), None)
        if trouble is not None:
            raise EngineError(f"{Path(tool).name} does not work for this user: {trouble}.")
        return None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    found = answer[0] if isinstance(answer, list) and answer else answer
    return found if isinstance(found, dict) else None


def holds(image: Image) -> dict[str, str]:
    """Versions of Python and of the packages that matter in `image`, asked once for each image; {} if it can't run."""
    cache = paths.cache_dir() / "images" / f"{image.id.rpartition(':')[2] or 'unknown'}.json"
    try:
        known = json.loads(cache.read_text("utf-8"))
    except (OSError, ValueError):
        known = None
    if isinstance(known, dict) and image.id:
        return {str(key): str(value) for key, value in known.items()}
    done = ask(image.tool, *in_image(image, ["-I", "-c", ASK]), seconds=PROBE_SECONDS)
    try:
        # A wrapper prints its banner before.
        answer = json.loads(done.stdout.strip().rpartition("\n")[2])
    except ValueError:
        return {}
    if done.returncode or not isinstance(answer, dict):
        return {}
    found = {str(key): str(value) for key, value in answer.items()}
    if image.id:
        try:
            paths.ensure(cache.parent)
            cache.write_text(json.dumps(found) + "\n", "utf-8")
        except OSError:
            pass
    return found


def in_image(image: Image, arguments: list[str]) -> list[str]:
    """Arguments of the tool that run the image's python3 once, without a network and without a trace."""
    words = ["run", "--rm", "--pull", "never", "--network", "none"]
    return [*words, *entry(image), *arguments]


def entry(image: Image) -> list[str]:
    """The end of a `run`: the image and its python3, past an entry point that would start a server by itself."""
    return [image.name, "python3"] if image.wrapped else ["--entrypoint", "python3", image.name]


def ask(tool: str, *words: str, seconds: float = ASK_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run docker or podman and return what it said; EngineError where it does not answer."""
    try:
        return subprocess.run([tool, *words], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"{Path(tool).name} did not answer `{' '.join(words[:2])}` within {seconds:.0f} s: see whether its service "
            "is well."
        ) from None
    except OSError as error:
        raise EngineError(f"{tool} cannot be run ({error.strerror}): repair it, or choose another runtime.") from None


def _rootless(tool: str) -> bool:
    """Whether the tool's containers have this user as their root."""
    if Path(tool).name.startswith("podman"):
        return ask(tool, "info", "--format", "{{.Host.Security.Rootless}}").stdout.strip() == "true"
    return "rootless" in ask(tool, "info", "--format", "{{json .SecurityOptions}}").stdout


def _pairs(lines: Any) -> tuple[tuple[str, str], ...]:
    found = [str(line).partition("=") for line in lines or () if "=" in str(line)]
    return tuple((name, value) for name, _, value in found)
