"""An engine's command turned into `docker run` or `podman run`: what is mounted, what is closed, what stays outside."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.engine import record as records
from gemma_backend.engine.command import EngineCommand
from gemma_backend.engine.container_life import HOME_LABEL, LABEL, note_tool
from gemma_backend.engine.place import home
from gemma_backend.engine.proc import MARK
from gemma_backend.engine.spawn import write_secret
from gemma_backend.runtime.container import entry
from gemma_backend.types import EngineError

if TYPE_CHECKING:
    from gemma_backend.config.profiles import ContainerOptions
    from gemma_backend.runtime.found import Image, Runtime

# A person's own settings of vLLM and NCCL reach a container too; of the rest of the environment nothing does.
PASSED = ("VLLM_", "NCCL_", "CUDA_VISIBLE_DEVICES")
KEY = "VLLM_API_KEY"
# Names the file that the keeper holds locked (gemma_in_engine/keeper_watch.py).
WATCH = "GEMMA_TUI_KEEPER_LOCK"


@dataclass(frozen=True, slots=True)
class Place:
    """What a container is given of this machine; paths are the same inside and outside.

    `write` and `read` are folders and files that are mounted, `user` and `group` whom it runs as.
    """

    write: tuple[Path, ...]
    read: tuple[Path, ...]
    user: int
    group: int


def name_of(engine_id: str) -> str:
    """The name of an engine's container."""
    return f"gemma-tui-{engine_id}"


def environment(command: EngineCommand, inherited: Mapping[str, str], caches: Path) -> dict[str, str]:
    """Variables inside the container: a person's vLLM and NCCL settings, then the command's own.

    The user need not exist in the image, so what programs would look up there is given: a home, below `caches` because
    kernels that are compiled at run time are kept in it, and a name.
    """
    own = {name: value for name, value in inherited.items() if name.startswith(PASSED) and name != KEY}
    return own | {"HOME": str(caches / "home"), "USER": "gemma", "LOGNAME": "gemma"} | command.env


def env_file(env: Mapping[str, str]) -> str:
    """The text of an `--env-file`; EngineError for a value with a line break, which such a file cannot hold."""
    for name, value in env.items():
        if "\n" in value or "\r" in value:
            raise EngineError(f"The variable {name} has more than one line, which a container cannot be given.")
    return "".join(f"{name}={value}\n" for name, value in env.items())


def prepare(
    command: EngineCommand,
    runtime: Runtime,
    options: ContainerOptions,
    engine_id: str,
    folder: Path,
    caches: Path,
    read: tuple[Path, ...],
) -> EngineCommand:
    """The command that runs `command` in a container named after the engine, for a start that is about to follow.

    Its variables are written to a file in the engine's `folder`, so that no key stands in a command line, and its tool
    is noted. `folder` and `caches` are its to write, `read` is what it only reads.
    """
    image = runtime.image
    assert image is not None
    env = environment(command, os.environ, caches) | {MARK: engine_id, WATCH: str(folder / "alive")}
    write_secret(folder / "env", env_file(env))
    (caches / "home").mkdir(mode=0o700, exist_ok=True)
    note_tool(records.container_notes(), image.tool)
    place = Place((folder, caches), outermost(read), os.getuid(), os.getgid())
    network = "none" if "--uds" in command.argv else "host"
    words = [image.tool, "run", "--name", name_of(engine_id), "--pull", "never"]
    words += ["--label", f"{LABEL}={engine_id}", "--label", f"{HOME_LABEL}={home()}"]
    words += [*shared(image, options, place, network, gpu=runtime.device != "cpu"), "--workdir", str(folder)]
    words += ["--env-file", str(folder / "env"), *options.arguments]
    return EngineCommand((*words, *entry(image), *command.argv[1:]), {})


def for_a_shell(
    command: EngineCommand,
    runtime: Runtime,
    options: ContainerOptions,
    checkpoint: Path | None,
    plugin: Path | None,
    template: Path | None,
) -> EngineCommand:
    """`command` in a container for a person's shell: removed at its end, its variables in the line, without the key.

    Without `checkpoint`, a folder, the model hub's cache is mounted instead, to be filled.
    """
    image = runtime.image
    assert image is not None
    hub = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    caches = Path(os.environ.get("VLLM_CACHE_ROOT") or "~/.cache/vllm").expanduser()
    read = [*(folders_of(checkpoint) if checkpoint else ()), *(one for one in (plugin, template) if one is not None)]
    place = Place((caches,) if checkpoint else (caches, hub), outermost(read), os.getuid(), os.getgid())
    env = environment(command, {}, caches) | ({} if checkpoint else {"HF_HOME": str(hub)})
    words = [image.tool, "run", "--rm", *shared(image, options, place, "host", gpu=runtime.device != "cpu")]
    for name, value in env.items():
        words += ["--env", f"{name}={value}"] if name != KEY else []
    folders = tuple(Path(env["HOME"]) if path == caches else path for path in place.write)
    return EngineCommand((*words, *options.arguments, *entry(image), *command.argv[1:]), {}, folders)


def shared(image: Image, options: ContainerOptions, place: Place, network: str, *, gpu: bool) -> list[str]:
    """Options of every `run`: `network` is `none` for an engine on a socket and `host` for one on a port."""
    words = ["--network", network, "--ipc", options.ipc]
    if options.ipc == "private":
        words += ["--shm-size", options.shm_size]
    if not image.podman:
        # As the first process of a container Python gets no signal that it does not ask for; podman's may lack an init.
        words.append("--init")
    if not image.rootless:
        # Else the socket and the caches would belong to root, and neither could be used or removed.
        words += ["--user", f"{place.user}:{place.group}"]
    if gpu and options.gpus:
        if image.podman:
            words += ["--device", f"nvidia.com/gpu={options.gpus}", "--security-opt", "label=disable"]
        else:
            words += ["--gpus", options.gpus]
    for path in place.write:
        words += ["--mount", _mount(path, read_only=False)]
    for path in place.read:
        words += ["--mount", _mount(path, read_only=True)]
    return words


def _mount(path: Path, *, read_only: bool) -> str:
    """One bind mount; the option is a line of CSV, so a field with a comma or a quote is quoted."""
    fields = ["type=bind", f"source={path}", f"target={path}"] + (["readonly"] if read_only else [])
    return ",".join(f'"{one.replace(chr(34), chr(34) * 2)}"' if "," in one or '"' in one else one for one in fields)


def folders_of(checkpoint: Path) -> tuple[Path, ...]:
    """What has to be mounted for `checkpoint` to be read: the folder, and where its links lead outside it.

    The hub's cache holds a checkpoint as links into a folder of blobs.
    """
    found = [checkpoint]
    if checkpoint.is_dir():
        for path in sorted(checkpoint.rglob("*")):
            if path.is_symlink() and path.exists():
                # The link's own target, which is what is opened inside, and where that leads at last.
                found += [Path(os.path.normpath(path.parent / path.readlink())).parent, path.resolve().parent]
    return outermost(found)


def outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """`paths` without those that lie below another of them, each once."""
    kept: list[Path] = []
    for path in sorted(set(paths), key=lambda one: (len(one.parts), one)):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return tuple(kept)
