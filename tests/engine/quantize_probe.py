"""Run by the quantize runtime's Python: what ModelOpt alone does, and the script's searches side by side, as JSON.

quantize_probe.py export SRC DST    ModelOpt's own export of SRC in W4A16, with the script's exclusions
quantize_probe.py searches          the squared error of each kind of scale on random weights
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType


def script() -> ModuleType:
    path = Path(__file__).parents[2] / "backend" / "gemma_backend" / "quantize" / "standalone" / "quantize.py"
    spec = importlib.util.spec_from_file_location("standalone_quantize", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def export(source: Path, target: Path) -> None:
    import argparse

    import modelopt.torch.quantization as mtq
    import torch
    from modelopt.torch.export import export_hf_checkpoint

    own = script()
    options = argparse.Namespace(format="nvfp4a16", exclude=[])
    model = own.architecture(source).from_pretrained(source, dtype="auto", local_files_only=True).eval()
    with torch.no_grad():
        mtq.quantize(model, own.recipe(options), None)
        export_hf_checkpoint(model, export_dir=target)


def searches() -> dict[str, float]:
    """Errors of weights, and of what the layer computes from inputs of which some are much larger than others."""
    import torch
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    own = script()
    torch.manual_seed(0)
    weights = (torch.randn(64, 256) * torch.rand(64, 1) * 0.1).to(torch.bfloat16)
    weights[3] = 0
    inputs = torch.randn(500, 256) * torch.logspace(-2, 1, 256)[torch.randperm(256)]
    blocks = inputs.unflatten(-1, (-1, 16)).transpose(0, 1)
    hessian = blocks.transpose(1, 2) @ blocks
    found = {}
    for kind in own.SCALES:
        most = own.E4M3_MAX_FOUR if kind == "four-over-six" else own.E4M3_MAX
        overall = weights.abs().max().float() / (6 * most)
        if kind == "max":
            scale, _ = NVFP4QTensor.get_weights_scaling_factor(weights, 16, overall)
        else:
            scale = own.searched(weights, overall, kind, hessian if kind == "hessian" else None)
        packed, _, _ = NVFP4QTensor.quantize(weights, 16, scale, overall)
        made = packed.dequantize(torch.float32, scale=scale, double_scale=overall, block_sizes={-1: 16})
        wrong = made - weights.float()
        found[kind] = float(wrong.square().sum())
        found[f"{kind}, outputs"] = float((inputs @ wrong.T).square().sum())
    return found


def gemma3(target: Path, words: Path) -> None:
    """The layers of Gemma 3 1B (one full to five sliding, one KV head of width 256) at a fourth of its width."""
    import torch
    from transformers import AutoTokenizer, Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(words)
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=256,
        sliding_window=512,
        max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Gemma3ForCausalLM(config).to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)


def main() -> None:
    if sys.argv[1] == "gemma3":
        gemma3(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1] == "export":
        export(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        print(json.dumps(searches()))


if __name__ == "__main__":
    main()
