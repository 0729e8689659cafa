"""What `gemma-tui bench` can be told, and what that means."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gemma_backend.evaluate.bench.workload import Kind, Pace, Span, Workload


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `bench`."""
    parser.epilog = (
        "Without --url or --profile the engine that runs here is measured. Interrupted with Ctrl-C it still shows what "
        "was finished by then."
    )
    where = parser.add_argument_group("what is measured")
    where.add_argument("--url", help="OpenAI-compatible server, with or without /v1; unix:/path/of/a.sock; ssh://host")
    where.add_argument("--profile", metavar="P", help="profile's engine: one that runs, or one started for this")
    where.add_argument("--model", metavar="ID", help="model to ask, where the server has several")
    where.add_argument("--api-key-file", metavar="F", help="file with the key (else GEMMA_TUI_API_KEY, OPENAI_API_KEY)")
    where.add_argument("--ca-file", metavar="F", help="certificate of the CA to trust, in PEM form")
    where.add_argument("--insecure", action="store_true", help="do not check the server's certificate")
    load = parser.add_argument_group("load")
    load.add_argument("--concurrency", metavar="N[,N]", help="requests at once; several make a round each (default 1)")
    load.add_argument("--rate", metavar="R[,R]", help="requests a second at random moments (Poisson) instead")
    load.add_argument("--requests", type=int, metavar="N", help="requests of a round (default: 4 a stream, 8 or more)")
    load.add_argument("--seconds", type=float, metavar="S", help="end a round after this time instead")
    load.add_argument("--warmup", type=int, metavar="N", help="requests before each round, not counted")
    load.add_argument("--repeat", type=int, default=1, metavar="N", help="run every round so often (default 1)")
    load.add_argument("--timeout", type=float, default=600.0, metavar="S", help="longest reply (default 600)")
    shape = parser.add_argument_group("requests")
    shape.add_argument("--prompt-tokens", metavar="N[-M]", help="length of the prompt (default 128)")
    shape.add_argument("--output-tokens", metavar="N[-M]", help="length of the reply (default 256)")
    shape.add_argument("--mix", metavar="MIX", help="kinds by weight, for example text=8,image=1,audio=1")
    shape.add_argument("--shared-prefix", type=int, default=0, metavar="N", help="tokens that all prompts begin with")
    shape.add_argument("--api", choices=("auto", "completions", "chat"), default="auto", help="which requests to send")
    shape.add_argument("--temperature", type=float, default=0.0, metavar="T", help="of the sampler (default 0)")
    shape.add_argument("--natural-end", action="store_true", help="let replies end by themselves")
    shape.add_argument("--image-pixels", type=int, default=512, metavar="N", help="width of pictures (default 512)")
    shape.add_argument("--audio-seconds", type=float, default=5.0, metavar="S", help="length of clips (default 5)")
    shape.add_argument("--seed", type=int, default=0, metavar="N", help="another seed gives other requests (default 0)")
    shape.add_argument(
        "--goodput", metavar="LEVEL", help="service level in milliseconds, for example ttft=200,tpot=20,e2e=5000"
    )
    shape.add_argument("--preset", choices=("card",), help="card: the published model card's table beside ours")
    out = parser.add_argument_group("results")
    out.add_argument("--json", metavar="FILE", help="write everything, request by request; - for standard output")
    out.add_argument("--markdown", metavar="FILE", help="write the table as Markdown; - for standard output")
    out.add_argument("--plot", metavar="FILE", help="write a picture: a name that ends with .svg or .png")
    out.add_argument(
        "--bandwidth", action="store_true",
        help="measure the memory bandwidth of the profile's device, for the dashboard, and nothing else",
    )  # fmt: skip
    out.add_argument(
        "--compare", nargs=2, metavar=("A.json", "B.json"), type=Path, help="compare two results and run nothing"
    )


def settings(args: argparse.Namespace) -> tuple[Workload, list[Pace], dict[str, float]]:
    """What requests are like, each round's pace, and the service level; raises UsageError for what makes no sense."""
    from dataclasses import replace

    from gemma_backend.evaluate.bench import card
    from gemma_backend.evaluate.bench.workload import Pace, Workload
    from gemma_backend.types import UsageError

    preset, paced = (card.WORKLOAD, card.PACE) if args.preset == "card" else (Workload(), Pace())
    workload = replace(
        preset,
        prompt_tokens=_span(args.prompt_tokens, "--prompt-tokens") or preset.prompt_tokens,
        output_tokens=_span(args.output_tokens, "--output-tokens") or preset.output_tokens,
        mix=_mix(args.mix) if args.mix else preset.mix,
        shared_prefix=args.shared_prefix,
        api=args.api,
        temperature=args.temperature,
        ignore_eos=not args.natural_end,
        image_pixels=args.image_pixels,
        audio_seconds=args.audio_seconds,
        seed=args.seed,
    )
    workload.check()
    if args.repeat < 1:
        raise UsageError("--repeat must be 1 or more.")
    counts = [int(value) for value in _numbers(args.concurrency, "--concurrency")]
    rates = _numbers(args.rate, "--rate")
    if len(counts) > 1 and rates:
        raise UsageError("with --rate, --concurrency is a single bound for all rounds: give one number.")
    if rates:
        bases = [replace(paced, concurrency=counts[0] if counts else None, rate=rate) for rate in rates]
    else:
        bases = [replace(paced, concurrency=count) for count in counts] or [paced]
    chosen: dict[str, Any] = {"timeout": args.timeout}
    if args.requests is not None or args.seconds is not None:
        chosen |= {"requests": args.requests, "seconds": args.seconds}
    if args.warmup is not None:
        chosen["warmup"] = args.warmup
    paces = [replace(base, **chosen) for base in bases]
    for pace in paces:
        pace.check()
    return workload, paces, _goodput(args.goodput)


def _numbers(text: str | None, flag: str) -> list[float]:
    from gemma_backend.types import UsageError

    if text is None:
        return []
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = [0.0]
    whole = flag != "--concurrency" or all(value.is_integer() for value in found)
    if not whole or any(not 0 < value < 1e6 for value in found):
        raise UsageError(f"{flag} takes numbers above 0, with commas between them; {text!r} is none.")
    return found


def _span(text: str | None, flag: str) -> Span | None:
    from gemma_backend.evaluate.bench.workload import Span
    from gemma_backend.types import UsageError

    if text is None:
        return None
    low, _, high = text.partition("-")
    if not low.isdecimal() or not (high or low).isdecimal() or len(text) > 20:
        raise UsageError(f"{flag} takes a number or a span, such as 128 or 64-512; {text!r} is neither.")
    return Span(int(low), int(high or low))


def _mix(text: str) -> dict[Kind, float]:
    from gemma_backend.evaluate.bench.workload import KINDS
    from gemma_backend.types import UsageError

    found: dict[Kind, float] = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        kind = next((one for one in KINDS if one == name.strip()), None)
        try:
            value = float(weight or 1)
        except ValueError:
            value = -1.0
        if kind is None or not 0 <= value < float("inf"):
            raise UsageError(f"--mix takes text, image and audio with weights, such as text=8,image=1; not {part!r}.")
        found[kind] = value
    return found


def _goodput(text: str | None) -> dict[str, float]:
    from gemma_backend.evaluate.bench.summary import LATENCIES
    from gemma_backend.types import UsageError

    level: dict[str, float] = {}
    for part in text.split(",") if text else ():
        name, _, limit = part.replace(":", "=").partition("=")
        try:
            value = float(limit.removesuffix("ms"))
        except ValueError:
            value = 0.0
        if name.strip().lower() not in LATENCIES or not 0 < value < float("inf"):
            raise UsageError(
                f"--goodput takes ttft, itl, tpot and e2e in milliseconds, such as ttft=200; not {part!r}."
            )
        level[name.strip().lower()] = value / 1000
    return level
