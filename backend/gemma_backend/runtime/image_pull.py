"""Fetching a container image by docker or podman, with what it says of layers turned into progress."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from gemma_backend.config import paths
from gemma_backend.runtime import flags, process
from gemma_backend.runtime.container import find_image, inspect, named
from gemma_backend.runtime.found import Runtime
from gemma_backend.runtime.install import Progress
from gemma_backend.text.clean import clean
from gemma_backend.types import EngineError

# `4f4fb700ef54: Pull complete` (docker) and `Copying blob sha256:4f4f... done` (podman), neither on a terminal.
_DOCKER = re.compile(r"^(?P<id>[0-9a-f]{8,64}): (?P<state>[A-Z][\w ]+?)\s*$", re.MULTILINE)
_PODMAN = re.compile(r"^Copying (?P<what>blob|config) (?:sha256:)?(?P<id>[0-9a-f]{8,64})(?P<rest>[^\n]*)", re.MULTILINE)
_SHARES = {"Download complete": 0.7, "Verifying Checksum": 0.6, "Pull complete": 1.0, "Already exists": 1.0}
# The rest is looking into the image.
FETCHING = 0.95


def layers(output: str) -> tuple[float, int, int]:
    """What a `pull` has said: the share that is here, layers that are here, and layers known so far."""
    shares: dict[str, float] = {}
    for found in _DOCKER.finditer(output):
        share = _SHARES.get(found["state"], 0.0)
        shares[found["id"]] = max(share, shares.get(found["id"], 0.0))
    for found in _PODMAN.finditer(output):
        if found["what"] == "config":
            # It is copied when all layers are.
            shares = dict.fromkeys(shares, 1.0)
        else:
            done = "done" in found["rest"] or "skipped" in found["rest"] or "already exists" in found["rest"]
            shares[found["id"]] = max(float(done), shares.get(found["id"], 0.0))
    if not shares:
        return 0.0, 0, 0
    return sum(shares.values()) / len(shares), sum(share == 1.0 for share in shares.values()), len(shares)


def fetch(
    wanted: str,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Runtime:
    """Fetch the image that `wanted` names, unless it is here, and look into it; blocks, so call it on a thread.

    `cancelled` is asked several times a second. EngineError has one sentence for no docker or podman, one that does not
    work, an image that cannot be had or holds no vLLM, and a stop.
    """
    tool, name = named(wanted)
    if inspect(tool, name) is None:
        _pull(tool, name, progress, cancelled)
    progress(Progress(FETCHING, "Looking what is in it"))
    runtime = find_image(wanted)
    if runtime is None:
        raise EngineError(f"{name} was fetched, but {Path(tool).name} does not show it: try again.")
    progress(Progress(FETCHING, "Reading the options that it knows"))
    flags.read(runtime)
    progress(Progress(1.0, f"{name} is here."))
    return runtime


def _pull(tool: str, name: str, progress: Callable[[Progress], None], cancelled: Callable[[], bool]) -> None:
    log = paths.ensure(paths.log_dir()) / "pull.log"
    log.write_bytes(b"")

    def watch() -> None:
        share, done, known = layers(log.read_text("utf-8", "replace"))
        words = f"Fetching {name}" + (f": layer {done} of {known}" if known else "")
        progress(Progress(FETCHING * share, words))

    watch()
    try:
        code = process.run([tool, "pull", name], log=log, environment={}, cancelled=cancelled, watch=watch)
    except process.Cancelled:
        raise EngineError(f"The fetching of {name} was stopped; what is here of it is not fetched again.") from None
    except OSError as error:
        raise EngineError(f"{name} could not be fetched: {error.strerror}.") from None
    if code:
        said = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        last = clean(said[-1], keep_newlines=False)[:300].rstrip(".") if said else "it said no reason"
        raise EngineError(f"{name} could not be fetched. {Path(tool).name}: {last}. The whole output: {log}")
