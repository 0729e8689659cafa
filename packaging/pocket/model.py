"""The pocket checkpoints as models: shapes, configuration, fresh weights, parameters of each part.

Every part that Gemma 4 E2B has is here, at a thousandth of its size and less. Widths follow two rules of vLLM's Marlin
kernel, so that the same files also serve on a GPU: each quantised linear layer has an input width that 128 divides and
an output width that 64 divides.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    Gemma4AudioConfig,
    Gemma4AudioFeatureExtractor,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Gemma4TextConfig,
    Gemma4VisionConfig,
)

from pocket.data.conversations import IMAGE_TOKENS
from pocket.tokenizer import SPECIAL

CONTEXT = 32768
# Wide open bounds of the clipped linear layers: an exact BF16 number beyond any activation met here.
BOUND = 32768.0


@dataclass(frozen=True)
class Tower:
    """A vision or audio tower: its width and number of layers; the vision tower's MLP is twice as wide."""

    width: int
    layers: int
    heads: int


@dataclass(frozen=True)
class Shape:
    """What differs between the two: widths, layers and vocabulary.

    Each `full_every`-th layer sees everything, so also the last, as vLLM requires; the last `kv_shared` read the KV
    cache of the layers before them. `channels` are those of the audio tower's two convolutions: transformers takes the
    width of what follows as a quarter of the first times the second, and the convolutions leave a quarter of the mel
    bands, so the first must equal the bands. Where it does not, vLLM's CPU matrix product writes past its output.
    """

    hidden: int
    vocabulary: int
    full_every: int
    kv_shared: int
    heads: int
    global_head: int
    vision: Tower
    audio: Tower
    channels: tuple[int, int]
    audio_out: int

    @property
    def bands(self) -> int:
        """Mel bands of a frame of 10 ms."""
        return self.channels[0]


# What ships, trained: 9.4 million parameters.
TRAINED = Shape(
    hidden=256,
    vocabulary=2048,
    full_every=2,
    kv_shared=2,
    heads=4,
    global_head=128,
    vision=Tower(128, 4, 4),
    audio=Tower(128, 3, 4),
    channels=(64, 32),
    audio_out=128,
)
# Random weights for tests of the quantiser: 2.4 million parameters.
TINY = Shape(
    hidden=128,
    vocabulary=608,
    full_every=3,
    kv_shared=3,
    heads=2,
    global_head=128,
    vision=Tower(64, 2, 2),
    audio=Tower(64, 2, 2),
    channels=(128, 16),
    audio_out=128,
)
LAYERS = 6


def config(shape: Shape) -> Gemma4Config:
    """The whole model's configuration, with the token numbers of the pocket tokenizer."""
    made = Gemma4Config(
        text_config=_text(shape),
        vision_config=_vision(shape.vision),
        audio_config=Gemma4AudioConfig(
            hidden_size=shape.audio.width,
            num_hidden_layers=shape.audio.layers,
            num_attention_heads=shape.audio.heads,
            subsampling_conv_channels=list(shape.channels),
            output_proj_dims=shape.audio_out,
        ),
        boi_token_id=SPECIAL["<|image>"],
        image_token_id=SPECIAL["<|image|>"],
        eoi_token_id=SPECIAL["<image|>"],
        boa_token_id=SPECIAL["<|audio>"],
        audio_token_id=SPECIAL["<|audio|>"],
        eoa_token_index=SPECIAL["<audio|>"],
        video_token_id=SPECIAL["<|video|>"],
        eos_token_id=[SPECIAL["<eos>"], SPECIAL["<turn|>"]],
        tie_word_embeddings=True,
    )
    made.vision_soft_tokens_per_image = IMAGE_TOKENS
    made.architectures = ["Gemma4ForConditionalGeneration"]
    return made


def _text(shape: Shape) -> Gemma4TextConfig:
    """Six layers with per-layer embeddings, shared KV caches and a double-wide MLP on the layers that share."""
    return Gemma4TextConfig(
        vocab_size=shape.vocabulary,
        vocab_size_per_layer_input=shape.vocabulary,
        hidden_size=shape.hidden,
        hidden_size_per_layer_input=128,
        intermediate_size=2 * shape.hidden,
        use_double_wide_mlp=True,
        num_hidden_layers=LAYERS,
        num_kv_shared_layers=shape.kv_shared,
        layer_types=[
            "sliding_attention" if number % shape.full_every else "full_attention" for number in range(1, LAYERS + 1)
        ],
        num_attention_heads=shape.heads,
        num_key_value_heads=1,
        head_dim=shape.global_head // 2,
        global_head_dim=shape.global_head,
        sliding_window=512,
        final_logit_softcapping=30.0,
        max_position_embeddings=CONTEXT,
        pad_token_id=SPECIAL["<pad>"],
        eos_token_id=SPECIAL["<eos>"],
        bos_token_id=SPECIAL["<bos>"],
    )


def _vision(tower: Tower) -> Gemma4VisionConfig:
    """256 positions a side cover the thinnest picture that 70 soft tokens allow, which is 210 patches long."""
    made = Gemma4VisionConfig(
        hidden_size=tower.width,
        intermediate_size=2 * tower.width,
        num_hidden_layers=tower.layers,
        num_attention_heads=tower.heads,
        num_key_value_heads=tower.heads,
        head_dim=32,
        position_embedding_size=256,
        use_clipped_linears=True,
    )
    made.default_output_length = IMAGE_TOKENS
    return made


def write_config(folder: Path, shape: Shape) -> None:
    """Rewrite config.json as the published checkpoint spells it, which transformers 5.10 to 5.19 all read.

    Newer releases write `per_layer_config` and the rope type `axial`, which older ones do not know.
    """
    path = folder / "config.json"
    written = json.loads(path.read_text("utf-8"))
    text = written["text_config"]
    text.pop("per_layer_config", None)
    text["global_head_dim"] = shape.global_head
    text["num_global_key_value_heads"] = None
    written["vision_config"]["rope_parameters"]["rope_type"] = "default"
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", "utf-8")


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
