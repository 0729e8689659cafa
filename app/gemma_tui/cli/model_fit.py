"""`gemma-tui model fit`: whether a checkpoint fits on a GPU, and with how long a context."""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.checkpoint.fit import Card, Plan
    from gemma_backend.config.profiles import Profile

_UNITS = {"": 1 << 30, "mib": 1 << 20, "gib": 1 << 30, "mb": 10**6, "gb": 10**9, "m": 1 << 20, "g": 1 << 30}


def add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `model fit`."""
    parser.add_argument("checkpoint", metavar="PATH|REPO", nargs="?", help="instead of the profile's own checkpoint")
    parser.add_argument("--profile", metavar="P", help="whose flags are taken (default: by the machine)")
    parser.add_argument("--gpu-memory", metavar="SIZE", type=_size, help="free memory of a GPU, for example 12GiB")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU of this machine, as nvidia-smi numbers them")
    parser.add_argument("--unified", action="store_true", help="that memory is the host's too, as on a DGX Spark")
    parser.add_argument("--max-model-len", metavar="N", type=_count, help="context to plan for (default: the longest)")
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run_fit(args: argparse.Namespace) -> int:
    """Print the table and the verdict; 5 if it does not fit."""
    from gemma_backend.session.planning import planned, planned_on_cpu
    from gemma_backend.types import UsageError
    from gemma_tui.cli.model_inspect import opened

    profile = _profile(args)
    if args.max_model_len is not None:
        profile = profile.model_copy(update={"flags": {**profile.flags, "max-model-len": args.max_model_len}})
    name = args.checkpoint or profile.checkpoint
    if name is None:
        raise UsageError(f"the profile {profile.name} is a server elsewhere: name a checkpoint, or another profile.")
    checkpoint = opened(name)
    on_cpu = profile.runtime == "cpu"
    card = _card(args, profile, on_cpu)
    if on_cpu:
        plan = planned_on_cpu(profile, checkpoint, card)
    else:
        plan = planned(profile, checkpoint, card, host=args.gpu_memory is None)
    if args.json:
        print(json.dumps(_plain(plan, profile, name), indent=2))
    else:
        for line in _lines(plan, profile, name):
            print(line)
    return 0 if plan.fits else 5


def _profile(args: argparse.Namespace) -> Profile:
    from gemma_backend.config.profiles import load_profile
    from gemma_backend.config.settings import load
    from gemma_backend.session.choose import chosen_profile, default_profile
    from gemma_backend.types import GpuMemory

    if args.profile is None and args.gpu_memory is not None:
        # The profile that a machine with such a GPU would start.
        card = GpuMemory(0, "GPU", "", args.gpu_memory, 0, args.gpu_memory, args.unified)
        name, _ = default_profile((card,), environment={})
        return load_profile("small-gpu" if name == "pocket" else name)
    return chosen_profile(load({"profile": args.profile}).settings.profile)[0]


def _card(args: argparse.Namespace, profile: Profile, on_cpu: bool) -> Card:
    from gemma_backend.checkpoint.fit import Card
    from gemma_backend.types import EngineError

    if on_cpu:
        from gemma_backend.metrics.host import host_memory

        memory = host_memory()
        if memory is None:
            raise EngineError("this system does not tell how much memory it has.")
        return Card(memory.total, memory.available, "the host")
    if args.gpu_memory is not None:
        return Card(args.gpu_memory, args.gpu_memory, "a GPU", args.unified)
    from gemma_backend.metrics.gpu import gpus
    from gemma_backend.session.planning import card_of, chosen_gpu

    gpu = chosen_gpu(gpus(), profile)
    if gpu is None or gpu.total is None or gpu.free is None:
        raise EngineError("no GPU's memory is known here: say how much there is with --gpu-memory 12GiB.")
    return card_of(gpu)


def _lines(plan: Plan, profile: Profile, name: str) -> list[str]:
    from gemma_backend.text.clean import clean

    rows = [("weights", plan.need.weights), ("CUDA context", plan.need.context), ("libraries", plan.need.libraries)]
    rows += [("CUDA graphs", plan.need.graphs), ("sampling", plan.need.sampling), ("KV cache", plan.cache)]
    if plan.how.device == "cpu":
        rows = [("weights", plan.need.weights), ("processes", plan.need.context), ("KV cache", plan.cache)]
    lines = [clean(f"{name}, profile {profile.name}, {plan.card.name}", keep_newlines=False), ""]
    lines += [f"{what:<22}{_gib(size)}" for what, size in rows if size]
    lines.append(f"{'once it is ready':<22}{_gib(plan.at_start)}")
    if plan.how.device == "cuda":
        lines.append(f"{'more in long steps':<22}{_gib(plan.need.more)}")
        lines.append(f"{'at the busiest':<22}{_gib(plan.peak)}")
    lines += [f"{'free':<22}{_gib(plan.card.free)}", ""]
    if plan.need.host_table:
        lines.append(f"The per-layer table takes {plan.need.host_table / (1 << 30):.2f} GiB of host memory, pinned.")
    if plan.context:
        lines.append(
            f"The KV cache holds {plan.cache_tokens:,} tokens; a request may have {plan.context:,} of them, in steps "
            f"of {plan.how.batched_tokens:,}, {plan.how.sequences:,} at a time."
        )
    if plan.fits and plan.flags:
        given = " ".join(f"--{flag}" if value is True else f"--{flag} {value}" for flag, value in plan.flags.items())
        lines.append(f"auto comes to {given}")
    return [*lines, *plan.notes, plan.verdict]


def _plain(plan: Plan, profile: Profile, name: str) -> dict[str, object]:
    sizes = ("weights", "host_table", "context", "libraries", "graphs", "activations", "sampling")
    return {
        "fits": plan.fits,
        "verdict": plan.verdict,
        "notes": list(plan.notes),
        "checkpoint": name,
        "profile": profile.name,
        "memory": {size: getattr(plan.need, size) for size in sizes}
        | {"kv_cache": plan.cache, "at_start": plan.at_start, "peak": plan.peak, "asked": plan.asked},
        "card": {"total": plan.card.total, "free": plan.card.free, "unified": plan.card.unified},
        "kv_cache_tokens": plan.cache_tokens,
        "context": plan.context,
        "longest_context": plan.longest,
        "media": plan.how.towers,
        "flags": dict(plan.flags),
    }


def _gib(size: int) -> str:
    return f"{size / (1 << 30):8.2f} GiB"


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", text.strip())
    if found is None or found[2].lower() not in _UNITS or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it like 12GiB or 8192MiB")
    return round(float(found[1]) * _UNITS[found[2].lower()])


def _count(text: str) -> int:
    number = int(text.replace(",", "").replace("_", "")) if text.replace(",", "").replace("_", "").isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tokens")
    return number
