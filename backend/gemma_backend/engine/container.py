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
    """Where one engine's container finds things; paths are the same inside and outside.

    `folder` is the engine's own and `caches` its compile caches, both writable; `read` is everything it only reads.
    """

    engine_id: str
    home: str
    folder: Path
    caches: Path
    read: tuple[Path, ...]
    user: tuple[int, int]


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
    """`wrap` for an engine that is about to start: its variables are written down, its tool is noted.

    `read` is what it only reads, besides the file that tells it of its keeper's death.
    """
    image = runtime.image
    assert image is not None
    env = environment(command, os.environ, caches) | {MARK: engine_id, WATCH: str(folder / "alive")}
    write_secret(folder / "env", env_file(env))
    (caches / "home").mkdir(mode=0o700, exist_ok=True)
    note_tool(records.container_notes(), image.tool)
    place = Place(engine_id, home(), folder, caches, outermost(read), (os.getuid(), os.getgid()))
    network = "none" if "--uds" in command.argv else "host"
    return wrap(command, image, options, place, network=network, gpu=runtime.device != "cpu")


def wrap(
    command: EngineCommand, image: Image, options: ContainerOptions, place: Place, *, network: str, gpu: bool
) -> EngineCommand:
    """The command that runs `command` in a container; its variables come from a file in the engine's folder.

    `network` is `none` for an engine on a socket and `host` for one on a port.
    """
    words = [image.tool, "run", "--name", name_of(place.engine_id)]
    words += ["--label", f"{LABEL}={place.engine_id}", "--label", f"{HOME_LABEL}={place.home}"]
    words += [*_shared(image, options, place, network, gpu), "--env-file", str(place.folder / "env")]
    return EngineCommand((*words, *options.arguments, *entry(image), *command.argv[1:]), {})


def shown(
    command: EngineCommand, image: Image, options: ContainerOptions, place: Place, *, network: str, gpu: bool
) -> EngineCommand:
    """The same for a person's shell: removed at its end, its variables in the line, the key left out."""
    words = [image.tool, "run", "--rm", *_shared(image, options, place, network, gpu)]
    for name, value in command.env.items():
        words += ["--env", f"{name}={value}"] if name != KEY else []
    return EngineCommand((*words, *options.arguments, *entry(image), *command.argv[1:]), {})


def _shared(image: Image, options: ContainerOptions, place: Place, network: str, gpu: bool) -> list[str]:
    words = ["--pull", "never", "--network", network, "--ipc", options.ipc]
    if options.ipc == "private":
        words += ["--shm-size", options.shm_size]
    if not image.podman:
        # As the first process of a container Python gets no signal that it does not ask for; podman's may lack an init.
        words.append("--init")
    if not image.rootless:
        # Else the socket and the caches would belong to root, and neither could be used or removed.
        words += ["--user", f"{place.user[0]}:{place.user[1]}"]
    if gpu and options.gpus:
        if image.podman:
            words += ["--device", f"nvidia.com/gpu={options.gpus}", "--security-opt", "label=disable"]
        else:
            words += ["--gpus", options.gpus]
    words += ["--workdir", str(place.folder)]
    for path in (place.folder, place.caches):
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
