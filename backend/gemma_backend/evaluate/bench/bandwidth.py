"""Memory bandwidth of a runtime's device, measured with the torch that serves models there."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from gemma_backend.metrics.facts import processor_name
from gemma_backend.types import EngineError

if TYPE_CHECKING:
    from gemma_backend.runtime.found import Runtime

SECONDS = 180.0
# Copies between two buffers too large for any cache; each byte is read once and written once. The best of many, since
# whatever disturbs a copy only makes it slower.
_SCRIPT = """
import json, sys, time
import torch
cuda = torch.cuda.is_available() and sys.argv[1] == "cuda"
device = "cuda" if cuda else "cpu"
size = (1 << 30) if cuda else (256 << 20)
source = torch.ones(size // 4, dtype=torch.float32, device=device)
target = torch.empty_like(source)
best = float("inf")
for _ in range(30 if cuda else 12):
    if cuda:
        torch.cuda.synchronize()
    begun = time.perf_counter()
    target.copy_(source)
    if cuda:
        torch.cuda.synchronize()
    best = min(best, time.perf_counter() - begun)
name = torch.cuda.get_device_name(0) if cuda else ""
print(json.dumps({"name": name, "bandwidth": 2 * size / best}))
"""


def measure(runtime: Runtime) -> tuple[str, float]:
    """Return the device's name, as the dashboard knows it, and bytes a second; raises EngineError where it fails."""
    if runtime.image is not None:
        raise EngineError("The memory bandwidth is measured with a runtime on this machine, not with a container's.")
    try:
        done = subprocess.run(
            [str(runtime.python), "-c", _SCRIPT, runtime.device],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
        name, bandwidth = str(found["name"]), float(found["bandwidth"])
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()
        raise EngineError(f"torch could not copy memory: {last[-1] if last else 'it ended without a word'}") from None
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
        raise EngineError(f"The memory bandwidth could not be measured: {error}") from None
    return name or processor_name(), bandwidth
