"""What can be changed of an engine, what each change is expected to bring, and what it costs to find out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Goal = Literal["latency", "throughput", "memory", "context"]
GOALS: tuple[Goal, ...] = ("latency", "throughput", "memory", "context")
Device = Literal["cpu", "cuda"]
Value = str | int | float | bool
# None takes a flag out, so that vLLM's own default holds.
Change = Value | None
Changes = tuple[tuple[str, Change], ...]

ENVIRONMENT = "env:"
"""What stands before the name of a knob that is a variable of the engine's environment, not a flag."""


@dataclass(frozen=True, slots=True)
class Knob:
    """One flag (without its dashes) or variable, and the values to try.

    `expected` is by how much, as a natural logarithm of the goal's figure, a change is expected to help, and `doubt`
    the standard deviation of that; both are our guesses, which the first trials overrule. With `compiles` a change
    makes vLLM compile its graph anew. `since` is the first vLLM release that knows it.
    """

    name: str
    values: tuple[Change, ...]
    goals: tuple[Goal, ...] = GOALS
    devices: tuple[Device, ...] = ("cpu", "cuda")
    expected: Mapping[Goal, float] = field(default_factory=dict)
    doubt: float = 0.08
    compiles: bool = False
    since: tuple[int, ...] = ()

    @property
    def flag(self) -> str:
        """How it is written on a command line."""
        return self.name.removeprefix(ENVIRONMENT) if self.name.startswith(ENVIRONMENT) else f"--{self.name}"


def ngram(tokens: int, method: str = "ngram") -> str:
    """Speculation that proposes what followed the same words earlier in the text; it needs no second model."""
    return json.dumps(
        {"method": method, "num_speculative_tokens": tokens, "prompt_lookup_max": 4, "prompt_lookup_min": 2}
    )


def drafter(model: str, tokens: int) -> str:
    """Speculation by Gemma 4's own MTP drafter (vLLM 0.21 and later)."""
    return json.dumps({"method": "mtp", "model": model, "num_speculative_tokens": tokens})


# Flags as in vllm/engine/arg_utils.py of 0.26 and 0.32; what compiles anew follows the compute_hash functions of
# vllm/config. On a GPU the time at one stream goes into launches and the host, and at many streams the API server's one
# process has an event to write for each token of each stream.
KNOBS: tuple[Knob, ...] = (
    Knob(
        "speculative-config", (ngram(4), ngram(2), ngram(8)), ("latency",), expected={"latency": 0.15}, doubt=0.2,
        compiles=True, since=(0, 17),
    ),
    Knob(
        "speculative-config", (ngram(4, "ngram_gpu"),), ("latency",), ("cuda",), {"latency": 0.2}, 0.2, True, (0, 18)
    ),
    Knob(
        "stream-interval", (8, 4, 2), ("latency", "throughput"), expected={"throughput": 0.12, "latency": 0.02},
        doubt=0.08, since=(0, 12),
    ),
    Knob("enforce-eager", (None, True), expected={"latency": 0.1, "memory": 0.1}, doubt=0.15, compiles=True),
    Knob("env:VLLM_USE_V2_MODEL_RUNNER", ("0", "1"), ("latency", "throughput"), ("cuda",), doubt=0.06, since=(0, 22)),
    Knob(
        "performance-mode", ("interactivity",), ("latency",), ("cuda",), {"latency": 0.03}, 0.04, since=(0, 17)
    ),
    Knob(
        "performance-mode", ("throughput",), ("throughput",), ("cuda",), {"throughput": 0.05}, 0.06, True, (0, 17)
    ),
    Knob(
        "compilation-config", ('{"cudagraph_mode": "FULL"}', '{"cudagraph_mode": "FULL_DECODE_ONLY"}',
                               '{"cudagraph_mode": "PIECEWISE"}'),
        ("latency", "throughput"), ("cuda",), {"latency": 0.01}, 0.05,
    ),
    Knob("kv-cache-dtype", ("auto",), ("latency", "throughput"), ("cuda",), {"latency": 0.02}, 0.05, True),
    Knob("kv-cache-dtype", ("fp8",), ("memory", "context"), ("cuda",), {"context": 0.69, "memory": 0.01}, 0.1, True),
    Knob("attention-backend", ("TRITON_ATTN", "FLASH_ATTN", "FLASHINFER"), ("latency", "throughput"), ("cuda",),
         doubt=0.06, compiles=True, since=(0, 11)),
    Knob("linear-backend", ("marlin", "cutlass", "flashinfer_cutlass"), ("latency", "throughput"), ("cuda",),
         doubt=0.05, compiles=True, since=(0, 22)),
    Knob("async-scheduling", (True, False), ("latency", "throughput"), expected={"latency": -0.02}, doubt=0.06,
         since=(0, 11)),
    Knob("disable-log-stats", (True,), ("latency", "throughput"), expected={"latency": 0.01, "throughput": 0.02},
         doubt=0.02),
    Knob("enable-prefix-caching", (False,), ("latency", "throughput", "memory"), doubt=0.02),
    Knob("max-num-batched-tokens", (16384, 2048), ("throughput", "memory", "context"), ("cuda",),
         {"throughput": 0.02, "memory": 0.02}, 0.04, True),
    Knob("max-num-batched-tokens", (2048, 512), ("throughput", "memory"), ("cpu",), doubt=0.04, compiles=True),
    Knob("max-num-seqs", (64, 256, 512), ("throughput",), expected={"throughput": 0.03}, doubt=0.06, compiles=True),
    Knob("max-num-seqs", (8, 4), ("latency", "memory", "context"), expected={"memory": 0.05, "context": 0.02},
         doubt=0.05, compiles=True),
    Knob("enable-chunked-prefill", (False,), ("latency", "throughput"), doubt=0.03),
    Knob("max-cudagraph-capture-size", (8, 64), ("memory", "context"), ("cuda",), {"memory": 0.03}, 0.03,
         since=(0, 12)),
    Knob("gpu-memory-utilization", (0.5, 0.7, 0.9), ("context",), ("cuda",), {"context": 0.5}, 0.5),
    Knob("gpu-memory-utilization", (0.25, 0.2), ("memory",), ("cuda",), {"memory": 0.25}, 0.2),
    Knob("env:VLLM_CPU_OMP_THREADS_BIND", ("nobind", "auto"), ("latency", "throughput"), ("cpu",), doubt=0.06),
    Knob("env:VLLM_CPU_KVCACHE_SPACE", ("1", "2", "4"), ("memory", "context"), ("cpu",),
         {"context": 0.5, "memory": 0.1}, 0.3),
)  # fmt: skip


def knobs_for(
    goal: Goal, device: Device, version: tuple[int, ...], *, drafters: Iterable[str] = ()
) -> tuple[Knob, ...]:
    """The knobs that can serve `goal` on a vLLM of `version` (empty: unknown, taken for a new one)."""
    found = [
        knob
        for knob in KNOBS
        if goal in knob.goals and device in knob.devices and (not version or version >= knob.since)
    ]
    found += [
        Knob(
            "speculative-config", tuple(drafter(model, tokens) for tokens in (2, 4)), ("latency", "throughput"),
            expected={"latency": 0.3}, doubt=0.3, compiles=True,
        )
        for model in drafters
        if goal in ("latency", "throughput")
    ]  # fmt: skip
    return tuple(found)


def given(text: str) -> Knob:
    """The knob of `NAME=VALUE[;VALUE]` as a person writes it; ValueError with what is wrong.

    `true` and `false` are switches, numbers are numbers, `default` takes the flag out; NAME may be `env:VARIABLE`.
    """
    name, separator, values = text.partition("=")
    name = name.strip().removeprefix("--")
    if not separator or not name or any(character.isspace() for character in name):
        raise ValueError(f"{text!r} is no NAME=VALUE")
    read = tuple(_value(value.strip()) for value in values.split(";"))
    compiles = not name.startswith(ENVIRONMENT) and name not in _SAME_GRAPH
    return Knob(name, read, compiles=compiles, doubt=0.1)


_SAME_GRAPH = frozenset(knob.name for knob in KNOBS if not knob.compiles)


def _value(text: str) -> Change:
    if text in ("true", "false"):
        return text == "true"
    if text == "default":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def changes(made: Mapping[str, Change]) -> Changes:
    """A set of changes in its one order, to compare and to look up."""
    return tuple(sorted(made.items()))


def worded(made: Changes) -> str:
    """Changes as a person would type them; "as it is" for none."""
    if not made:
        return "as it is"
    said = []
    for name, value in made:
        plain = name.removeprefix(ENVIRONMENT)
        if name.startswith(ENVIRONMENT):
            said.append(f"{plain}={'(unset)' if value is None else value}")
        elif value is True:
            said.append(f"--{plain}")
        elif value is False:
            said.append(f"--no-{plain}")
        else:
            said.append(f"--{plain} {'(default)' if value is None else value}")
    return " ".join(said)
