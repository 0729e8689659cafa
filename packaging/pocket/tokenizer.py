"""The pocket checkpoint's tokenizer: byte-level BPE with Gemma's special tokens, and what prepares pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

# The names are Gemma 4's; the first five numbers are too, the rest are packed since 262,144 rows would not ship.
SPECIAL: dict[str, int] = {
    token: number
    for number, token in enumerate(
        (
            "<pad>",
            "<eos>",
            "<bos>",
            "<unk>",
            "<mask>",
            "<|turn>",
            "<turn|>",
            "<|channel>",
            "<channel|>",
            "<|tool_call>",
            "<tool_call|>",
            "<|image>",
            "<|image|>",
            "<image|>",
            "<|audio>",
            "<|audio|>",
            "<audio|>",
            "<|video|>",
        )
    )
}


def train(texts: Iterable[str], size: int) -> Tokenizer:
    """BPE of exactly `size` entries over `texts`: the special tokens, the 256 bytes, then the commonest pairs.

    Every text can be encoded, since each byte is a token. `<bos>` is put first where special tokens are asked for, as
    /v1/completions does. Raises ValueError if `texts` hold too few pairs.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    if core.get_vocab_size() != size:
        raise ValueError(f"the text gives {core.get_vocab_size()} tokens, not {size}: more text is needed")
    core.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", SPECIAL["<bos>"])]),
        ]
    )
    return core


def processor_config(image_tokens: int, bands: int) -> dict[str, Any]:
    """What Gemma4Processor reads: values of transformers' Gemma4 processors, `image_tokens` soft tokens to a picture.

    Written as data because the classes that would write it need torchvision, which nothing else here does.
    """
    picture = {
        "do_convert_rgb": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.0, 0.0, 0.0],
        "image_std": [1.0, 1.0, 1.0],
        "patch_size": 16,
        "pooling_kernel_size": 3,
        "resample": 3,
        "rescale_factor": 1 / 255,
    }
    return {
        "audio_ms_per_token": 40,
        "audio_seq_length": 750,
        "feature_extractor": {
            "dither": 0.0,
            "feature_extractor_type": "Gemma4AudioFeatureExtractor",
            "feature_size": bands,
            "fft_length": 512,
            "fft_overdrive": False,
            "frame_length": 320,
            "hop_length": 160,
            "input_scale_factor": 1.0,
            "max_frequency": 8000.0,
            "mel_floor": 0.001,
            "min_frequency": 0.0,
            "padding_side": "right",
            "padding_value": 0.0,
            "per_bin_mean": None,
            "per_bin_stddev": None,
            "preemphasis": 0.0,
            "preemphasis_htk_flavor": True,
            "return_attention_mask": True,
            "sampling_rate": 16000,
        },
        "image_processor": {
            **picture,
            "do_normalize": False,
            "image_processor_type": "Gemma4ImageProcessor",
            "max_soft_tokens": image_tokens,
        },
        "image_seq_length": image_tokens,
        "processor_class": "Gemma4Processor",
        "video_processor": {
            **picture,
            "do_normalize": True,
            "do_sample_frames": True,
            "max_soft_tokens": 70,
            "num_frames": 32,
            "return_metadata": False,
            "video_processor_type": "Gemma4VideoProcessor",
        },
    }


def save(core: Tokenizer, folder: Path, image_tokens: int, context: int, bands: int) -> None:
    """Write tokenizer and processor files into `folder`: no chat template, as beside the published base model."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        image_token="<|image|>",
        boi_token="<|image>",
        eoi_token="<image|>",
        audio_token="<|audio|>",
        boa_token="<|audio>",
        eoa_token="<audio|>",
        extra_special_tokens=["<|video|>"],
        model_max_length=context,
        padding_side="left",
        processor_class="Gemma4Processor",
    )
    wrapped.save_pretrained(folder)
    written = json.dumps(processor_config(image_tokens, bands), indent=2, sort_keys=True)
    folder.joinpath("processor_config.json").write_text(f"{written}\n", "utf-8")
