"""Carry a plan out: the ModelOpt script in the `quantize` runtime, its progress, and a result that appears whole."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gemma_backend.checkpoint.header import Checkpoint, read_checkpoint
from gemma_backend.config import paths
from gemma_backend.quantize.calibration import Calibration
from gemma_backend.quantize.card import model_card, source_licence
from gemma_backend.quantize.plan import Plan
from gemma_backend.runtime.found import Runtime
from gemma_backend.types import BadInput, EngineError

SCRIPT = Path(__file__).parent / "standalone" / "quantize.py"
# What PYTHONPATH or a proxy would bring in does not belong in the run; the hub is never asked.
# OpenMP's threads would spin while they wait, which takes the processor from each other where others use it too.
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONNOUSERSITE": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
# What the script ends with where it was given something that won't do; its last line says why.
UNFIT = 5
_ERROR = re.compile(r"[\w.]*(Error|Exception): \S")


@dataclass(frozen=True)
class Progress:
    """How far the work is: `stage` is load, calibrate or export; `fraction` of that stage, 0 to 1."""

    stage: str
    fraction: float
    text: str


@dataclass(frozen=True)
class Result:
    """What was made: the folder, bytes of its weights, seconds it took and most memory that the worker held."""

    folder: Path
    nbytes: int
    seconds: float
    peak_memory: int


def run(
    plan: Plan,
    target: Path,
    runtime: Runtime,
    *,
    name: str,
    calibration: Calibration | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Result:
    """Quantise into `target`, which appears only when complete; blocks until then.

    `name` is what the source is called in the card; `calibration` is for plans that calibrate. `cancelled` is asked
    several times a second; once true, the work is ended and KeyboardInterrupt raised, as for Ctrl+C. EngineError, in a
    sentence with the log's path, if it fails.
    """
    begun = time.monotonic()
    target = target.absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-{os.getpid()}-", dir=target.parent))
    except OSError as error:
        raise BadInput(f"{target.parent} can't be written ({error.strerror}): give a folder elsewhere.") from error
    try:
        made_in = building / "made"
        words = command(plan, made_in, runtime, name, calibration)
        peak = _work(words, building, runtime, progress, cancelled)
        made = _finish(plan, made_in, name)
        made_in.replace(target)
    except OSError as error:
        raise BadInput(f"{target} can't be written ({error.strerror}): give a folder elsewhere.") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Result(target, made.nbytes, time.monotonic() - begun, peak)


def command(plan: Plan, target: Path, runtime: Runtime, name: str, calibration: Calibration | None) -> list[str]:
    """The worker's command line, without the file descriptor that it tells its progress on."""
    options = plan.options
    words = [str(runtime.python), "-W", "ignore", str(SCRIPT), str(plan.source), str(target)]
    words += ["--format", options.format, "--samples", str(options.samples), "--batch-size", str(options.batch_size)]
    words += ["--seq-len", str(options.seq_len), "--seed", str(options.seed), "--device", options.device]
    words += ["--scales", options.scales, "--source-name", name]
    for pattern in options.exclude:
        words += ["--exclude", pattern]
    if not options.fuse_scales:
        words.append("--separate-scales")
    if calibration is not None:
        words += ["--calib-name", calibration.name]
        for file in calibration.files:
            words += ["--calib", str(file)]
    return words


def _remove_stale(target: Path) -> None:
    """Remove what a run for the same target left behind when it was killed."""
    for left in target.parent.glob(f".{target.name}.partial-*-*"):
        owner = left.name.removeprefix(f".{target.name}.partial-").partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists() and Path("/proc/self").exists():
            shutil.rmtree(left, ignore_errors=True)


def _work(
    command: list[str],
    building: Path,
    runtime: Runtime,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> int:
    """Run the worker to its end; returns its peak memory in bytes (0 where the system does not tell)."""
    log = paths.ensure(paths.log_dir()) / "quantize.log"
    unfit: list[str] = []
    reading, writing = os.pipe()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | _ENVIRONMENT
    with contextlib.ExitStack() as stack:
        words = stack.enter_context(os.fdopen(reading, encoding="utf-8"))
        try:
            opened = stack.enter_context(log.open("wb"))
        except OSError as error:
            os.close(writing)
            raise EngineError(
                f"The log {log} can't be written ({error.strerror}): free or mend that folder."
            ) from error
        try:
            worker = subprocess.Popen(
                [*command, "--progress-fd", str(writing)],
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=opened,
                pass_fds=(writing,),
                env=environment,
                cwd=building,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(
                f"The Python {runtime.python} does not run ({error.strerror}): install the runtime again with "
                "`gemma-tui engine install --runtime quantize`."
            ) from error
        finally:
            os.close(writing)
        stack.callback(_end, worker)
        listener = threading.Thread(target=_listen, args=(words, progress, unfit), daemon=True)
        listener.start()
        peak = 0
        while worker.poll() is None:
            if cancelled():
                raise KeyboardInterrupt
            peak = max(peak, _peak_memory(worker.pid))
            time.sleep(0.1)
        listener.join(5)
    if worker.returncode == UNFIT:
        raise BadInput(_sentence(unfit[-1] if unfit else _last_words(log)[-1]))
    if worker.returncode:
        raise EngineError(f"Quantising failed: {_last_line(log, worker.returncode)} The log is {log}.")
    return peak


def _listen(words: IO[str], progress: Callable[[Progress], None], unfit: list[str]) -> None:
    for line in words:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told = json.loads(line)
            if "unfit" in told:
                unfit.append(str(told["unfit"]))
            else:
                progress(Progress(str(told["stage"]), float(told["fraction"]), str(told["text"])))


def _end(worker: subprocess.Popen[bytes]) -> None:
    """Kill the worker and whatever it started: it holds nothing that would need an orderly end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def _peak_memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _last_line(log: Path, code: int) -> str:
    """The worker's last words as a sentence."""
    if code == -signal.SIGKILL:
        return "the system ended it, most likely for lack of memory."
    lines = _last_words(log)
    # Progress of libraries can follow the error, so the last line that names one counts.
    errors = [line for line in lines if _ERROR.match(line)]
    return _sentence((errors or lines)[-1])


def _last_words(log: Path) -> list[str]:
    lines = [line.strip() for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    return lines or ["it ended without a word"]


def _sentence(said: str) -> str:
    said = f"{said[:1].upper()}{said[1:]}" if said.startswith("there ") else said
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _finish(plan: Plan, folder: Path, name: str) -> Checkpoint:
    """Check what the worker wrote against the plan, and put the card and the script beside it."""
    made = read_checkpoint(folder)
    record = json.loads(folder.joinpath("quantize.json").read_text("utf-8"))
    scaled = {name.removesuffix(".weight_scale") for name in made.tensors if name.endswith(".weight_scale")}
    missing = set(plan.layers) - scaled
    if missing or scaled - set(plan.layers):
        which = sorted(missing or scaled - set(plan.layers))[0]
        raise EngineError(f"ModelOpt and the plan disagree about {which}: report this with {paths.log_dir()}.")
    folder.joinpath("README.md").write_text(
        model_card(plan, name, record, source_licence(plan.source)), encoding="utf-8"
    )
    shutil.copyfile(SCRIPT, folder / SCRIPT.name)
    return made
