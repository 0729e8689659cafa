"""Load a checkpoint with its per-layer embedding table in host memory and compare rows on the GPU with the file.

GEMMA_IN_ENGINE_PER_LAYER_TABLE=host PYTHONPATH=...:PLUGIN python tests/gpu/rows_probe.py CHECKPOINT OUT.json
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

ROWS = 4096


def main() -> None:
    """Write how many rows were compared, how many differ, and where the table is."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    import torch
    from safetensors import safe_open
    from vllm import LLM

    folder = Path(sys.argv[1])
    engine = LLM(
        model=str(folder),
        quantization="modelopt",
        enforce_eager=True,
        max_model_len=1024,
        max_num_seqs=1,
        gpu_memory_utilization=0.1,
        limit_mm_per_prompt={"image": 0, "audio": 0, "video": 0},
    )

    def compare(model: Any) -> dict[str, Any]:
        table = model.language_model.model.embed_tokens_per_layer
        size = table.org_vocab_size
        ids = torch.cat(
            [torch.randperm(size, generator=torch.Generator().manual_seed(3))[: ROWS - 2], torch.tensor([0])]
        )
        ids = torch.cat([ids, torch.tensor([size - 1])])
        given = table(ids.to(table.weight.device)).cpu()
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, "pt") as tensors:
                name = "model.language_model.embed_tokens_per_layer.weight"
                if name in tensors.keys():  # noqa: SIM118 - safe_open is no mapping
                    kept = tensors.get_slice(name)
                    wanted = torch.stack([kept[int(number)] for number in ids])
        differ = (given.view(torch.int16) != wanted.view(torch.int16)).any(dim=1).sum()
        return {
            "rows": len(ids),
            "differ": int(differ),
            "device": str(table.weight.device),
            "pinned": table.host_table.is_pinned(),
            "host_gib": table.host_table.numel() * 2 / 2**30,
            "gpu_allocated_gib": torch.cuda.memory_allocated() / 2**30,
        }

    found = engine.apply_model(compare)[0]
    Path(sys.argv[2]).write_text(json.dumps(found))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
