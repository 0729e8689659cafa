"""`gemma-tui serve`: the engine in the foreground on a port, for other programs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.engine.engine import Engine
    from gemma_backend.engine.spawn import Tcp

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `serve`."""
    parser.epilog = "Ctrl-C or SIGTERM ends it, with exit code 130 or 143, once nothing of the engine is left."
    parser.add_argument("--profile", metavar="P", help="profile to serve (default: by the machine)")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU to run on, as nvidia-smi numbers them")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="TCP port (default: 8000)")
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (default: 127.0.0.1)")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--api-key-file", metavar="F", type=Path, help="file with the key; made if it is absent")
    key.add_argument("--no-key", action="store_true", help="ask for no key; only on this computer's own address")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; 130 after Ctrl-C, 143 after SIGTERM, 3 where the engine fails."""
    import asyncio

    from gemma_backend.types import UsageError

    if not 0 < args.port < 65536:
        raise UsageError(f"{args.port} is no port: give a number from 1 to 65535.")
    if args.no_key and args.host not in LOOPBACK:
        raise UsageError(
            f"--no-key is refused on {args.host}: anyone on the network could use the engine. Leave one of them out."
        )
    return asyncio.run(_serve(args))


async def _serve(args: argparse.Namespace) -> int:
    import asyncio
    import signal

    from gemma_backend.checkpoint.locate import locate
    from gemma_backend.engine.engine import Engine
    from gemma_backend.engine.spawn import Tcp, check_port
    from gemma_backend.session.planning import planner
    from gemma_backend.session.remarks import remarks
    from gemma_tui.cli.engine_run import chosen_profile, found_runtime

    check_port(Tcp(args.host, args.port))
    profile = chosen_profile(args.profile)
    runtime = await asyncio.to_thread(found_runtime, profile)
    checkpoint = await asyncio.to_thread(locate, profile.checkpoint or "")
    key_file = None if args.no_key else args.api_key_file or _default_key_file()
    key = _key(key_file) if key_file is not None else None
    address = Tcp(args.host, args.port, key)
    engine = Engine(
        profile,
        runtime,
        checkpoint,
        address=address,
        fitted=planner(runtime, checkpoint),
        remarks=remarks(runtime, checkpoint),
    )
    ended, codes = asyncio.Event(), [3]

    def end(code: int) -> None:
        # A second Ctrl-C must not cut the clean-up short: it takes a few seconds at most.
        if not ended.is_set():
            codes[:] = [code]
            ended.set()

    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        asyncio.get_running_loop().add_signal_handler(number, end, code)
    await engine.start()
    telling = asyncio.create_task(_tell(engine, address, key_file))
    try:
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({telling, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.is_set():
            await telling
    finally:
        telling.cancel()
        await engine.stop()
    return codes[0]


async def _tell(engine: Engine, address: Tcp, key_file: Path | None) -> None:
    """Print phases on standard error and, once it is ready, how to reach it; EngineError when the engine is lost."""
    from gemma_backend.engine import notes
    from gemma_backend.types import EngineError, EngineFailed, EngineReady, EngineStopped
    from gemma_tui.cli.start_lines import told

    async for event in told(engine.events()):
        if isinstance(event, EngineReady):
            print(_ready_text(event.endpoint.base_url, event.model, key_file), flush=True)
            for note in (notes.KEY, notes.AUDIO) if key_file is not None else (notes.AUDIO,):
                print(f"Note: {note}", file=sys.stderr, flush=True)
            if event.seconds is not None:
                print(f"Ready after {event.seconds:.0f} s. Log: {engine.log}", file=sys.stderr, flush=True)
        elif isinstance(event, EngineFailed):
            raise EngineError(event.failure.sentence(), event.failure)
        elif isinstance(event, EngineStopped):
            raise EngineError("The engine was stopped from elsewhere.")


def _ready_text(url: str, model: str, key_file: Path | None) -> str:
    import json
    import shlex

    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 200})
    header = f' \\\n  -H "Authorization: Bearer $(cat {shlex.quote(str(key_file))})"' if key_file else ""
    lines = [
        f"Address:  {url}/v1",
        f"Model:    {model}",
        f"Key file: {key_file}" if key_file else "Key:      none is asked for",
        f"curl {url}/v1/chat/completions \\\n  -H 'Content-Type: application/json'{header} \\",
        f"  -d {shlex.quote(body)}",
    ]
    return "\n".join(lines)


def _default_key_file() -> Path:
    from gemma_backend.config.paths import ensure, state_dir

    return ensure(state_dir()) / "serve.key"


def _key(path: Path) -> str:
    """The key in `path`; a new one is written there where there is no such file."""
    import os
    import secrets

    from gemma_backend.types import BadInput

    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise BadInput(f"the key file {path} cannot be written: {error.strerror}.") from None
    try:
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise BadInput(f"the key file {path} cannot be read: it must be ASCII text.") from None
    if not key or any(character.isspace() for character in key):
        raise BadInput(f"the key file {path} holds no key: put one on its first line, or remove it to get a new one.")
    return key
