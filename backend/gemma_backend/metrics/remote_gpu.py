"""GPUs of a machine behind ssh, as its nvidia-smi tells them; everything that it writes is taken for hostile."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time

from gemma_backend.endpoint.tunnel import SshAddress, remote_words
from gemma_backend.types import EndpointError, GpuMemory

FIELDS = (
    "index", "name", "uuid", "memory.total", "memory.used", "memory.free", "utilization.gpu", "power.draw",
    "temperature.gpu", "clocks.sm", "compute_cap",
)  # fmt: skip
COMMAND = f"exec nvidia-smi --query-gpu={','.join(FIELDS)} --format=csv,noheader,nounits -l 2"
LONGEST_LINE = 1024
MOST_GPUS = 64
STALE_SECONDS = 10.0
RETRY_SECONDS = 30.0
MIB = 1 << 20
_LARGEST = 1 << 24
"""MiB; more memory has no machine."""


def parse_row(line: str) -> GpuMemory | None:
    """Return the GPU in one line of nvidia-smi's CSV, None where it is none; what it calls N/A is None."""
    if len(line) > LONGEST_LINE:
        return None
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != len(FIELDS) or not cells[0].isdecimal() or int(cells[0][:6]) >= MOST_GPUS:
        return None
    numbers = [_number(cell) for cell in cells]
    total, used, free = (_bytes(numbers[place]) for place in (3, 4, 5))
    capability = cells[10].split(".")
    known = len(capability) == 2 and all(part.isdecimal() and len(part) <= 3 for part in capability)
    busy, power, temperature, clock = numbers[6:10]
    return GpuMemory(
        index=int(cells[0]),
        name="".join(character for character in cells[1][:60] if character.isprintable()) or f"GPU {cells[0]}",
        uuid=cells[2][:60],
        total=total,
        used=used if total is None or used is None or used <= total else None,
        free=free,
        utilisation=None if busy is None or busy > 100 else busy / 100,
        power=power if power is not None and power < 1e5 else None,
        temperature=temperature if temperature is not None and temperature < 1000 else None,
        clock=None if clock is None or clock > 1e5 else round(clock),
        compute_capability=(int(capability[0]), int(capability[1])) if known else None,
    )


def _number(text: str) -> float | None:
    try:
        value = float(text[:40])
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _bytes(mebibytes: float | None) -> int | None:
    return None if mebibytes is None or mebibytes > _LARGEST else round(mebibytes) * MIB


class RemoteGpus:
    """The far side's GPUs, read by one ssh that stays; `latest` is () where there are none or nothing came lately."""

    def __init__(self, address: SshAddress, options: tuple[str, ...] = (), command: str = COMMAND) -> None:
        self._address = address
        self._options = options
        self._command = command
        self._rows: dict[int, tuple[float, GpuMemory]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def latest(self) -> tuple[GpuMemory, ...]:
        """Each GPU as it was told last."""
        now = time.monotonic()
        return tuple(gpu for _, (at, gpu) in sorted(self._rows.items()) if now - at < STALE_SECONDS)

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._read_on())

    async def close(self) -> None:
        """End the ssh."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read_on(self) -> None:
        while True:
            with contextlib.suppress(EndpointError, OSError):
                await self._read()
            # Where there is no nvidia-smi there will hardly be one soon.
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *remote_words(self._address, self._command, self._options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdout is not None
        rest = b""
        try:
            while piece := await process.stdout.read(4096):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    gpu = parse_row(line.decode("utf-8", "replace"))
                    if gpu is not None:
                        self._rows[gpu.index] = (time.monotonic(), gpu)
                # A line without an end is no row; what is kept of it does not grow.
                rest = rest[-LONGEST_LINE:]
                await asyncio.sleep(0.05)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
