"""Write a pocket checkpoint with random weights in BF16: right in shape, meaningless in text.

    PYTHONPATH=packaging PYTHON -m pocket.random_weights DST [--seed 0]

PYTHON is that of the `quantize` runtime. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from transformers import Gemma4ForConditionalGeneration, GenerationConfig

from pocket import model as shapes
from pocket import tokenizer
from pocket.model import TINY, open_bounds

TEXT = Path(__file__).parents[2] / "assets" / "gemma_assets" / "samples" / "calibration.txt"
# Small beside what a layer adds, so that a token's own (tied) embedding does not always win.
EMBEDDING_SPREAD = 0.05
# Weight of the last norm, so that the likeliest tokens stand apart: logits spread by about 2.
LAST_NORM = 4.0


def draw(model: torch.nn.Module, seed: int) -> None:
    """Fill every parameter from one stream of numpy's in the order of the names, whatever torch's version."""
    stream = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            shape = tuple(parameter.shape)
            values = stream.standard_normal(shape, dtype=np.float32)
            if "embed_tokens" in name or "position_embedding" in name:
                values *= EMBEDDING_SPREAD
            elif len(shape) >= 2:
                values /= math.sqrt(math.prod(shape[1:]))
            else:  # norms and scales: near what a fresh model starts from
                values = parameter.float().numpy() + 0.1 * values
                if name.endswith("language_model.norm.weight"):
                    values *= LAST_NORM
            parameter.copy_(torch.from_numpy(values))
    open_bounds(model)


def write(folder: Path, seed: int) -> int:
    """Write the checkpoint into `folder` and return its number of parameters."""
    config = shapes.config(TINY)
    model = Gemma4ForConditionalGeneration(config)
    draw(model, seed)
    model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.SPECIAL["<bos>"],
        eos_token_id=config.eos_token_id,
        pad_token_id=tokenizer.SPECIAL["<pad>"],
    )
    model.save_pretrained(folder)
    shapes.write_config(folder, TINY)
    core = tokenizer.train(TEXT.read_text("utf-8").splitlines(), TINY.vocabulary)
    tokenizer.save(core, folder, shapes.IMAGE_TOKENS, shapes.CONTEXT, TINY.bands)
    return sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    """Read the command line and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dst", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{write(options.dst, options.seed):,} parameters in {options.dst}")


if __name__ == "__main__":
    main()
