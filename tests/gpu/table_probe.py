"""One engine in this process, its per-layer embedding table moved between host memory and the GPU while it runs.

    GEMMA_IN_ENGINE_PER_LAYER_TABLE=host PYTHONPATH=...:PLUGIN python tests/gpu/table_probe.py CHECKPOINT OUT.json

Nothing but the table's place differs between the measurements, neither kernels nor graphs nor what else the machine
does: rows against the file, log probabilities of prompts, and speed, turn by turn.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

ROWS = 4096
STREAMS = (1, 8, 64)
GENERATED = 128
TURNS = 5
# Host memory pinned in place, as the plugin does it; pinned memory from torch's allocator; the GPU's own.
PLACES = ("host", "gpu", "allocated")


def tokens(seed: int, count: int) -> list[int]:
    """A prompt of token ids that spread over the whole table, the same in every run."""
    state, made = seed * 7919 + 1, [2]
    while len(made) < count:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        made.append(2000 + (state >> 33) % 248_000)
    return made


class Table:
    """The table of a loaded model, which can be elsewhere from one call to the next."""

    def __init__(self, model: Any) -> None:
        import torch

        self.module = model.language_model.model.embed_tokens_per_layer
        host = self.module.host_table
        allocated = torch.empty(host.shape, dtype=host.dtype, pin_memory=True)
        allocated.copy_(host)
        from vllm.utils.torch_utils import get_accelerator_view_from_cpu_tensor as view

        self.data = {"host": self.module.weight.data, "gpu": host.cuda(), "allocated": view(allocated)}

    def move(self, place: str) -> None:
        """Have the model read its rows from `place`; the look-up is in no CUDA graph."""
        self.module.weight.data = self.data[place]

    def rows(self, folder: Path) -> dict[str, Any]:
        """Compare rows that the GPU looks up with those in the file."""
        import torch
        from safetensors import safe_open

        size = self.module.org_vocab_size
        chosen = torch.randperm(size, generator=torch.Generator().manual_seed(3))[: ROWS - 2]
        ids = torch.cat([chosen, torch.tensor([0, size - 1])])
        given = self.module(ids.to(self.module.weight.device)).cpu()
        name = "model.language_model.embed_tokens_per_layer.weight"
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, "pt") as tensors:
                if name in tensors.keys():  # noqa: SIM118 - safe_open is no mapping
                    kept = tensors.get_slice(name)
                    wanted = torch.stack([kept[int(number)] for number in ids])
        differ = (given.view(torch.int16) != wanted.view(torch.int16)).any(dim=1).sum()
        return {
            "rows": len(ids),
            "differ": int(differ),
            "device": str(self.module.weight.device),
            "pinned": self.module.host_table.is_pinned(),
        }


def log_probabilities(engine: Any) -> list[float]:
    """Of every token but the first of four prompts, one prompt at a time."""
    from vllm import SamplingParams

    asked = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
    found = []
    for number in range(4):
        prompt = tokens(900 + number, 200)
        answer = engine.generate([{"prompt_token_ids": prompt}], asked, use_tqdm=False)[0].prompt_logprobs
        found += [row[token].logprob for token, row in zip(prompt[1:], answer[1:], strict=True)]
    return found


def rate(engine: Any, prompts: int, length: int, generated: int, seed: int) -> float:
    """Tokens a second: generated ones, or those of the prompts where one is generated."""
    from vllm import SamplingParams

    asked = SamplingParams(max_tokens=generated, temperature=0, ignore_eos=True)
    batch = [{"prompt_token_ids": tokens(seed + number, length)} for number in range(prompts)]
    begun = time.monotonic()
    engine.generate(batch, asked, use_tqdm=False)
    return prompts * (generated if generated > 1 else length) / (time.monotonic() - begun)


def speeds(engine: Any, move: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Median rates by number of streams (and of prefill) and by place, the places in turn."""
    works = {str(count): (count, 32, GENERATED) for count in STREAMS} | {"prefill": (8, 8192, 1)}
    found: dict[str, dict[str, float]] = {}
    seed = 10_000
    for name, (prompts, length, generated) in works.items():
        seen: dict[str, list[float]] = {place: [] for place in PLACES}
        for turn in range(TURNS + 1):
            for place in PLACES:
                move(place)
                seed += prompts
                made = rate(engine, prompts, length, generated, seed)
                # The first turn warms up.
                seen[place] += [made] if turn else []
        found[name] = {place: median(rates) for place, rates in seen.items()}
    return found


def main() -> None:
    """Measure, and write one JSON object."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    import torch
    from vllm import LLM

    folder = Path(sys.argv[1])
    engine = LLM(
        model=str(folder),
        quantization="modelopt",
        kv_cache_dtype="fp8",
        max_model_len=16_384,
        max_num_seqs=64,
        max_num_batched_tokens=8192,
        gpu_memory_utilization=0.3,
        limit_mm_per_prompt={"image": 1, "audio": 1, "video": 0},
    )
    table: list[Table] = []
    engine.apply_model(lambda model: table.append(Table(model)))
    move = table[0].move
    move("host")
    found: dict[str, Any] = {"gpu": torch.cuda.get_device_name(), **table[0].rows(folder)}
    said = {}
    for name, place in (("host", "host"), ("again", "host"), ("gpu", "gpu"), ("back", "host")):
        move(place)
        said[name] = log_probabilities(engine)
    for name in ("again", "gpu", "back"):
        apart = [abs(one - other) for one, other in zip(said["host"], said[name], strict=True)]
        found[f"logprobs_{name}"] = {"most": max(apart), "mean": sum(apart) / len(apart), "tokens": len(apart)}
    found["speeds"] = speeds(engine, move)
    Path(sys.argv[2]).write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
