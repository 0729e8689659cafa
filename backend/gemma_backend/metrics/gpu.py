"""GPUs as NVIDIA's management library tells them; whatever it cannot tell is None, and without it there are none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gemma_backend.metrics.host import host_memory
from gemma_backend.types import GpuMemory

RETRY_SECONDS = 60.0
"""How long a library that could not be opened is left alone: each try searches the disk for it."""

INTEGRATED = frozenset({(5, 3), (6, 2), (7, 2), (8, 7), (11, 0), (12, 1)})
"""Compute capabilities of NVIDIA chips whose GPU shares the host's memory: Tegra X1 to Thor, and GB10 (DGX Spark)."""

NEAR = 0.1
"""How close a total has to be to the host's for an integrated GPU to mean the same memory (nvitop PR 208)."""

_lock = threading.Lock()
_failed_at: float | None = None


def gpus() -> tuple[GpuMemory, ...]:
    """Return every NVIDIA GPU of this machine, () where there is none or the driver does not answer.

    Bytes, watts, degrees Celsius, MHz and a share from 0 to 1. Where the GPU has no memory of its own (DGX Spark: the
    library says NOT_SUPPORTED, 0 or the host's total) the figures are those of the host and `unified` is true. Takes
    a few milliseconds for each GPU: call it in a thread.
    """
    with _lock:
        nvml = _opened()
        if nvml is None:
            return ()
        count = _asked(nvml.nvmlDeviceGetCount)
        found = []
        for index in range(count if isinstance(count, int) else 0):
            handle = _asked(nvml.nvmlDeviceGetHandleByIndex, index)
            if handle is not None:
                found.append(_gpu(nvml, handle, index))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Driver:
    """The NVIDIA driver's release (`580.95.05`), and the newest CUDA that it runs."""

    release: str
    cuda: tuple[int, int] | None


def driver() -> Driver | None:
    """Return the driver of this machine, None where there is none or it does not answer."""
    with _lock:
        nvml = _opened()
        if nvml is None:
            return None
        number = _asked(nvml.nvmlSystemGetCudaDriverVersion)
        cuda = (number // 1000, number % 1000 // 10) if isinstance(number, int) else None
        return Driver(_text(_asked(nvml.nvmlSystemGetDriverVersion)), cuda)


def gpu_processes(index: int) -> tuple[tuple[int, int | None], ...]:
    """Return pid and bytes (None where the driver does not tell) of every process with memory on a GPU, most first."""
    with _lock:
        nvml = _opened()
        handle = None if nvml is None else _asked(nvml.nvmlDeviceGetHandleByIndex, index)
        if nvml is None or handle is None:
            return ()
        found: dict[int, int | None] = {}
        for name in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
            for process in _asked(getattr(nvml, name), handle) or ():
                found[int(process.pid)] = process.usedGpuMemory
        return tuple(sorted(found.items(), key=lambda one: -(one[1] or 0)))


def _opened() -> Any:
    """Return the library, opened once; None for a while after it could not be."""
    global _failed_at
    if _failed_at is not None and time.monotonic() - _failed_at < RETRY_SECONDS:
        return None
    try:
        import pynvml

        # Opening it again only counts up, and repairs a library that lost its driver.
        pynvml.nvmlInit()
    except Exception:
        # Besides NVMLError: ImportError, OSError, and AttributeError from an old driver's library.
        _failed_at = time.monotonic()
        return None
    _failed_at = None
    return pynvml


def _asked(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the library and return None for any error: a driver may lack a call, or be updated under our feet."""
    try:
        return function(*arguments)
    except Exception:
        return None


def _gpu(nvml: Any, handle: Any, index: int) -> GpuMemory:
    capability = _asked(nvml.nvmlDeviceGetCudaComputeCapability, handle)
    rates = _asked(nvml.nvmlDeviceGetUtilizationRates, handle)
    power = _asked(nvml.nvmlDeviceGetPowerUsage, handle)
    memory = _asked(nvml.nvmlDeviceGetMemoryInfo, handle)
    total, used, free, unified = shared_or_own(
        memory and (memory.total, memory.used, memory.free), capability, host_memory
    )
    return GpuMemory(
        index=index,
        name=_text(_asked(nvml.nvmlDeviceGetName, handle)) or f"GPU {index}",
        uuid=_text(_asked(nvml.nvmlDeviceGetUUID, handle)),
        total=total,
        used=used,
        free=free,
        unified=unified,
        utilisation=None if rates is None else rates.gpu / 100,
        power=None if power is None else power / 1000,
        temperature=_asked(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        clock=_asked(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
        compute_capability=None if capability is None else (int(capability[0]), int(capability[1])),
    )


def shared_or_own(
    told: tuple[int, int, int] | None,
    capability: tuple[int, int] | None,
    host: Callable[[], Any],
) -> tuple[int | None, int | None, int | None, bool]:
    """Return (total, used, free, unified) from what the library told of a GPU's memory, None where it could not.

    `host` gives the host's memory; it is asked only where the GPU's own figures cannot be meant.
    """
    integrated = capability is not None and tuple(capability) in INTEGRATED
    if told is not None and told[0] > 0 and not integrated:
        return (*told, False)
    memory = host()
    if memory is None:
        return (*told, False) if told is not None and told[0] > 0 else (None, None, None, False)
    if told is not None and told[0] > 0 and abs(told[0] - memory.total) > NEAR * memory.total:
        return (*told, False)
    return memory.total, memory.total - memory.available, memory.available, True


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
