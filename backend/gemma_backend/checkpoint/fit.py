"""Whether a checkpoint fits on a card, with how long a context, and the flags by which vLLM takes what was planned.

`auto` stands in a profile's flags for what is worked out here: `gpu-memory-utilization`, `kv-cache-memory-bytes` and
`max-model-len`. The KV cache is given in bytes rather than left to vLLM's profiling, which takes what other programs
do meanwhile for its own, and the page cache on unified memory.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gemma_backend.checkpoint.gemma import whole_number
from gemma_backend.checkpoint.header import Checkpoint
from gemma_backend.checkpoint.memory import CUDA_CONTEXT, GIB, MIB, Need, Serving, need, serving

AUTO = "auto"
Flag = str | int | float | bool
# The share of the card that the published command line takes; more only where one context needs it.
SHARE = 0.30
# Contexts of full length that the KV cache is made for where the share is too small for that.
CONTEXTS = 2
# vLLM's own share where no flag says another (config/cache.py: 0.9, from 0.20 on 0.92).
DEFAULT_SHARE = 0.9
# Left free for what is not foreseen: the estimate is good to 3%.
RESERVE = 192 * MIB
# On unified memory start-up has taken far more than the share and brought the system down (vLLM issue 46307).
RESERVE_UNIFIED = 8 * GIB
LEFT_OUT = "Pictures and sound are left out: with the vision and audio tower it would not fit."
# A context below this is of no use.
SHORTEST = 2048
# Where a checkpoint does not say how long a context it was made for.
LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU's memory in bytes, or the host's for an engine on the CPU.

    `large` is false for chips that vLLM keeps on small steps whatever their memory (A100, GB10).
    """

    total: int
    free: int
    name: str = ""
    unified: bool = False
    large: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What is served within how much memory; all sizes are in bytes, contexts in tokens.

    `cache` is the KV cache and `cache_tokens` what vLLM calls its size; `longest` is the longest context that fits, 0
    if none does. `asked` is the memory that vLLM is told to take, `at_start` and `peak` what it is expected to take.
    `verdict` is a sentence; `flags` are to be laid over the profile's.
    """

    fits: bool
    verdict: str
    card: Card
    how: Serving
    need: Need
    context: int = 0
    longest: int = 0
    cache: int = 0
    cache_tokens: int = 0
    asked: int = 0
    notes: tuple[str, ...] = ()
    flags: Mapping[str, Flag] = field(default_factory=dict)

    @property
    def at_start(self) -> int:
        """Bytes in use when the engine is ready."""
        return self.need.at_start + self.cache

    @property
    def peak(self) -> int:
        """Bytes in use at the busiest moment."""
        return self.need.fixed + self.cache


def is_auto(flags: Mapping[str, Flag], media: str = "on") -> bool:
    """Whether anything is left to be worked out."""
    return media == AUTO or any(flags.get(name) == AUTO for name in _AUTO_FLAGS)


_AUTO_FLAGS = ("gpu-memory-utilization", "kv-cache-memory-bytes", "max-model-len")


def fit(
    checkpoint: Checkpoint,
    flags: Mapping[str, Flag],
    card: Card,
    *,
    table_on_host: bool = False,
    media: Literal["on", "off", "auto"] = "on",
    device: Literal["cuda", "cpu"] = "cuda",
    cache_bytes: int | None = None,
    host_free: int | None = None,
) -> Plan:
    """Plan how `checkpoint` is served on `card` with a profile's `flags`.

    With `media` at `auto` the vision and audio tower are left out only where nothing fits with them. `cache_bytes` is
    the KV cache of a CPU engine, `host_free` the host's memory for a table that is kept there.
    """
    how = serving(flags, device=device, total=card.total, large=card.large)
    how = dataclasses.replace(how, table_on_host=table_on_host, towers=how.towers and media != "off")
    bare = dataclasses.replace(how, towers=False)
    reserve = RESERVE_UNIFIED if card.unified else RESERVE
    # What is kept free is given up last: an estimate that is a little too high must not refuse what would run.
    ways = [(how, reserve), *([(bare, reserve)] if media == AUTO else []), (how, reserve // 4)]
    ways += [(bare, reserve // 4)] if media == AUTO else []
    for one, left in ways:
        plan = _plan(checkpoint, flags, card, one, left, cache_bytes, host_free)
        # Where nothing fits, the last and leanest way says how much is needed at least.
        if plan.fits:
            break
    if how.towers and not plan.how.towers:
        note = LEFT_OUT if plan.fits else "That is without pictures and sound already."
        plan = dataclasses.replace(plan, notes=(note, *plan.notes))
    if not plan.how.towers:
        plan = dataclasses.replace(plan, flags={**plan.flags, "language-model-only": True})
    return plan


def _plan(
    checkpoint: Checkpoint,
    flags: Mapping[str, Flag],
    card: Card,
    how: Serving,
    reserve: int,
    cache_bytes: int | None,
    host_free: int | None,
) -> Plan:
    takes = need(checkpoint, how)
    text = checkpoint.text
    known = whole_number(text, "max_position_embeddings")
    limit = known or LONGEST
    if (layout := takes.layout) is None:
        return Plan(
            False, "The config does not say how large the KV cache is, so nothing can be planned.", card, how, takes
        )
    if card.unified:
        takes = dataclasses.replace(takes, weights=takes.weights + takes.host_table, host_table=0)
    room = card.free - reserve - takes.fixed
    shortage = _host_shortage(takes, host_free)
    wanted = how.context or limit
    one = layout.nbytes(wanted, how.in_flight)
    cache, asked, written = _cache(flags, card, takes, room, one, cache_bytes)
    longest = layout.longest(max(0, min(cache, room)), limit, how.in_flight)
    context = how.context or (longest if flags.get("max-model-len") == AUTO else limit)
    written |= {"max-model-len": context} if flags.get("max-model-len") == AUTO else {}
    if how.device == "cuda" and "kv-cache-memory-bytes" in written:
        # Planned for, so said: vLLM's own defaults differ from card to card and from version to version.
        written |= {"max-num-seqs": how.sequences, "max-num-batched-tokens": how.batched_tokens}
    made = Plan(
        fits=False,
        verdict="",
        card=card,
        how=dataclasses.replace(how, context=context),
        need=takes,
        context=context,
        longest=longest,
        cache=max(cache, 0),
        cache_tokens=layout.tokens(max(cache, 0), context, how.in_flight) if context else 0,
        asked=asked,
        notes=_notes(card),
        flags=written,
    )
    problem = shortage
    if known and context > known and "rope_scaling" not in text:
        problem = f"The checkpoint was made for {known:,} tokens of context: vLLM refuses a max-model-len beyond that."
    problem = problem or _problem(made, flags, reserve, limit)
    return dataclasses.replace(made, fits=not problem, verdict=problem or _praise(made, limit))


def _cache(
    flags: Mapping[str, Flag], card: Card, takes: Need, room: int, one: int, cache_bytes: int | None
) -> tuple[int, int, dict[str, Flag]]:
    """Bytes of the KV cache, bytes that vLLM is asked to take in all, and the flags that say so.

    `room` is what the KV cache can have, `one` what a context of the length wanted takes.
    """
    if cache_bytes is not None:
        return cache_bytes, takes.fixed + cache_bytes, {}
    share, given = flags.get("gpu-memory-utilization", DEFAULT_SHARE), flags.get("kv-cache-memory-bytes")
    part = SHARE if share == AUTO else float(share)
    asked = math.ceil(card.total * part)
    block = takes.layout.block_bytes if takes.layout else 1
    if share != AUTO and given != AUTO:
        if given is not None:
            return int(given), asked, {}
        # vLLM counts neither its context nor its graphs, and of activations and sampling what profiling shows.
        return asked - takes.weights - takes.profiled - takes.libraries, asked, {}
    cache = asked - takes.fixed
    if share == AUTO:
        cache = max(cache, CONTEXTS * one)
    cache = min(cache, room) // block * block
    written: dict[str, Flag] = {"kv-cache-memory-bytes": max(cache, 0)}
    if share == AUTO:
        # Now only a gate: vLLM refuses to start where less is free, after its context is made.
        gate = min(takes.fixed + max(cache, 0), card.free - CUDA_CONTEXT)
        asked = math.floor(max(gate, 0) / card.total * 10_000) * card.total // 10_000
        written["gpu-memory-utilization"] = math.floor(max(gate, 0) / card.total * 10_000) / 10_000
    return cache, asked, written


def _problem(plan: Plan, flags: Mapping[str, Flag], reserve: int, limit: int) -> str:
    """Why `plan` does not work, "" if it does."""
    free, takes, layout = plan.card.free, plan.need, plan.need.layout
    assert layout is not None
    shortest = min(SHORTEST, limit)
    holds_one = layout.nbytes(plan.context, plan.how.in_flight) <= plan.cache
    opens = plan.how.device == "cpu" or plan.asked <= free - CUDA_CONTEXT
    if plan.context >= shortest and holds_one and opens and plan.peak <= free:
        return ""
    wanted = plan.how.context or (shortest if flags.get("max-model-len") == AUTO else limit)
    least = takes.fixed + layout.nbytes(wanted, plan.how.in_flight) + reserve
    if least <= free and plan.how.device == "cuda":
        asked, share = _gib(plan.asked), flags.get("gpu-memory-utilization", DEFAULT_SHARE)
        if not opens:
            reason = (
                f"vLLM would refuse to start: a share of {share} is {asked} and {_gib(free - CUDA_CONTEXT)} are free"
            )
        elif not holds_one:
            reason = f"A share of {share} is {asked}, too little for {wanted:,} tokens of context"
        else:
            reason = f"A share of {share} takes up to {_gib(plan.peak)} and {_gib(free)} are free"
        return f'{reason}: set gpu-memory-utilization = "auto".'
    cure = ""
    if plan.how.device == "cuda" and takes.host_table == 0 and not plan.card.unified and not plan.how.table_on_host:
        cure = ", or keep the per-layer table in host memory as the profile small-gpu does"
    room = free - reserve - takes.fixed
    longest = layout.longest(
        max(0, room if plan.how.device == "cuda" else min(room, plan.cache)), limit, plan.how.in_flight
    )
    if longest >= shortest:
        return (
            f"A context of {wanted:,} tokens does not fit: {_gib(least)} are needed and {_gib(free)} are free. "
            f"The longest that fits is {longest:,}: set max-model-len to that{cure}."
        )
    if least > plan.card.total:
        way = "a larger card is needed" if plan.how.device == "cuda" else "more memory is needed"
    else:
        way = "close other programs"
    return f"It does not fit: {_gib(least)} are needed and {_gib(free)} are free: {way}{cure}."


def _host_shortage(takes: Need, host_free: int | None) -> str:
    if host_free is None or takes.host_table <= host_free:
        return ""
    return (
        f"The per-layer table needs {_gib(takes.host_table)} of host memory and {_gib(host_free)} are free: close "
        "other programs."
    )


def _praise(plan: Plan, limit: int) -> str:
    whole = "the whole context of " if plan.context == limit else "a context of "
    return f"It fits: {whole}{plan.context:,} tokens, {_gib(plan.peak)} at most of {_gib(plan.card.free)} free."


def _notes(card: Card) -> tuple[str, ...]:
    if not card.unified:
        return ()
    return (
        "The GPU shares the host's memory: the share is of all of it and no limit, so 8 GiB are left to the rest. "
        "Planned from documents; never run on such a machine.",
    )


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
