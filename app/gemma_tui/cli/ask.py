"""`gemma-tui ask`: one prompt in, its reply on standard output, everything else on standard error."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_tui.cli.ask_history import add_history_arguments, check_history_arguments, converse
from gemma_tui.cli.ask_reply import add_reply_arguments, reply_options
from gemma_tui.cli.asked_session import session_for

if TYPE_CHECKING:
    from gemma_backend.session.session import Session
    from gemma_backend.types import Options, Part, Sampling

_STDIN_LIMIT = 64 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `ask` takes."""
    parser.add_argument("prompt", nargs="*", help="the prompt; without it standard input is read")
    parser.add_argument("--image", metavar="F", action="append", default=[], help="send this picture along; repeatable")
    parser.add_argument("--audio", metavar="F", action="append", default=[], help="send this clip along; repeatable")
    parser.add_argument(
        "--raw", action="store_true", help="continue the text as it is, byte for byte, instead of answering it"
    )
    add_history_arguments(parser)
    parser.add_argument("--system", metavar="TEXT", help="say this to the model before the prompt")
    parser.add_argument("--json", action="store_true", help="print one JSON object when the reply is complete")
    parser.add_argument(
        "--profile", metavar="P", help="profile to start where no engine runs (default: by the machine)"
    )
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU to run on, as nvidia-smi numbers them")
    parser.add_argument("--yes", action="store_true", help="install the runtime if it is missing, without asking")
    remote = parser.add_argument_group("an endpoint elsewhere")
    remote.add_argument("--url", help="OpenAI-compatible server, with or without /v1; unix:/path/of/a.sock; ssh://host")
    remote.add_argument("--model", metavar="ID", help="model to ask, where the server has several")
    remote.add_argument(
        "--api-key-file", metavar="F", help="file with the key (else GEMMA_TUI_API_KEY, OPENAI_API_KEY)"
    )
    remote.add_argument("--ca-file", metavar="F", help="certificate of the CA to trust, in PEM form")
    remote.add_argument("--insecure", action="store_true", help="do not check the server's certificate")
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--max-tokens", type=_positive, metavar="N", help="longest reply")
    sampling.add_argument("--temperature", type=_not_negative, metavar="T", help="0 always takes the likeliest token")
    sampling.add_argument("--seed", type=int, metavar="N", help="seed of the sampler")
    add_reply_arguments(parser)
    sampling.add_argument("--stop", metavar="S", action="append", default=[], help="end before this text; repeatable")


def run(args: argparse.Namespace) -> int:
    """Ask, stream the reply, and return the exit code; raises GemmaError with what a person can do."""
    import asyncio

    from gemma_backend.config.settings import load
    from gemma_backend.types import Sampling, UsageError

    if args.url is not None and args.profile:
        raise UsageError("--url and --profile exclude each other: a prompt goes to one place.")
    if args.raw and args.system:
        raise UsageError("--raw sends the text as it is: write what --system says into it.")
    check_history_arguments(args)
    prompt = _prompt(args)
    options = reply_options(args)
    parts = _media(args)
    sampling = Sampling(max_tokens=args.max_tokens, temperature=args.temperature, seed=args.seed, stop=tuple(args.stop))
    # Questions and installations come before the loop, in which the first Ctrl-C would not reach them.
    session = session_for(
        args, load({"profile": args.profile, "history.keep": False if args.no_history else None}).settings
    )
    return asyncio.run(_ask(session, args, prompt, parts, sampling, options))


def _prompt(args: argparse.Namespace) -> str:
    from gemma_backend.types import BadInput, UsageError

    if args.prompt and args.prompt != ["-"]:
        prompt = " ".join(args.prompt)
        # Bytes of an argument that are no UTF-8 arrive as lone surrogates.
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            raise BadInput("The prompt is not valid UTF-8: convert it, for example with iconv.")
    else:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError('There is no prompt: write it behind `gemma-tui ask`, as in gemma-tui ask "Hello".')
        data = sys.stdin.buffer.read(_STDIN_LIMIT + 1)
        if len(data) > _STDIN_LIMIT:
            raise BadInput(f"The prompt is longer than {_STDIN_LIMIT >> 20} MiB; no model here takes that much.")
        try:
            prompt = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadInput(
                f"Standard input is not valid UTF-8 (byte {error.start}): convert it, for example with iconv."
            ) from None
        if not args.raw:
            prompt = prompt.removesuffix("\n").removesuffix("\r")
    if not prompt.strip() and not args.raw and not (args.image or args.audio):
        raise BadInput("The prompt is empty: write what to ask.")
    return prompt


def _media(args: argparse.Namespace) -> list[Part]:
    if not (args.image or args.audio):
        return []
    from gemma_backend.media.load import load
    from gemma_backend.media.paste import paths_in
    from gemma_backend.types import AudioPart, BadInput, ImagePart, UsageError

    parts: list[Part] = []
    for flag, kind, other, names in (
        ("--image", ImagePart, "a clip: give it with --audio", args.image),
        ("--audio", AudioPart, "a picture: give it with --image", args.audio),
    ):
        for name in names:
            if not name:
                raise UsageError(f"{flag} is given without a file: write its path behind it.")
            # A file manager copies a file as a URI.
            meant = paths_in(name) if name.lower().startswith("file:") else None
            part = load(meant[0] if meant else Path(name))
            if not isinstance(part, kind):
                raise BadInput(f"{flag} {name}: this file is {other}.")
            parts.append(part)
    return parts


async def _ask(
    session: Session,
    args: argparse.Namespace,
    prompt: str,
    parts: list[Part],
    sampling: Sampling,
    options: Options,
) -> int:
    import asyncio

    from gemma_backend.types import TextPart

    history = None if args.raw else await asyncio.to_thread(converse, session, args)
    try:
        await session.start()
        await _until_ready(session)
        if args.raw:
            events = session.complete(prompt, sampling, parts, options)
        else:
            asked = [*parts, TextPart(prompt)] if prompt else parts
            events = session.chat(asked, sampling, options)
        from gemma_tui.cli.ask_output import JsonOutput, TextOutput

        await (JsonOutput(session.model, options) if args.json else TextOutput(options)).show(events)
    finally:
        await session.close()
        if history is not None:
            await asyncio.to_thread(history.close)
    return 0


async def _until_ready(session: Session) -> None:
    """Wait for readiness, showing the engine's phases on a terminal."""
    if not sys.stderr.isatty():
        await session.wait_ready()
        return
    from gemma_tui.cli.ask_output import show_phases

    await show_phases(session)


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return number


def _not_negative(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be a number, 0 or more")
    return number
