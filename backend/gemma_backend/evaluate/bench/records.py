"""What a benchmark saw, request by request, as plain data and as JSON: enough to compute every figure anew."""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gemma_backend.text.given import read_given
from gemma_backend.types import BadInput

FORMAT = "gemma-tui bench"
VERSION = 1
ITL_KEPT = 200_000
"""Inter-token latencies that one file keeps one by one; beyond it only those of every so many requests."""
FILE_LIMIT = 256 << 20
BUSY = 0.85
LATE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: times in seconds, `at` from the round's start, the others from when the request was sent.

    `ttft` is the time to the first token, `e2e` to the last; `itl` are the gaps between arrivals of text; `pieces` is
    how many events carried text. `prompt_tokens` and `output_tokens` are the server's own counts, and where it sends
    none the latter is `pieces`. A request with an `error` (a sentence) counts in no latency.
    """

    at: float
    kind: str
    prompt_tokens: int | None = None
    output_tokens: int = 0
    ttft: float | None = None
    e2e: float | None = None
    itl: tuple[float, ...] = ()
    pieces: int = 0
    cached_tokens: int | None = None
    error: str = ""

    @property
    def tpot(self) -> float | None:
        """Time per output token after the first, in seconds; None where there was only one."""
        if self.e2e is None or self.ttft is None or self.output_tokens < 2:
            return None
        return (self.e2e - self.ttft) / (self.output_tokens - 1)


@dataclass(frozen=True, slots=True)
class ClientLoad:
    """What the load generator itself took: `cpu` as a share of one core, `lag` as its loop's p99 delay in seconds."""

    cpu: float
    lag: float

    @property
    def bottleneck(self) -> bool:
        """Whether the client may have been what limited the figures: it runs on one core."""
        return self.cpu > BUSY

    @property
    def late(self) -> bool:
        """Whether something else kept the client from looking at what had come."""
        return self.lag > LATE_SECONDS


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What was seen of the server meanwhile, None for what it does not tell: shares 0 to 1, bytes, watts."""

    kv_cache_peak: float | None = None
    prefix_hit_rate: float | None = None
    preemptions: int | None = None
    gpu_memory_peak: int | None = None
    gpu_power_mean: float | None = None
    engine_memory_peak: int | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """One load: `concurrency` requests at once or `rate` a second (Poisson), `seconds` from first sent to last token.

    `tokens_by_second` are generated tokens in each second of it, as they arrived.
    """

    seconds: float
    asked: tuple[Asked, ...]
    concurrency: int | None = None
    rate: float | None = None
    repeat: int = 1
    client: ClientLoad = ClientLoad(0.0, 0.0)
    server: ServerLoad = ServerLoad()
    tokens_by_second: tuple[float, ...] = ()
    interrupted: bool = False

    @property
    def load(self) -> str:
        """The load in words, which names the round."""
        if self.rate is None:
            return f"{self.concurrency} at once"
        return f"{self.rate:g}/s" + (f", {self.concurrency} at most" if self.concurrency else "")


@dataclass(frozen=True, slots=True)
class Target:
    """What was measured: where, which model, and as far as it is known by what and on what."""

    url: str
    model: str
    server: str = ""
    profile: str = ""
    flags: dict[str, str | int | float | bool] = field(default_factory=dict)
    gpus: tuple[str, ...] = ()
    processors: int | None = None
    checkpoint_bytes: int | None = None
    weights_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A whole benchmark; `workload` are its settings in words and numbers, `goodput` the service level in seconds."""

    target: Target
    workload: dict[str, str | int | float | bool | None]
    rounds: tuple[Round, ...]
    goodput: dict[str, float] = field(default_factory=dict)
    made: str = ""
    tool: str = ""
    format: str = FORMAT
    version: int = VERSION


def now() -> str:
    """The present moment as ISO 8601 with its time zone, to the second."""
    return datetime.datetime.now(datetime.UTC).astimezone().isoformat(timespec="seconds")


def encoded(report: Report) -> bytes:
    """`report` as JSON."""
    return msgspec.json.format(msgspec.json.encode(_thinned(report)), indent=1)


def write(report: Report, path: Path) -> None:
    """Write `report` as JSON; raises BadInput where the file cannot be written."""
    write_text(path, encoded(report).decode())


def write_text(path: Path, text: str) -> None:
    """Write a file of results; raises BadInput where it cannot be."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file of results; raises BadInput where it cannot be."""
    try:
        path.expanduser().write_bytes(data)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from None


def read(path: Path) -> Report:
    """Return the report in `path`; raises BadInput with what is wrong with the file."""
    try:
        data = read_given(path, FILE_LIMIT + 1)
        if len(data) > FILE_LIMIT:
            raise BadInput(f"{path} has more than {FILE_LIMIT >> 20} MiB and is no benchmark's result.")
        report = msgspec.json.decode(data, type=Report)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadInput(f"{path} is no result of `gemma-tui bench`: give a file written with --json FILE.") from None
    if report.format != FORMAT:
        raise BadInput(f"{path} is no result of `gemma-tui bench`: give a file written with --json FILE.")
    if report.version > VERSION:
        raise BadInput(f"{path} was written by a newer gemma-tui: compare it with that one.")
    return report


def _thinned(report: Report) -> Report:
    """`report` with gaps of so many requests that a file holds at most ITL_KEPT of them."""
    count = sum(len(asked.itl) for one in report.rounds for asked in one.asked)
    if count <= ITL_KEPT:
        return report
    step = -(-count // ITL_KEPT)
    return dataclasses.replace(report, rounds=tuple(_every(one, step) for one in report.rounds))


def _every(one: Round, step: int) -> Round:
    kept = (asked if index % step == 0 else dataclasses.replace(asked, itl=()) for index, asked in enumerate(one.asked))
    return dataclasses.replace(one, asked=tuple(kept))
