"""One trial: an engine started with changes, measured, compared with the baseline, and stopped."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.engine.engine import Engine
from gemma_backend.evaluate.bench.drive import Driver
from gemma_backend.evaluate.bench.records import Round
from gemma_backend.evaluate.bench.summary import summarise
from gemma_backend.evaluate.bench.watch import Watch
from gemma_backend.evaluate.bench.wire import Wires
from gemma_backend.evaluate.bench.workload import Pace, Span, Workload
from gemma_backend.evaluate.tune import tracing
from gemma_backend.evaluate.tune.drift import drift, prompt_logprobs
from gemma_backend.evaluate.tune.knobs import ENVIRONMENT, Changes, worded
from gemma_backend.evaluate.tune.outcome import Figures, Outcome, settings
from gemma_backend.metrics.gpu import gpus
from gemma_backend.metrics.poll import Poller
from gemma_backend.session.planning import planner
from gemma_backend.types import EngineFailed, EngineReady, EngineStopped, GemmaError, PhaseChanged

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.runtime.found import Runtime
    from gemma_backend.types import Endpoint

Say = Callable[[str], None]
LONGEST_START = 900.0


@dataclass(frozen=True, slots=True)
class Load:
    """What every trial is measured with: tokens of prompt and reply, streams, requests of one stream, repeats."""

    prompt_tokens: int = 128
    output_tokens: int = 256
    streams: int = 64
    single: int = 4
    repeats: int = 3

    def seconds(self, device: str) -> float:
        """A guess at how long measuring takes, before any trial was made."""
        return self.repeats * (self.single + 4) * self.output_tokens * (0.004 if device == "cuda" else 0.02) + 5


def tuned(profile: Profile, made: Changes) -> Profile:
    """`profile` with changes, under a name that no other program looks for."""
    flags = {name: value for name, value in made if not name.startswith(ENVIRONMENT)}
    variables = {name.removeprefix(ENVIRONMENT): value for name, value in made if name.startswith(ENVIRONMENT)}
    environment = {name: str(value) for name, value in settings(profile.environment, variables).items()}
    return profile.model_copy(
        update={
            "name": f"tune.{profile.name}",
            "flags": settings(profile.flags, flags),
            "environment": environment,
        }
    )


async def run_trial(
    profile: Profile,
    runtime: Runtime,
    checkpoint: Path,
    made: Changes,
    load: Load,
    say: Say,
    *,
    baseline: Outcome | None = None,
    explore: bool = False,
    trace: Path | None = None,
) -> Outcome:
    """Start, measure and stop an engine; a failure of it is an outcome too, and nothing of it is left in any case.

    With `explore` the baseline's engine is also measured with more and fewer streams and with sampling, since that
    needs no restart; `trace` is a folder for a profile of where the time goes.
    """
    begun = time.monotonic()
    before = await asyncio.to_thread(_gpu_used)
    changed = tuned(profile, made)
    if trace is not None:
        changed = tracing.with_profiler(changed, runtime.version, trace)
    engine = Engine(changed, runtime, checkpoint, reuse=False, fitted=planner(runtime, checkpoint))
    start = 0.0
    outcome = Outcome(dict(made))
    try:
        endpoint = await _ready(engine, say)
        start = time.monotonic() - begun
        outcome = await _measured(endpoint, changed.served_name, engine.pid, outcome, load, before)
        said = await prompt_logprobs(endpoint, changed.served_name)
        if baseline is None:
            outcome = replace(outcome, logprobs=said)
        else:
            outcome = replace(outcome, drift=drift(baseline.logprobs, said))
        if explore:
            outcome = replace(outcome, notes=await _explored(endpoint, changed.served_name, load, say))
        if trace is not None:
            say("recording where the time goes")
            notes = await tracing.record(endpoint, changed.served_name, trace, load.streams)
            outcome = replace(outcome, notes=(*outcome.notes, *notes))
    except GemmaError as error:
        # An engine that died in mid-measurement knows better than the connection that broke.
        if engine.failure is None:
            await asyncio.sleep(0.5)
        failure = engine.failure.cause if engine.failure is not None else str(error)
        outcome = Outcome(dict(made), failure=failure)
    finally:
        await engine.stop()
    if engine.left:
        outcome = replace(outcome, notes=(*outcome.notes, f"could not be removed: {', '.join(engine.left)}"))
    return replace(outcome, start=round(start, 1), seconds=round(time.monotonic() - begun, 1))


async def _ready(engine: Engine, say: Say) -> Endpoint:
    from gemma_backend.types import EngineError

    try:
        async with asyncio.timeout(LONGEST_START):
            await engine.start()
            async for event in engine.events():
                if isinstance(event, PhaseChanged):
                    say(event.phase.name)
                elif isinstance(event, EngineReady):
                    return event.endpoint
                elif isinstance(event, EngineFailed):
                    raise EngineError(event.failure.cause, event.failure)
                elif isinstance(event, EngineStopped):
                    break
    except TimeoutError:
        raise EngineError(f"It was not ready after {LONGEST_START:.0f} s.") from None
    raise EngineError("The engine was stopped from elsewhere.")


async def _measured(
    endpoint: Endpoint, model: str, pid: int | None, outcome: Outcome, load: Load, before: int
) -> Outcome:
    workload = _workload(load)
    driver = Driver(Wires(endpoint), model, workload)
    watch = Watch(endpoint, pid)
    singles: list[Round] = []
    together: list[Round] = []
    try:
        await driver.prepare()
        for repeat in range(load.repeats):
            warmup = 2 if repeat == 0 else 0
            singles.append(await driver.round(Pace(1, requests=load.single, warmup=warmup), watch=watch))
            many = Pace(load.streams, requests=load.streams, warmup=load.streams if repeat == 0 else 0)
            together.append(await driver.round(many, watch=watch))
    finally:
        driver.close()
    sample = await Poller(endpoint, pid).once(0.2)
    gpu_peak = max((one.server.gpu_memory_peak or 0 for one in (*singles, *together)), default=0)
    engine_peak = max((one.server.engine_memory_peak or 0 for one in (*singles, *together)), default=0)
    alone, many_rates = ([summarise(one).output_rate for one in rounds] for rounds in (singles, together))
    failed = sum(summarise(one).failed for one in (*singles, *together))
    middle = summarise(singles[len(singles) // 2])
    figures = Figures(
        latency=round(statistics.median(alone), 2),
        throughput=round(statistics.median(many_rates), 2),
        streams=load.streams,
        ttft=middle.ttft.p50,
        itl=middle.itl.p50,
        memory=max(0, gpu_peak - before) or engine_peak or None,
        kv_tokens=sample.kv_tokens,
        spread=round(max(_range(alone), _range(many_rates)), 4),
    )
    return replace(outcome, figures=figures, notes=(f"{failed} requests failed",) if failed else ())


async def _explored(endpoint: Endpoint, model: str, load: Load, say: Say) -> tuple[str, ...]:
    """What can be learnt of the client's side on the engine that runs: streams, and the sampler's cost."""
    notes = []
    for streams in sorted({load.streams // 4, load.streams // 2, load.streams * 2} - {0, 1}):
        say(f"{streams} streams")
        rate = await _rate(endpoint, model, _workload(load), Pace(streams, requests=streams, warmup=0))
        notes.append(f"{streams} streams: {rate:,.1f} tok/s")
    say("with sampling")
    sampled = replace(_workload(load), temperature=1.0)
    rate = await _rate(endpoint, model, sampled, Pace(1, requests=load.single, warmup=1))
    notes.append(f"one stream at temperature 1: {rate:,.1f} tok/s")
    interval = replace(_workload(load), extra={"stream_interval": 16})
    rate = await _rate(endpoint, model, interval, Pace(1, requests=load.single, warmup=1))
    notes.append(f"one stream that asks for events of 16 tokens: {rate:,.1f} tok/s")
    return tuple(notes)


async def _rate(endpoint: Endpoint, model: str, workload: Workload, pace: Pace) -> float:
    driver = Driver(Wires(endpoint), model, workload)
    try:
        await driver.prepare()
        return summarise(await driver.round(pace)).output_rate
    finally:
        driver.close()


def _workload(load: Load) -> Workload:
    return Workload(
        prompt_tokens=Span(load.prompt_tokens, load.prompt_tokens),
        output_tokens=Span(load.output_tokens, load.output_tokens),
    )


def _range(values: list[float]) -> float:
    return (max(values) - min(values)) / statistics.median(values)


def _gpu_used() -> int:
    return sum(gpu.used or 0 for gpu in gpus())


def described(outcome: Outcome, baseline: Outcome | None) -> str:
    """A trial in one line."""
    name = worded(outcome.changes)
    figures = outcome.figures
    if figures is None:
        return f"{name}: failed after {outcome.seconds:.0f} s: {outcome.failure}"
    reference = baseline.figures if baseline is not None else None
    alone, many = (reference.latency, reference.throughput) if reference is not None else (None, None)

    def against(now: float, then: float | None) -> str:
        return f" ({(now / then - 1) * 100:+.1f}%)" if then else ""

    said = [
        f"{figures.latency:,.1f} tok/s one stream{against(figures.latency, alone)}",
        f"{figures.throughput:,.1f} tok/s with {figures.streams}{against(figures.throughput, many)}",
    ]
    if figures.memory:
        said.append(f"{figures.memory / (1 << 30):.2f} GiB")
    if outcome.drift is not None and outcome.drift.mean > 0:
        said.append(f"text moved by {outcome.drift.mean:.4f} nats a token ({outcome.drift.shift:+.4f} in all)")
    return f"{name}: {', '.join(said)}; {outcome.seconds:.0f} s"
