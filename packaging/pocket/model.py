"""The trained pocket checkpoint's shape, its fresh weights, and the parameters of each part.

Every part of Gemma 4 E2B is there: per-layer embeddings, layers that share the KV cache of earlier ones, a double-wide
MLP on them, a vision tower and an audio tower. Each quantised linear layer has an input width that 128 divides and an
output width that 64 divides, which vLLM's Marlin kernel asks for.
"""

from __future__ import annotations

import math

import torch
from transformers import (
    Gemma4AudioConfig,
    Gemma4AudioFeatureExtractor,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Gemma4ImageProcessor,
    Gemma4TextConfig,
    Gemma4VisionConfig,
)

from pocket.tokenizer import SPECIAL

HIDDEN = 256
VOCABULARY = 2048
LAYERS = ("sliding_attention", "full_attention") * 3
KV_SHARED = 2
CONTEXT = 32768
# The smallest budget that transformers allows (70, 140, 280, 560, 1120), and the fastest on a CPU.
IMAGE_TOKENS = 70
# Mel bands. The audio tower's first projection takes (channels[0] / 4) x channels[1] values of a frame, and the two
# convolutions leave a quarter of the bands, so channels[0] equals the bands.
BANDS = 64
# Bounds of the clipped linear layers: an exact BF16 number beyond any activation met here.
BOUND = 32768.0


def config() -> Gemma4Config:
    """The whole model's configuration."""
    text = Gemma4TextConfig(
        vocab_size=VOCABULARY,
        vocab_size_per_layer_input=VOCABULARY,
        hidden_size=HIDDEN,
        hidden_size_per_layer_input=128,
        intermediate_size=512,
        use_double_wide_mlp=True,
        num_hidden_layers=len(LAYERS),
        num_kv_shared_layers=KV_SHARED,
        layer_types=list(LAYERS),
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=64,
        global_head_dim=128,
        sliding_window=512,
        final_logit_softcapping=30.0,
        max_position_embeddings=CONTEXT,
        pad_token_id=SPECIAL["<pad>"],
        eos_token_id=SPECIAL["<eos>"],
        bos_token_id=SPECIAL["<bos>"],
    )
    vision = Gemma4VisionConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        # The thinnest picture that 70 soft tokens allow is 210 patches long.
        position_embedding_size=256,
        use_clipped_linears=True,
    )
    vision.default_output_length = IMAGE_TOKENS
    audio = Gemma4AudioConfig(
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        subsampling_conv_channels=[BANDS, 32],
        output_proj_dims=128,
    )
    made = Gemma4Config(
        text_config=text,
        vision_config=vision,
        audio_config=audio,
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


def image_processor() -> Gemma4ImageProcessor:
    """What cuts a picture into patches, in training and in vLLM."""
    return Gemma4ImageProcessor(max_soft_tokens=IMAGE_TOKENS)


def feature_extractor() -> Gemma4AudioFeatureExtractor:
    """What turns sound into log-mel frames of 64 bands every 10 ms."""
    return Gemma4AudioFeatureExtractor(feature_size=BANDS)


def fresh(seed: int) -> Gemma4ForConditionalGeneration:
    """A model ready to be trained: each linear layer keeps the strength of its input, attention starts soft."""
    model = Gemma4ForConditionalGeneration(config())
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
                    spread = HIDDEN**-0.5
                elif "position_embedding" in name:
                    spread = 0.3
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
        for name, buffer in model.named_buffers():
            if name.endswith(("_min", "_max")):
                buffer.fill_(-BOUND if name.endswith("_min") else BOUND)
    return model


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
