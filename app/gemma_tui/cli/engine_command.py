"""`gemma-tui engine command`: the command line and environment that serve a profile, for any shell."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gemma_backend.config.profiles import Profile
    from gemma_backend.engine.command import EngineCommand
    from gemma_backend.runtime.flags import Flags
    from gemma_backend.runtime.found import Runtime


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `engine command`."""
    parser.add_argument("--profile", metavar="P", help="profile to serve (default: by the machine)")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU to run on, as nvidia-smi numbers them")
    parser.add_argument("--vllm", metavar="VERSION", help="write it as this vLLM release understands it")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="port on 127.0.0.1 (default: 8000)")


def run(args: argparse.Namespace) -> int:
    """Print what would be run; pasted into a shell it starts the same engine without this program."""
    from dataclasses import replace

    from gemma_backend.engine.command import version_tuple
    from gemma_backend.types import UsageError
    from gemma_tui.cli.engine_run import chosen_profile

    if args.vllm and not version_tuple(args.vllm):
        raise UsageError(f"{args.vllm!r} is no version of vLLM: give one such as 0.33.0.")
    if not 0 < args.port < 65536:
        raise UsageError(f"{args.port} is no port: give a number from 1 to 65535.")
    profile = chosen_profile(args.profile)
    runtime, known = _runtime(profile, args.vllm)
    if args.vllm and args.vllm != runtime.version:
        # The options that were asked of the installed one say nothing of another.
        runtime, known = replace(runtime, version=args.vllm), None
    print(_command(profile, runtime, known, args.port).shell())
    return 0


def _runtime(profile: Profile, version: str | None) -> tuple[Runtime, Flags | None]:
    """The installed runtime and its options; where there is none, one that a shell's `python` stands for."""
    from pathlib import Path
    from typing import Literal

    from gemma_backend.runtime import flags
    from gemma_backend.runtime.container import is_image
    from gemma_backend.runtime.find import find
    from gemma_backend.runtime.found import Image, Runtime
    from gemma_backend.types import EngineError

    try:
        found = find(profile.runtime)
    except EngineError:
        # A line to paste elsewhere needs no docker here.
        if not is_image(profile.runtime):
            raise
        found = None
    if found is not None:
        known = flags.known(found)
        if known is None and not version and flags.unknown(profile.flags, None):
            known = flags.read(found)
        return found, known
    if is_image(profile.runtime):
        scheme, _, name = profile.runtime.partition(":")
        image = Image("podman" if scheme == "podman" else "docker", name)
        return Runtime(profile.runtime, "container", "cuda", Path("python3"), version or "", Path(name), image), None
    device: Literal["cpu", "cuda"] = "cpu" if profile.runtime == "cpu" else "cuda"
    return Runtime("python", "managed", device, Path("python"), version or "", Path()), None


def _command(profile: Profile, runtime: Runtime, known: Flags | None, port: int) -> EngineCommand:
    from pathlib import Path

    from gemma_assets import path as asset
    from gemma_backend.checkpoint import fp4
    from gemma_backend.checkpoint.locate import has_chat_template, locate
    from gemma_backend.engine.command import build
    from gemma_backend.engine.container import for_a_shell
    from gemma_backend.runtime.plugin import plugin_names, write_plugin_folder
    from gemma_backend.session.planning import fitted, published
    from gemma_backend.types import GemmaError

    template: Path | None = asset("templates", "transcript.jinja")
    try:
        checkpoint = locate(profile.checkpoint or "")
        template = None if has_chat_template(checkpoint) else template
        local = True
    except GemmaError:
        # Not downloaded yet: the name then stands for it, and a base model has no template of its own.
        checkpoint, local = Path(profile.checkpoint or ""), False
        print(
            f"{profile.checkpoint} is not on this computer, so vLLM would fetch it. What its weights say of their "
            "quantisation was not looked at.",
            file=sys.stderr,
        )
    try:
        profile, words = fitted(profile, runtime, checkpoint)
    except GemmaError as error:
        profile, words = published(profile)[0], str(error) if local else ""
    if words:
        print(words, file=sys.stderr)
    needs_plugin = runtime.device == "cpu" or profile.per_layer_table == "host"
    plugin, names = (write_plugin_folder(), plugin_names()) if needs_plugin else (None, ())
    command = build(
        profile,
        runtime,
        checkpoint,
        port=port,
        plugin=plugin,
        plugin_names=names,
        chat_template=template,
        inherited=None if runtime.image is None else dict(runtime.image.environment),
        known=known,
        weights=fp4.look_at(checkpoint) if local else None,
        offline=local,
    )
    if runtime.image is None:
        return command
    return for_a_shell(command, runtime, profile.container, checkpoint if local else None, plugin, template)
