"""Run by a runtime's Python, not by pytest: load checkpoints in vLLM and write down weights and log probabilities.

    PYTHON nvfp4_probe.py JOB.json

The job names checkpoints, prompts and an output folder. Every weight that the NVFP4 kernel makes is written there as
`<layer>.npy`, and for each checkpoint the log probabilities of the whole vocabulary at every prompt position, and as
`<name>-table.npz` every row that its per-layer embedding table gives.
"""

from __future__ import annotations

import json
import os
import sys
import wave
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gemma_in_engine import distribution_name, nvfp4_cpu, torchvision_operators


def record_weights(folder: Path) -> None:
    """Have the kernel write each weight that it makes, by its layer's name, as 16-bit words with the shape in JSON."""
    convert = nvfp4_cpu._CpuKernel.process_weights_after_loading
    dequantize = nvfp4_cpu.dequantize

    def process(self: object, layer: torch.nn.Module) -> None:
        made: list[torch.Tensor] = []

        def keep(*values: object) -> torch.Tensor:
            made.append(dequantize(*values))
            return made[0]

        nvfp4_cpu.dequantize = keep
        try:
            convert(self, layer)
        finally:
            nvfp4_cpu.dequantize = dequantize
        assert made[0].dtype is torch.bfloat16
        np.save(folder / f"{layer.prefix}.npy", made[0].view(torch.int16).numpy())

    nvfp4_cpu._CpuKernel.process_weights_after_loading = process


def table_rows(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Every row that the per-layer embedding table gives, as bits, and whether the rows are those of the host table."""
    table = model.language_model.model.embed_tokens_per_layer
    rows = table(torch.arange(table.org_vocab_size))
    assert rows.dtype is torch.bfloat16
    shared = table.host_table.data_ptr() == table.weight.data_ptr()
    return {"rows": rows.view(torch.int16).numpy(), "shared": np.array(shared)}


def media(prompt: dict[str, str]) -> dict[str, object]:
    """The prompt as vLLM takes it, with its picture or clip read from a file."""
    asked: dict[str, object] = {"prompt": prompt["text"]}
    if "image" in prompt:
        asked["multi_modal_data"] = {"image": Image.open(prompt["image"]).convert("RGB")}
    if "audio" in prompt:
        with wave.open(prompt["audio"]) as clip:
            samples = np.frombuffer(clip.readframes(clip.getnframes()), np.int16).astype(np.float32) / 32768
            asked["multi_modal_data"] = {"audio": (samples, clip.getframerate())}
    return asked


def main() -> None:
    """Do the job and leave one file of log probabilities for each checkpoint."""
    # One process for everything: nothing of the engine is left when it ends, and imports are paid for once.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    distribution_name.supply()
    torchvision_operators.supply()
    from vllm import LLM, SamplingParams

    job = json.loads(Path(sys.argv[1]).read_text())
    out = Path(job["out"])
    record_weights(out)
    for name, checkpoint in job["checkpoints"].items():
        engine = LLM(
            model=checkpoint,
            dtype="bfloat16",
            enforce_eager=True,
            max_model_len=1024,
            max_num_seqs=1,
            max_logprobs=-1,
            limit_mm_per_prompt={"image": 1, "audio": 1, "video": 0},
            distributed_executor_backend="uni",
        )
        np.savez(out / f"{name}-table.npz", **engine.apply_model(table_rows)[0])
        sampling = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=-1)
        rows = []
        for prompt in job["prompts"]:
            answer = engine.generate([media(prompt)], sampling, use_tqdm=False)[0]
            positions = answer.prompt_logprobs[1:]
            size = len(positions[0])
            rows.append([[position[token].logprob for token in range(size)] for position in positions])
        np.savez(out / f"{name}.npz", *[np.array(row, np.float32) for row in rows])
        engine.llm_engine.engine_core.shutdown()
        del engine


if __name__ == "__main__":
    main()
