"""Serve a full-size checkpoint on a GPU in one arrangement; write down memory, speed and log probabilities.

    python tests/gpu/arrangement.py NAME CHECKPOINT OUT.json

Run by a Python that has vLLM, pydantic and platformdirs; the source roots are put on its path here. The command line is
the program's own. NAME is one of `ARRANGEMENTS`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("backend", "assets")]

from gemma_backend.checkpoint.fit import Card, Plan, fit  # noqa: E402 - the path is set above
from gemma_backend.checkpoint.header import read_checkpoint  # noqa: E402
from gemma_backend.config.profiles import Profile, load_profile  # noqa: E402
from gemma_backend.engine.command import build  # noqa: E402
from gemma_backend.runtime.found import Runtime  # noqa: E402
from gemma_backend.runtime.plugin import plugin_names, write_plugin_folder  # noqa: E402

GIB = 1 << 30
# The published command line's own numbers, so that figures can be compared over time.
PUBLISHED: dict[str, Any] = {"gpu-memory-utilization": 0.30, "max-model-len": 131_072}
# Profile, keys and flags that differ from it, and the size of the card that is made believe.
ARRANGEMENTS: dict[str, tuple[str, dict[str, Any], dict[str, Any], float | None]] = {
    "table-on-gpu": ("workstation", {}, PUBLISHED, None),
    "table-on-host": ("workstation", {"per_layer_table": "host"}, PUBLISHED, None),
    "workstation": ("workstation", {}, {}, 12),
    "small-gpu": ("small-gpu", {}, {}, 6),
    "small-gpu-text": ("small-gpu", {}, {}, 4),
}
STREAMS = (1, 8, 64)
GENERATED = 256
PROMPT = 128
VOCABULARY = 262_144


def arranged(name: str, checkpoint: Path) -> tuple[Profile, Plan]:
    """The profile of an arrangement with nothing left at `auto`, and what was planned."""
    base, keys, flags, size = ARRANGEMENTS[name]
    profile = load_profile(base)
    profile = profile.model_copy(update={**keys, "flags": {**profile.flags, **flags}})
    total = gpu_memory("total") << 20
    card = Card(total, total) if size is None else Card(round(size * GIB), round(size * GIB))
    on_host = profile.per_layer_table == "host"
    plan = fit(read_checkpoint(checkpoint), profile.flags, card, table_on_host=on_host, media=profile.media)
    made = {**profile.flags, **plan.flags}
    if size is not None:
        made["gpu-memory-utilization"] = float(made["gpu-memory-utilization"]) * card.total / total
    return profile.model_copy(update={"flags": made}), plan


def gpu_memory(what: str) -> int:
    """MiB of the first GPU: `total`, or `used` by everybody."""
    ask = ["nvidia-smi", f"--query-gpu=memory.{what}", "--format=csv,noheader,nounits", "-i", "0"]
    return int(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()[0])


def host_memory(leader: int) -> tuple[int, int]:
    """Anonymous and locked memory of all processes in a process group, in MiB."""
    anonymous = locked = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and os.getpgid(int(folder.name)) == leader:
                status = (folder / "status").read_text()
                anonymous += int(re.search(r"RssAnon:\s+(\d+)", status)[1])  # type: ignore[index]
                locked += int(re.search(r"VmPin:\s+(\d+)", status)[1])  # type: ignore[index]
        except (OSError, TypeError):
            continue
    return anonymous // 1024, locked // 1024


class Server:
    """One vLLM server and the most memory that was seen in use."""

    def __init__(self, profile: Profile, checkpoint: Path, log: Path) -> None:
        runtime = Runtime("test", "path", "cuda", Path(sys.executable), version("vllm"), Path(sys.prefix))
        self.port = 8123
        command = build(
            profile,
            runtime,
            checkpoint,
            port=self.port,
            plugin=write_plugin_folder(),
            plugin_names=plugin_names(),
            inherited=os.environ,
        )
        self.command = command.shell()
        self.model = profile.served_name
        self.log = log
        self.before = gpu_memory("used")
        self.peaks = {"gpu_mib": 0, "host_anonymous_mib": 0}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command.argv, env={**os.environ, **command.env}, stdout=output, stderr=output, start_new_session=True
            )
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            now = {"gpu_mib": gpu_memory("used") - self.before, "host_anonymous_mib": host_memory(self.process.pid)[0]}
            self.peaks = {key: max(self.peaks[key], now[key]) for key in now}

    def wait_ready(self, seconds: float = 420) -> float:
        """Seconds until /health answers."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2).close()
                return time.monotonic() - begun
            except OSError:
                time.sleep(0.5)
        raise SystemExit(f"the server did not come up:\n{self.log.read_text('utf-8', 'replace')[-4000:]}")

    def ask(self, **body: object) -> dict[str, Any]:
        """One completion."""
        data = json.dumps({"model": self.model, "temperature": 0, **body}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/completions", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def stop(self) -> None:
        """End the whole group."""
        self._over.set()
        self._watcher.join()
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        until = time.monotonic() + 20
        while gpu_memory("used") > self.before + 200 and time.monotonic() < until:
            time.sleep(0.5)


def tokens(seed: int, count: int) -> list[int]:
    """A prompt of token ids that spread over the whole table, the same in every run."""
    state, made = seed * 7919 + 1, [2]
    while len(made) < count:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        number = 2000 + (state >> 33) % (250_000 - 2000)
        made.append(number)
    return made


def rate(server: Server, streams: int, seed: int) -> float:
    """Generated tokens a second of `streams` requests at once, prefill of their short prompts included."""

    def one(number: int) -> int:
        answer = server.ask(prompt=tokens(seed + number, PROMPT), max_tokens=GENERATED, ignore_eos=True)
        return int(answer["usage"]["completion_tokens"])

    begun = time.monotonic()
    with ThreadPoolExecutor(streams) as pool:
        made = sum(pool.map(one, range(streams)))
    return made / (time.monotonic() - begun)


def prefill(server: Server, seed: int, prompts: int = 8, length: int = 8192) -> float:
    """Prompt tokens a second of `prompts` long prompts at once."""
    begun = time.monotonic()
    with ThreadPoolExecutor(prompts) as pool:
        list(pool.map(lambda number: server.ask(prompt=tokens(seed + number, length), max_tokens=1), range(prompts)))
    return prompts * length / (time.monotonic() - begun)


def log_probabilities(server: Server) -> list[list[float]]:
    """Log probability of every prompt token but the first, of four fixed prompts."""
    found = []
    for number in range(4):
        prompt = tokens(900 + number, 200)
        answer = server.ask(prompt=prompt, max_tokens=1, prompt_logprobs=0)["choices"][0]["prompt_logprobs"]
        found.append([row[str(token)]["logprob"] for token, row in zip(prompt[1:], answer[1:], strict=True)])
    return found


def said(log: str) -> dict[str, Any]:
    """The figures that vLLM itself logs."""
    patterns = {
        "weights_gib": r"Model loading took ([\d.]+) GiB",
        "kv_gib": r"Available KV cache memory: ([\d.]+) GiB",
        "kv_tokens": r"GPU KV cache size: ([\d,]+) tokens",
        "graphs_gib": r"Graph capturing finished in \d+ secs, took ([\d.]+) GiB",
        "usage": r"(Actual usage is .*?for CUDAGraph memory|Actual usage is .*)",
        "table": r"(The per-layer embedding table .*)",
        "batched_tokens": r"max_num_batched_tokens=(\d+)",
    }
    found = {name: re.search(pattern, log) for name, pattern in patterns.items()}
    return {name: match[1] if match else None for name, match in found.items()}


def main() -> None:
    """Measure one arrangement."""
    name, checkpoint, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    profile, plan = arranged(name, checkpoint)
    os.environ.setdefault("GEMMA_TUI_STATE_DIR", tempfile.mkdtemp(prefix="gemma-gpu-"))
    server = Server(profile, checkpoint, out.with_suffix(".log"))
    made: dict[str, Any] = {"name": name, "vllm": version("vllm"), "torch": version("torch"), "command": server.command}
    made["planned"] = {"verdict": plan.verdict, "start_mib": plan.at_start >> 20, "peak_mib": plan.peak >> 20}
    made["planned"] |= {
        "kv_tokens": plan.cache_tokens,
        "weights_mib": plan.need.weights >> 20,
        "towers": plan.how.towers,
    }
    try:
        made["seconds_to_ready"] = server.wait_ready()
        made["gpu_mib_ready"] = gpu_memory("used") - server.before
        made["host_anonymous_mib_ready"], made["host_pinned_mib_ready"] = host_memory(server.process.pid)
        made["logprobs"] = log_probabilities(server)
        most = int(profile.flags.get("max-num-seqs", 64))
        for streams in [count for count in STREAMS if count <= most]:
            rate(server, streams, 0)
            made[f"rate_{streams}"] = max(rate(server, streams, 1000 * (1 + again)) for again in range(3))
        prefill(server, 50_000)
        made["prefill"] = max(prefill(server, 60_000 + 100 * again) for again in range(3))
        if profile.flags["max-model-len"] == 131_072:
            begun = time.monotonic()
            longest = server.ask(prompt=tokens(77, 131_072 - 8), max_tokens=8, ignore_eos=True)
            made["whole_context_tokens"] = longest["usage"]["total_tokens"]
            made["whole_context_seconds"] = time.monotonic() - begun
        made["gpu_mib_loaded"] = gpu_memory("used") - server.before
        made["peaks"] = server.peaks
    finally:
        server.stop()
        made |= {"said": said(server.log.read_text("utf-8", "replace"))}
        out.write_text(json.dumps(made, indent=1))
    print(json.dumps({key: value for key, value in made.items() if key != "logprobs"}, indent=1))


if __name__ == "__main__":
    main()
