"""The phases of a vLLM start, recognised from log lines; the order and wording of vLLM 0.19 to 0.33."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from gemma_backend.types import START_PHASES, Phase

ORDER = START_PHASES
IMPORTS, CONFIG, CORE, WEIGHTS, LOADED, COMPILE, KV_CACHE, GRAPHS, WARM_UP, SERVER, READY = START_PHASES

Match = re.Match[str]


def _nothing(found: Match) -> str:
    return ""


def _kept(found: Match) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Rule:
    """A line that belongs to a phase.

    `detail` gives the words to show (None keeps those shown); a group called `took` holds the seconds that the phase
    had already lasted when the line was written; `early` lines never open the phase, they only add to an open one.
    """

    phase: str
    pattern: re.Pattern[str]
    detail: Callable[[Match], str | None] = _kept
    early: bool = False


def _rule(phase: str, pattern: str, detail: Callable[[Match], str | None] = _kept, early: bool = False) -> Rule:
    return Rule(phase, re.compile(pattern), detail, early)


def _gib(text: str) -> str:
    return f"{float(text):.2f} GiB"


def _seconds(text: str) -> str:
    return f"{float(text):.1f} s"


# Patterns are matched at the start of a line's text, behind the process tag and the log head, so that a request's text
# that is quoted further on in a line opens no phase.
RULES: tuple[Rule, ...] = (
    _rule(READY, r"INFO:\s+Application startup complete\.$", _nothing),
    _rule(READY, r'INFO:\s+\S+ - "GET /health HTTP/[\d.]+" 200\b', _kept),
    _rule(READY, r"Engine \d+: Avg prompt throughput: ", _kept),
    _rule(SERVER, r"Starting vLLM (?:API )?server(?: \d+)? on (?P<url>\S+)", lambda found: found["url"]),
    _rule(SERVER, r"Available routes are:|Route: |INFO:\s+(?:Started server process|Waiting for application startup)"),
    _rule(WARM_UP, r"Multi-modal warmup completed in (?P<s>[\d.]+)\s?s", lambda found: "image and audio", early=True),
    _rule(WARM_UP, r"Warming up (?:model|chat|multi-modal|sampler|Multi)", _nothing),
    _rule(WARM_UP, r"init engine \(profile, create kv cache, warmup model\) took [\d.]+ s"),
    _rule(WARM_UP, r"Kernel JIT monitor activated"),
    _rule(
        WARM_UP,
        r"Graph capturing finished in (?P<s>[\d.]+) secs?, took (?P<g>-?[\d.]+) GiB",
        lambda found: "kernels",
    ),
    _rule(
        GRAPHS,
        r"Capturing (?:CUDA|HIP|XPU)? ?graphs(?: \((?P<kind>[^)]*)\))?:\s+\d+%[^|]*\|[^|]*\|\s*(?P<n>\d+)/(?P<of>\d+)",
        lambda found: f"graph {found['n']} of {found['of']}" + (f", {found['kind']}" if found["kind"] else ""),
    ),
    _rule(GRAPHS, r"Capturing (?:CUDA|HIP|XPU)? ?graphs\b", _kept),
    _rule(KV_CACHE, r"Available KV cache memory: (?P<g>-?[\d.]+) GiB", lambda found: _gib(found["g"])),
    _rule(
        KV_CACHE,
        r"[\w ]{1,20}KV cache size: (?P<n>[\d,]+) tokens"
        r"(?:, Maximum concurrency for (?P<len>[\d,]+) tokens per request: (?P<x>[\d.]+)x)?",
        lambda found: f"{found['n']} tokens" + (f", {found['x']} x {found['len']}" if found["x"] else ""),
    ),
    _rule(
        KV_CACHE,
        r"Maximum concurrency for (?P<len>[\d,]+) tokens per request: (?P<x>[\d.]+)x",
        lambda found: f"+, {found['x']} x {found['len']}",
    ),
    _rule(KV_CACHE, r"Explicitly set \((?P<g>[\d.]+)/[\d.]+\) GiB for KV cache", lambda found: _gib(found["g"])),
    _rule(COMPILE, r"Dynamo bytecode transform time: (?P<took>[\d.]+) s", lambda found: "graph traced"),
    _rule(COMPILE, r"Using cache directory: .* for vLLM's torch\.compile"),
    _rule(
        COMPILE,
        r"Compiling a graph for (?:compile range )?(?P<what>.{1,40}?) takes (?P<took>[\d.]+) s",
        lambda found: f"graph for {found['what']}",
    ),
    _rule(COMPILE, r"Directly load (?:AOT compilation|the .*compiled graph)", lambda found: "from the cache"),
    _rule(
        COMPILE,
        r"(?:\[[^\]]{1,40}\] )?torch\.compile took (?P<s>[\d.]+) s in total",
        lambda found: _seconds(found["s"]),
    ),
    _rule(
        LOADED,
        r"(?:\[[^\]]{1,40}\] )?Model loading took (?P<g>[\d.]+) GiB(?: memory)? and (?P<s>[\d.]+) seconds",
        lambda found: f"{_gib(found['g'])} in {_seconds(found['s'])}",
    ),
    _rule(LOADED, r"Loading weights took (?P<s>[\d.]+) seconds", lambda found: f"in {_seconds(found['s'])}"),
    _rule(
        WEIGHTS,
        r"Loading [\w.-]+ checkpoint shards:\s+\d+% Completed \| (?P<n>\d+)/(?P<of>\d+)",
        lambda found: f"shard {found['n']} of {found['of']}",
    ),
    _rule(
        WEIGHTS,
        r"Filesystem type for checkpoints: .*?Checkpoint size: (?P<g>[\d.]+) GiB",
        lambda found: _gib(found["g"]),
    ),
    _rule(WEIGHTS, r"Starting to load model |Loading model from scratch|Loading [\w.-]+ checkpoint shards:"),
    _rule(CORE, r"Initializing a V1 LLM engine \(v(?P<v>[^)\s]+)\) with config:", lambda found: "distributed set-up"),
    _rule(CORE, r"Waiting for init message from front-end"),
    _rule(CORE, r"Using max model len (?P<n>\d+)", lambda found: f"context of {int(found['n']):,} tokens"),
    _rule(CONFIG, r"Resolved architecture: (?P<a>\w+)", lambda found: found["a"]),
    _rule(CONFIG, r"non-default args: "),
    _rule(CONFIG, r"vLLM API server version |.{0,40}\bversion \d+\.\d+"),
)
# One look for nearly all lines of a log, which belong to no phase.
ANY = re.compile("|".join(re.sub(r"\?P<\w+>", "?:", f"(?:{rule.pattern.pattern})") for rule in RULES))
VERSION = re.compile(
    r"(?:vLLM API server version |Initializing a V1 LLM engine \(v|[^A-Za-z]{0,40}\bversion )(\d+\.\d+[\w.+-]*)"
)


class PhaseTracker:
    """Follows the phases of one start; each is opened once, whatever order the lines come in."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self.ready = False

    @property
    def current(self) -> Phase | None:
        """The open phase."""
        return self.phases[-1] if self.phases else None

    def begin(self, at: float) -> Phase:
        """Open the first phase at `at` seconds."""
        self.phases.append(Phase(IMPORTS, at))
        return self.phases[-1]

    def feed(self, text: str, at: float) -> Phase | None:
        """The phase that `text`, written at `at` seconds, opens or changes; None where it does neither."""
        if self.ready or not ANY.match(text):
            return None
        for rule in RULES:
            if found := rule.pattern.match(text):
                return self._apply(rule, found, at)
        return None

    def close(self, at: float) -> None:
        """End the open phase at `at` seconds: the start broke off there."""
        if self.phases and self.phases[-1].seconds is None:
            self.phases[-1] = replace(self.phases[-1], seconds=max(0.0, round(at - self.phases[-1].start_s, 3)))

    def _apply(self, rule: Rule, found: Match, at: float) -> Phase | None:
        detail = rule.detail(found)
        place = next((index for index, phase in enumerate(self.phases) if phase.name == rule.phase), None)
        if place is None:
            # In 0.30 and later the multi-modal warm-up may end before the engine core has even started.
            if rule.early and not any(phase.name in (KV_CACHE, GRAPHS) for phase in self.phases):
                return None
            return self._open(rule.phase, detail or "", self._start(found, at))
        if place and place == len(self.phases) - 1 and self._start(found, at, place) < self.phases[place].start_s:
            self._reopen(place, self._start(found, at, place))
        if detail is None:
            return None
        phase = self.phases[place]
        new = phase.detail + detail[1:] if detail.startswith("+") else detail
        if new == phase.detail:
            return None
        self.phases[place] = replace(phase, detail=new)
        return self.phases[place]

    def _start(self, found: Match, at: float, place: int | None = None) -> float:
        took = float(found["took"]) if "took" in found.re.groupindex else 0.0
        before = self.phases[:place]
        return max(before[-1].start_s if before else 0.0, round(at - took, 3))

    def _reopen(self, place: int, start: float) -> None:
        before = self.phases[place - 1]
        self.phases[place - 1] = replace(before, seconds=round(start - before.start_s, 3))
        self.phases[place] = replace(self.phases[place], start_s=start)

    def _open(self, name: str, detail: str, at: float) -> Phase:
        self.close(at)
        self.phases.append(Phase(name, at, None, detail))
        self.ready = name == READY
        return self.phases[-1]
