"""The pocket checkpoint's shape: every part that Gemma 4 E2B has, at a thousandth of its size.

Widths follow two rules of vLLM's Marlin kernel, so that the same files also serve on a GPU: each quantised linear layer
has an input width that 128 divides and an output width that 64 divides.
"""

from __future__ import annotations

import json
from pathlib import Path

from transformers import Gemma4AudioConfig, Gemma4Config, Gemma4TextConfig, Gemma4VisionConfig

from pocket.tokenizer import SPECIAL

HIDDEN = 128
VOCABULARY = 608
# Two sliding layers to a full one, and the last one full, as vLLM requires; the last three read the KV cache of the
# layers before them.
LAYERS = ("sliding_attention", "sliding_attention", "full_attention") * 2
KV_SHARED = 3
# Soft tokens an image fills. transformers allows 70, 140, 280, 560 and 1120; the smallest is the fastest on a CPU.
IMAGE_TOKENS = 70
# Head width of the full-attention layers; the sliding ones have half of it.
GLOBAL_HEAD = 128


def text_config() -> Gemma4TextConfig:
    """Six layers of width 128 with per-layer embeddings, shared KV and a double-wide MLP on the sharing layers."""
    return Gemma4TextConfig(
        vocab_size=VOCABULARY,
        vocab_size_per_layer_input=VOCABULARY,
        hidden_size=HIDDEN,
        hidden_size_per_layer_input=128,
        intermediate_size=256,
        use_double_wide_mlp=True,
        num_hidden_layers=len(LAYERS),
        num_kv_shared_layers=KV_SHARED,
        layer_types=list(LAYERS),
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=GLOBAL_HEAD // 2,
        global_head_dim=GLOBAL_HEAD,
        sliding_window=512,
        final_logit_softcapping=30.0,
        max_position_embeddings=32768,
        pad_token_id=SPECIAL["<pad>"],
        eos_token_id=SPECIAL["<eos>"],
        bos_token_id=SPECIAL["<bos>"],
    )


def vision_config() -> Gemma4VisionConfig:
    """Two layers of width 64; 256 positions a side cover the thinnest image that 70 soft tokens allow (210 patches)."""
    made = Gemma4VisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        position_embedding_size=256,
        use_clipped_linears=True,
    )
    made.default_output_length = IMAGE_TOKENS
    return made


def audio_config() -> Gemma4AudioConfig:
    """Two conformer layers of width 64 behind a narrow convolutional front.

    The first convolution has as many channels as there are mel bands: transformers takes the width of what follows from
    it (Gemma4AudioSubSampleConvProjection), and vLLM's CPU matrix product writes past its output where they differ.
    """
    return Gemma4AudioConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        subsampling_conv_channels=[128, 16],
        output_proj_dims=HIDDEN,
    )


def config() -> Gemma4Config:
    """The whole model's configuration, with the token numbers of the pocket tokenizer."""
    made = Gemma4Config(
        text_config=text_config(),
        vision_config=vision_config(),
        audio_config=audio_config(),
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


def write_config(folder: Path) -> None:
    """Rewrite config.json as the published checkpoint spells it, which transformers 5.10 to 5.19 all read.

    Newer releases write `per_layer_config` and the rope type `axial`, which older ones do not know.
    """
    path = folder / "config.json"
    written = json.loads(path.read_text("utf-8"))
    text = written["text_config"]
    del text["per_layer_config"]
    text["global_head_dim"] = GLOBAL_HEAD
    text["num_global_key_value_heads"] = None
    written["vision_config"]["rope_parameters"]["rope_type"] = "default"
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", "utf-8")
