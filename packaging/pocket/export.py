"""Write the trained weights as a BF16 checkpoint that transformers and vLLM read.

    PYTHONPATH=packaging PYTHON -m pocket.export WEIGHTS DATA DST

WEIGHTS is what pocket.train wrote, DATA holds `tokenizer.json`. `python packaging/pocket/build.py --source DST`
quantises what this writes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig

from pocket import model, tokenizer, weights
from pocket.model import TRAINED
from pocket.tokenizer import SPECIAL


def write(source: Path, data: Path, folder: Path) -> dict[str, int]:
    """Write the checkpoint into `folder`; returns the parameters of each part."""
    made = model.fresh(0)
    weights.load(made, source)
    counts = model.parts(made)
    made.to(torch.bfloat16)
    made.config.dtype = torch.bfloat16
    made.generation_config = GenerationConfig(
        bos_token_id=SPECIAL["<bos>"],
        eos_token_id=[SPECIAL["<eos>"], SPECIAL["<turn|>"]],
        pad_token_id=SPECIAL["<pad>"],
        # What vLLM uses where a request says nothing: stories vary a little, and answers are the likeliest.
        do_sample=True,
        temperature=0.3,
        top_p=0.9,
    )
    made.save_pretrained(folder)
    model.write_config(folder, TRAINED)
    core = Tokenizer.from_file(str(data / "tokenizer.json"))
    tokenizer.save(core, folder, model.IMAGE_TOKENS, model.CONTEXT, TRAINED.bands)
    return counts


def main() -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("dst", type=Path)
    options = parser.parse_args()
    for part, count in write(options.weights, options.data, options.dst).items():
        print(f"{part}: {count:,}")


if __name__ == "__main__":
    main()
