"""Drives load against one endpoint and records what came back."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gemma_backend.endpoint.address import place
from gemma_backend.endpoint.faults import status_sentence
from gemma_backend.evaluate.bench.prompts import Question, Questions, Scale, body_of, words
from gemma_backend.evaluate.bench.records import Asked, ClientLoad, Round, ServerLoad
from gemma_backend.evaluate.bench.reply import Reply
from gemma_backend.evaluate.bench.watch import Watch
from gemma_backend.evaluate.bench.wire import BadAnswer, Wires
from gemma_backend.evaluate.bench.workload import Pace, Workload, arrivals
from gemma_backend.types import EndpointError, GemmaError, TextPart

LAG_SECONDS = 0.02
"""How often the loop's own delay is looked at."""
SHOW_SECONDS = 0.25
SCALE_WORDS = (40, 240)
"""Words of the two prompts that tell how a server counts tokens."""
MOST_FAILURES = 20
"""A round whose first so many requests all fail is ended."""


@dataclass(slots=True)
class Progress:
    """How far a round is; `by_second` are pieces of text in each second so far."""

    load: str
    warming: bool = False
    seconds: float = 0.0
    done: int = 0
    failed: int = 0
    running: int = 0
    wanted: int | None = None
    until: float | None = None
    by_second: list[int] = field(default_factory=list)
    ttft: float | None = None


Show = Callable[[Progress], None]


class Driver:
    """Sends a workload's requests to one endpoint; `prepare` first, then any number of rounds, then `close`."""

    def __init__(self, wires: Wires, model: str, workload: Workload, clock: Callable[[], float] = time.perf_counter):
        self._wires = wires
        self._model = model
        self._workload = workload
        self._clock = clock
        self._questions: Questions | None = None
        self._number = 0
        self._warmed = 0

    @property
    def seed(self) -> int:
        """The workload's."""
        return self._workload.seed

    @property
    def _path(self) -> str:
        return "/v1/chat/completions" if self._workload.chat else "/v1/completions"

    async def prepare(self) -> Scale:
        """Learn how the server counts and which options it takes; raises EndpointError where it cannot be used."""
        dropped: set[str] = set()
        chance = random.Random("scale")
        counted: list[tuple[int, int]] = []
        for count in SCALE_WORDS:
            text = [TextPart(" ".join(words(chance, count)))]
            while True:
                body = body_of(self._workload, self._model, text, 1, frozenset(dropped))
                reply = Reply(lambda at: None)
                status, said = await self._probe(body, reply)
                if status == 200:
                    break
                option = next((one for one in ("ignore_eos", "stream_options") if one.encode() in said), None)
                if option is None or option in dropped:
                    raise EndpointError(_refusal(status, said, self._wires))
                dropped.add(option)
            if reply.problem:
                raise EndpointError(f"{place(self._wires.endpoint)} cannot be measured: {reply.problem}.")
            counted.append((count, reply.prompt_tokens or count))
        scale = Scale.from_two(counted[0], counted[1])
        self._questions = Questions(self._workload, self._model, scale, frozenset(dropped))
        return scale

    async def _probe(self, body: bytes, reply: Reply) -> tuple[int, bytes]:
        try:
            _, status, said = await self._wires.ask(self._wires.request(self._path, body), reply)
        except (BadAnswer, OSError) as error:
            raise EndpointError(f"{place(self._wires.endpoint)} cannot be measured: {error}.") from None
        return status, said

    def close(self) -> None:
        """Close the connections."""
        self._wires.close()

    async def round(
        self, pace: Pace, show: Show = lambda progress: None, watch: Watch | None = None, repeat: int = 1
    ) -> Round:
        """Run one round; being cancelled it raises CancelledError, with what there was in `partial`."""
        assert self._questions is not None, "prepare() comes first"
        label = Round(0.0, (), pace.concurrency, pace.rate).load
        if pace.warming:
            warm = replace(
                pace, requests=pace.warming, seconds=None, rate=None, concurrency=pace.concurrency or pace.warming
            )
            await _Run(self, warm, Progress(label, warming=True, wanted=pace.warming), warming=True).go(show)
        run = _Run(self, pace, Progress(label, wanted=pace.count, until=pace.seconds))
        if watch is not None:
            await watch.begin()
        done = await run.go(show)
        server = await watch.end() if watch is not None else ServerLoad()
        return replace(done, repeat=repeat, server=server)

    def question(self, *, warming: bool) -> Question:
        """The next request."""
        assert self._questions is not None
        if warming:
            self._warmed += 1
            return self._questions.make(-self._warmed)
        self._number += 1
        return self._questions.make(self._number - 1)

    async def ask(self, question: Question, reply: Reply, timeout: float) -> tuple[float, str]:
        """Send one request; returns when it was sent, and what went wrong in a sentence."""
        request = self._wires.request(self._path, question.body)
        sent = self._clock()
        try:
            async with asyncio.timeout(timeout):
                sent, status, said = await self._wires.ask(request, reply)
        except TimeoutError:
            return sent, f"the reply took more than {timeout:.0f} s."
        except (BadAnswer, OSError, GemmaError) as error:
            return sent, str(error) or type(error).__name__
        return sent, "" if status == 200 else _refusal(status, said, self._wires)


def _refusal(status: int, said: bytes, wires: Wires) -> str:
    return status_sentence(status, said, wires.endpoint)


class _Run:
    """One round in progress."""

    def __init__(self, driver: Driver, pace: Pace, progress: Progress, *, warming: bool = False) -> None:
        self._driver = driver
        self._pace = pace
        self._progress = progress
        self._warming = warming
        self._clock = driver._clock
        self._begun = 0.0
        self._asked: list[Asked] = []
        self._pieces = array("d")
        self._lags: list[float] = []
        self._issued = 0
        self._hopeless = False

    async def go(self, show: Show) -> Round:
        loop_tasks = [asyncio.create_task(self._measure_lag()), asyncio.create_task(self._show(show))]
        collecting = gc.isenabled()
        # A full collection takes tens of milliseconds, which would be seen as the server's.
        gc.collect()
        gc.disable()
        spent = time.process_time()
        self._begun = self._clock()
        interrupted = False
        try:
            await (self._open_loop() if self._pace.rate is not None else self._closed_loop())
        except asyncio.CancelledError:
            interrupted = True
            if not self._asked:
                raise
        finally:
            ended = self._clock()
            cpu = time.process_time() - spent
            if collecting:
                gc.enable()
            for task in loop_tasks:
                task.cancel()
            await asyncio.gather(*loop_tasks, return_exceptions=True)
        if not interrupted and self._asked and all(one.error for one in self._asked):
            raise EndpointError(f"Every request failed: {self._asked[0].error}")
        self._update()
        show(self._progress)
        last = max((one.at + one.e2e for one in self._asked if one.e2e is not None), default=ended - self._begun)
        lags = sorted(self._lags)
        return Round(
            seconds=last,
            asked=tuple(sorted(self._asked, key=lambda one: one.at)),
            concurrency=self._pace.concurrency,
            rate=self._pace.rate,
            client=ClientLoad(
                round(cpu / max(ended - self._begun, 1e-9), 4), round(lags[int(len(lags) * 0.99)], 6) if lags else 0.0
            ),
            tokens_by_second=tuple(self._tokens_by_second()),
            interrupted=interrupted,
        )

    async def _closed_loop(self) -> None:
        count = self._pace.concurrency or 1
        if self._pace.count is not None:
            count = min(count, self._pace.count)
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._stream())

    async def _stream(self) -> None:
        while self._goes_on():
            self._issued += 1
            await self._one(self._driver.question(warming=self._warming))

    async def _open_loop(self) -> None:
        assert self._pace.rate is not None
        most = asyncio.Semaphore(self._pace.concurrency or 1_000_000)
        chance = random.Random(f"arrivals {self._driver.seed} {self._pace.rate}")
        async with asyncio.TaskGroup() as group:
            for at in arrivals(self._pace.rate, chance):
                if (wait := self._begun + at - self._clock()) > 0:
                    await asyncio.sleep(wait)
                if not self._goes_on():
                    break
                self._issued += 1
                group.create_task(self._within(most, self._driver.question(warming=False)))

    async def _within(self, most: asyncio.Semaphore, question: Question) -> None:
        async with most:
            await self._one(question)

    def _goes_on(self) -> bool:
        if self._hopeless or (self._pace.count is not None and self._issued >= self._pace.count):
            return False
        return self._pace.seconds is None or self._clock() - self._begun < self._pace.seconds

    async def _one(self, question: Question) -> None:
        reply = Reply(self._pieces.append)
        self._progress.running += 1
        try:
            sent, error = await self._driver.ask(question, reply, self._pace.timeout)
        finally:
            self._progress.running -= 1
        reply.problem = reply.problem or error
        asked = reply.record(sent, self._begun, question.kind)
        self._asked.append(asked)
        self._progress.done += 1
        if asked.error:
            self._progress.failed += 1
            if self._progress.failed == self._progress.done >= MOST_FAILURES:
                self._hopeless = True
        else:
            self._progress.ttft = asked.ttft

    async def _measure_lag(self) -> None:
        while True:
            due = self._clock() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self._lags.append(self._clock() - due)

    async def _show(self, show: Show) -> None:
        while True:
            await asyncio.sleep(SHOW_SECONDS)
            self._update()
            show(self._progress)

    def _update(self) -> None:
        self._progress.seconds = self._clock() - self._begun
        by_second = self._progress.by_second
        for at in self._pieces[sum(by_second) :]:
            second = max(0, int(at - self._begun))
            by_second.extend([0] * (second + 1 - len(by_second)))
            by_second[second] += 1

    def _tokens_by_second(self) -> list[float]:
        """Pieces in each second, scaled to the tokens that the server counted."""
        pieces = sum(one.pieces for one in self._asked)
        tokens = sum(one.output_tokens for one in self._asked if not one.error)
        scale = tokens / pieces if pieces else 1.0
        return [round(count * scale, 2) for count in self._progress.by_second]
