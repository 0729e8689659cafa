"""The model that is trained: its fresh weights, its preprocessors, and the parameters of each part."""

from __future__ import annotations

import math

import torch
from transformers import Gemma4AudioFeatureExtractor, Gemma4ForConditionalGeneration

from pocket.architecture import BOUND, TRAINED, config


def feature_extractor() -> Gemma4AudioFeatureExtractor:
    """What turns sound into log-mel frames every 10 ms."""
    return Gemma4AudioFeatureExtractor(feature_size=TRAINED.bands)


def fresh(seed: int) -> Gemma4ForConditionalGeneration:
    """A model ready to be trained: each linear layer keeps the strength of its input, attention starts soft."""
    model = Gemma4ForConditionalGeneration(config(TRAINED))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if name.endswith(("q_norm.weight", "k_norm.weight")):
                # Attention multiplies queries and keys without scaling: 1/sqrt(head width) is left to these two.
                parameter.fill_(parameter.numel() ** -0.25)
            elif parameter.dim() >= 2:
                spread = 1 / math.sqrt(math.prod(parameter.shape[1:]))
                if "embed_tokens_per_layer" in name:
                    spread = 0.05
                elif "embed_tokens" in name:
                    spread = TRAINED.hidden**-0.5
                elif "position_embedding" in name:
                    spread = 0.3
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    open_bounds(model)
    return model


@torch.no_grad()
def open_bounds(model: torch.nn.Module) -> None:
    """Open the bounds of the clipped linear layers wide."""
    for name, buffer in model.named_buffers():
        if name.endswith(("_min", "_max")):
            buffer.fill_(-BOUND if name.endswith("_min") else BOUND)


def parts(model: torch.nn.Module) -> dict[str, int]:
    """How many parameters each part has."""
    names = {
        "embed_tokens_per_layer": "per-layer embeddings",
        "embed_tokens": "token embeddings",
        "vision": "vision tower",
        "audio": "audio tower",
    }
    counts = dict.fromkeys([*names.values(), "text layers"], 0)
    for name, parameter in model.named_parameters():
        part = next((title for key, title in names.items() if key in name), "text layers")
        counts[part] += parameter.numel()
    return counts
