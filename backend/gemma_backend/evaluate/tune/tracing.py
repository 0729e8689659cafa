"""Where the time of a token goes: vLLM's own torch profiler switched on for a few tokens, and its trace summed up."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from gemma_backend.endpoint.http import client
from gemma_backend.engine.command import version_tuple
from gemma_backend.evaluate.bench.drive import Driver
from gemma_backend.evaluate.bench.wire import Wires
from gemma_backend.evaluate.bench.workload import Pace, Span, Workload

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.types import Endpoint

# `--profiler-config` replaced VLLM_TORCH_PROFILER_DIR (vllm/config/profiler.py).
CONFIG_SINCE = (0, 13)
TOKENS = 32
STOP_SECONDS = 180.0
"""Writing a trace takes tens of seconds."""
MOST_BYTES = 2 << 30
TOP = 12


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace summed up: seconds from the first to the last thing done, of which the device was `busy`.

    `kernels` is how many ran, `launches` how many calls started them (a CUDA graph is one), `shares` the device's time
    by name, the largest first. Without a GPU kernels are the operators that torch ran.
    """

    seconds: float
    busy: float
    kernels: int
    launches: int
    shares: tuple[tuple[str, float, int], ...]

    def worded(self, label: str, tokens: int) -> tuple[str, ...]:
        """In sentences, for `tokens` steps of generation."""
        each = 1e3 / max(1, tokens)
        waits = max(0.0, self.seconds - self.busy)
        said = [
            f"{label}: {self.seconds * each:.2f} ms a step, of which the device works {self.busy * each:.2f} ms "
            f"({self.busy / max(self.seconds, 1e-9):.0%}) and waits {waits * each:.2f} ms; "
            f"{self.kernels / max(1, tokens):,.0f} kernels in {self.launches / max(1, tokens):,.0f} launches a step, "
            f"{1e6 * self.busy / max(1, self.kernels):.1f} us each"
        ]
        said += [
            f"{label}: {seconds / max(self.busy, 1e-9):5.1%}  {count / max(1, tokens):7.1f} a step  {name}"
            for name, seconds, count in self.shares
        ]
        return tuple(said)


def with_profiler(profile: Profile, version: str, folder: Path) -> Profile:
    """`profile` with vLLM's profiler ready to be switched on; until then it costs nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    if version_tuple(version) and version_tuple(version) < CONFIG_SINCE:
        variables = {"VLLM_TORCH_PROFILER_DIR": str(folder), "VLLM_TORCH_PROFILER_WITH_STACK": "0"}
        return profile.model_copy(update={"environment": {**profile.environment, **variables}})
    config = {
        "profiler": "torch",
        "torch_profiler_dir": str(folder.absolute()),
        "torch_profiler_with_stack": False,
        "torch_profiler_dump_cuda_time_total": False,
        "ignore_frontend": True,
    }
    return profile.model_copy(update={"flags": {**profile.flags, "profiler-config": json.dumps(config)}})


async def record(endpoint: Endpoint, model: str, folder: Path, streams: int) -> tuple[str, ...]:
    """Profile some tokens of one stream, then of `streams`; sentences on where the time went, or why none is known."""
    said: list[str] = []
    for label, count in (("one stream", 1), (f"{streams} streams", streams)):
        before = set(_files(folder))
        workload = Workload(prompt_tokens=Span(16, 16), output_tokens=Span(TOKENS, TOKENS))
        driver = Driver(Wires(endpoint), model, workload)
        try:
            await driver.prepare()
            async with client(endpoint, read_seconds=STOP_SECONDS) as connection:
                if (await connection.post("/start_profile")).status_code != 200:
                    return ("this vLLM does not offer its profiler",)
                await driver.round(Pace(count, requests=count, warmup=0))
                await connection.post("/stop_profile")
        except (httpx2.HTTPError, OSError) as error:
            return (*said, f"the profile could not be recorded: {type(error).__name__}")
        finally:
            driver.close()
        fresh = [path for path in _files(folder) if path not in before]
        traces = [trace for path in fresh if (trace := await asyncio.to_thread(read, path)) is not None]
        if traces:
            said += max(traces, key=lambda trace: trace.kernels).worded(label, TOKENS)
        else:
            said.append(f"{label}: no trace was written")
    return tuple(said)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.json*") if path.is_file())


def read(path: Path) -> Trace | None:
    """Sum up a trace file (Chrome's trace format, gzipped or not); None where it is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        events = json.loads(data)["traceEvents"]
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return summed_up(events) if isinstance(events, list) else None


def summed_up(events: Iterable[Any]) -> Trace | None:
    """The sum over trace events, times in microseconds as they come; None where nothing ran."""
    kernels: list[tuple[float, float, str]] = []
    operators: list[tuple[float, float, str]] = []
    launches = 0
    for event in events:
        if not isinstance(event, dict) or event.get("ph") != "X":
            continue
        start, length, kind = event.get("ts"), event.get("dur"), event.get("cat")
        if not isinstance(start, int | float) or not isinstance(length, int | float):
            continue
        name = str(event.get("name", ""))
        if kind in ("kernel", "gpu_memcpy", "gpu_memset"):
            kernels.append((start, start + length, name))
        elif kind == "cpu_op":
            operators.append((start, start + length, name))
        elif kind in ("cuda_runtime", "cuda_driver") and "Launch" in name:
            launches += 1
    spans = kernels or _outermost(operators)
    if not spans:
        return None
    shares: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    for start, end, name in spans:
        share = shares[shortened(name)]
        share[0] += (end - start) / 1e6
        share[1] += 1
    largest = sorted(((name, value[0], int(value[1])) for name, value in shares.items()), key=lambda one: -one[1])
    return Trace(
        seconds=(max(end for _, end, _ in spans) - min(start for start, _, _ in spans)) / 1e6,
        busy=_union([(start, end) for start, end, _ in spans]) / 1e6,
        kernels=len(spans),
        launches=launches or len(spans),
        shares=tuple(largest[:TOP]),
    )


def shortened(name: str) -> str:
    """A kernel's name without its template arguments."""
    plain = re.sub(r"^(void|int) ", "", name)
    plain = plain.split("(")[0] if not plain.startswith("(") else plain
    return re.sub(r"<.*", "", plain)[:60]


def _outermost(spans: list[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Spans that lie in no other."""
    found: list[tuple[float, float, str]] = []
    for span in sorted(spans, key=lambda one: (one[0], -one[1])):
        if not found or span[0] >= found[-1][1]:
            found.append(span)
    return found


def _union(spans: list[tuple[float, float]]) -> float:
    """The length of what is covered by at least one span."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        if end > reached:
            total += end - max(start, reached)
            reached = end
    return total
