#!/usr/bin/env python3
"""Turn a BF16 checkpoint into an NVFP4 one with NVIDIA ModelOpt, and with nothing of gemma-tui's.

    quantize.py SRC DST [--format nvfp4a16|nvfp4] [--scales max|mse|...] [--calib FILE ...] [--samples 512] ...

Needs torch, transformers and nvidia-modelopt. nvfp4a16 rounds weights only; nvfp4 rounds activations too and needs
text, pictures and sound to see their range. Both round E2M1 numbers in groups of 16, each with an FP8 scale, each layer
with one FP32 scale. ModelOpt says which layers, finds the ranges and does the rounding; the weights pass through one
layer at a time, so that rounding them needs little memory. Where a `quantize.json` stands beside this script, its
options are the defaults: so a checkpoint is made again. The same source, options and versions give the same bytes on
the same kind of machine.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import errno
import functools
import hashlib
import importlib.metadata
import inspect
import json
import math
import mmap
import os
import platform
import random
import re
import select
import shutil
import signal
import struct
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

FORMATS = {"nvfp4a16": "W4A16_NVFP4_CFG", "nvfp4": "NVFP4_DEFAULT_CFG"}
# What stays as it is, from the published recipe: towers, their projections into the text model, and the output layer.
EXCLUDED = ("*vision_tower*", "*audio_tower*", "*embed_vision*", "*embed_audio*", "*lm_head*")
# Layers that vLLM merges into one, which then has room for one global scale only.
FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
# How each group's FP8 scale is chosen. max: from its largest number. The others take the scale of least squared error:
# four-over-six of the two that put the largest number on 6 or on 4, mse of those near the largest number's, sweep of
# all there are, hessian of those near, weighing each error by the inputs that meet it. These are the searches of
# ModelOpt's recipes of the same names, which run on GPUs only; every one gives plain NVFP4.
SCALES = ("max", "four-over-six", "mse", "sweep", "hessian")
# Codes of E4M3 beside that of the largest number: a quarter less (the largest numbers are clipped) to twice as large.
NEAR = range(-3, 9)
# Middles between the magnitudes of E2M1, and these.
MIDDLES = (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)
MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
E2M1_MAX, E4M3_MAX = 6.0, 448.0
# With the largest scale at 256 there is room above for one and a half times as much (ModelOpt's E4M3_MAX_46).
E4M3_MAX_FOUR = 256.0
GROUP = 16
# Numbers that are rounded at a time, and bytes copied at a time: they bound the memory.
CHUNK = {"cpu": 1 << 22, "cuda": 1 << 26}
COPIED = 1 << 24
SHARD = 5_000_000_000
# Written anew here, so not copied from the source; everything else that is small comes along.
REPLACED = re.compile(
    r"(^\..*|\.safetensors(\.index\.json)?|\.bin|\.gguf|\.pth?|\.md|^config\.json|^hf_quant_config\.json)$"
)
OWN = ("quantize.json", "quantize.py")
DEFAULTS: dict[str, Any] = {
    "format": "nvfp4a16",
    "samples": 512,
    "batch_size": 4,
    "seq_len": 1024,
    "seed": 0,
    "exclude": [],
    "fuse_scales": True,
    "scales": "max",
}
# The exit code where source, calibration set or place won't do, as gemma-tui has it.
UNFIT = 5
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FLOATS = ("BF16", "F16", "F32")
WIDTH = {"F8_E4M3": 1, "U8": 1, "BOOL": 1, "BF16": 2, "F16": 2, "F32": 4, "I32": 4, "F64": 8, "I64": 8}


class Unfit(Exception):
    """What was given won't do; says why, and what to do, in a sentence."""


class Progress:
    """Tells how far the work is: one JSON object a line on a file descriptor, or plain lines on standard error."""

    def __init__(self, descriptor: int | None) -> None:
        self._out = os.fdopen(descriptor, "w", encoding="utf-8") if descriptor is not None else None
        self._said = ""
        self._last = ("", 0.0)

    def __call__(self, stage: str, fraction: float, text: str) -> None:
        """`stage` is load, calibrate or export; `fraction` of that stage, 0 to 1."""
        # Steps that nobody would see are not told.
        if stage == self._last[0] and fraction < min(1.0, self._last[1] + 0.005):
            return
        self._last = (stage, fraction)
        if self._out is not None:
            self._out.write(json.dumps({"stage": stage, "fraction": fraction, "text": text}) + "\n")
            self._out.flush()
        elif text != self._said:
            self._said = text
            sys.stderr.write(f"{stage}: {text}\n")

    def unfit(self, why: str) -> None:
        """Tell why it can't be done also where standard error, on a full disk, keeps nothing."""
        if self._out is not None:
            self._out.write(json.dumps({"unfit": why}) + "\n")
            self._out.flush()


@dataclass(frozen=True)
class Stored:
    """A tensor in a safetensors file: `start` in bytes from the beginning of `file`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int

    @property
    def nbytes(self) -> int:
        """Size in the file."""
        return math.prod(self.shape) * WIDTH[self.dtype]

    def read(self, first: int, rows: int) -> Any:
        """`rows` rows from row `first` on, as a torch tensor."""
        import torch

        width = self.nbytes // self.shape[0]
        buffer = torch.empty(rows * width, dtype=torch.uint8)
        with self.file.open("rb", buffering=0) as file:
            file.seek(self.start + first * width)
            view = memoryview(buffer.numpy())
            done = 0
            while done < len(view):
                got = file.readinto(view[done:])
                if not got:
                    raise Unfit(f"{self.file} is cut off: copy or download it again")
                done += got
        return buffer.view(_kind(self.dtype)).reshape(rows, *self.shape[1:])

    def mapped(self) -> Any:
        """All of it as a torch tensor whose pages are the file's; one that is written to becomes a copy."""
        import torch

        kind, count = _kind(self.dtype), math.prod(self.shape)
        if not count:
            return torch.empty(self.shape, dtype=kind)
        if self.start % WIDTH[self.dtype] == 0:
            return torch.frombuffer(_pages(self.file), dtype=kind, count=count, offset=self.start).view(self.shape)
        with self.file.open("rb") as file:
            file.seek(self.start)
            return torch.frombuffer(bytearray(file.read(self.nbytes)), dtype=kind).view(self.shape)

    def unsound(self, part: Any) -> str | None:
        """What is wrong with some of its numbers, or None; a bound may be infinite, a weight may not."""
        import torch

        if self.dtype not in FLOATS:
            return None
        values = part
        if not isinstance(part, torch.Tensor):
            count = len(part) // WIDTH[self.dtype]
            values = torch.frombuffer(bytearray(part), dtype=_kind(self.dtype), count=count)
        wrong = (~torch.isfinite(values) if self.name.endswith(".weight") else torch.isnan(values)).any()
        if not wrong:
            return None
        return f"{self.name} holds numbers that are none (NaN or infinite): give a checkpoint whose training was sound"


@functools.lru_cache
def _pages(file: Path) -> mmap.mmap:
    """A file in memory, read page by page as it is needed."""
    flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
    with file.open("rb") as opened:
        return mmap.mmap(opened.fileno(), 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)


def _kind(dtype: str) -> Any:
    import torch

    names = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64", "I32": "int32", "I64": "int64"}
    names |= {"U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn"}
    return getattr(torch, names[dtype])


def stored(folder: Path) -> dict[str, Stored]:
    """Every tensor of a checkpoint folder, by name."""
    found: dict[str, Stored] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                length = struct.unpack("<Q", file.read(8))[0]
                header = json.loads(file.read(min(length, path.stat().st_size)))
            header.pop("__metadata__", None)
            new = {
                name: Stored(name, entry["dtype"], tuple(entry["shape"]), path, 8 + length + entry["data_offsets"][0])
                for name, entry in header.items()
            }
            unknown = [tensor for tensor in new.values() if tensor.dtype not in WIDTH]
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unfit(f"{path} is damaged or no safetensors file: copy or download it again") from error
        if unknown:
            raise Unfit(f"{unknown[0].name} has the type {unknown[0].dtype}: give the checkpoint in BF16")
        twice = sorted(set(new) & set(found))
        if twice:
            raise Unfit(f"{twice[0]} is in {found[twice[0]].file.name} and in {path.name}: remove the file too many")
        found |= new
    return found


class Shards:
    """The result's weights: safetensors files of known layout, filled in any order."""

    def __init__(self, folder: Path, tensors: list[tuple[str, str, tuple[int, ...]]]) -> None:
        """`tensors` are name, type and shape; each shard holds those that follow each other, up to 5 GB."""
        shards: list[list[tuple[str, str, tuple[int, ...]]]] = [[]]
        size = 0
        for name, dtype, shape in tensors:
            nbytes = math.prod(shape) * WIDTH[dtype]
            if size and size + nbytes > SHARD:
                shards.append([])
                size = 0
            shards[-1].append((name, dtype, shape))
            size += nbytes
        self._places: dict[str, tuple[BinaryIO, int]] = {}
        names: dict[str, str] = {}
        total = 0
        self._files: list[BinaryIO] = []
        for number, content in enumerate(shards, 1):
            name = f"model-{number:05}-of-{len(shards):05}.safetensors" if len(shards) > 1 else "model.safetensors"
            total += self._lay_out(folder / name, content)
            names |= {each: name for each, _, _ in content}
        if len(shards) > 1:
            index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(names.items()))}
            text = json.dumps(index, indent=2) + "\n"
            folder.joinpath("model.safetensors.index.json").write_text(text, "utf-8")

    def _lay_out(self, path: Path, content: list[tuple[str, str, tuple[int, ...]]]) -> int:
        # The widest types first, as the safetensors library does it: so every tensor lies at a multiple of its width.
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        at = 0
        for name, dtype, shape in sorted(content, key=lambda each: (-WIDTH[each[1]], each[0])):
            end = at + math.prod(shape) * WIDTH[dtype]
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
            at = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        file = path.open("w+b", buffering=0)
        self._files.append(file)
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
        for name, entry in header.items():
            if name != "__metadata__":
                self._places[name] = (file, 8 + len(text) + entry["data_offsets"][0])
        return at

    def write(self, name: str, offset: int, data: Any) -> int:
        """Put bytes (a buffer, or a torch tensor) at `offset` of a tensor; returns where they end."""
        if not isinstance(data, (bytes, memoryview)):
            import torch

            flat = data.detach().reshape(-1).contiguous().cpu()
            data = memoryview(flat.view(torch.uint8).numpy())
        file, start = self._places[name]
        file.seek(start + offset)
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
        return offset + len(data)

    def close(self) -> None:
        """Bring everything to the disk."""
        for file in self._files:
            os.fsync(file.fileno())
            file.close()


def architecture(source: Path) -> Any:
    """The source's own model class."""
    import transformers

    names = json.loads(source.joinpath("config.json").read_text("utf-8")).get("architectures") or []
    kind = getattr(transformers, names[0], None) if names else None
    if kind is None:
        named = ", ".join(map(str, names)) or "none"
        raise Unfit(
            f"transformers {transformers.__version__} does not know the architecture {named}: install a newer runtime, "
            "or correct config.json"
        )
    return kind


def recipe(options: argparse.Namespace) -> Any:
    """ModelOpt's config of the format with the exclusions of the published recipe and those asked for."""
    import modelopt.torch.quantization as mtq

    config = copy.deepcopy(getattr(mtq, FORMATS[options.format]))
    # ModelOpt compares with the names of quantizers; people name layers.
    for pattern in (*EXCLUDED, *options.exclude, *(f"{pattern}.*" for pattern in options.exclude)):
        config["quant_cfg"].append({"quantizer_name": pattern, "enable": False})
    return config


def core(name: str) -> str:
    """A tensor's or module's name without the words that move from release to release of transformers."""
    return ".".join(part for part in name.split(".") if part not in ("model", "language_model"))


@dataclass(frozen=True)
class Decision:
    """What ModelOpt would do: `layers` maps names in the checkpoint to modules; `kept` are tensors that stay."""

    layers: dict[str, str]
    kept: list[str]
    hf_quant_config: dict[str, Any]
    quantization_config: dict[str, Any]


def decide(source: Path, tensors: dict[str, Stored], options: argparse.Namespace) -> Decision:
    """Ask ModelOpt on a model without weights, so without the memory for them."""
    import modelopt.torch.quantization as mtq
    import torch
    from modelopt.torch.export.convert_hf_config import convert_hf_quant_config_format
    from modelopt.torch.export.quant_utils import get_quant_config
    from transformers import AutoConfig

    kind = architecture(source)
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=True)
        with torch.device("meta"):
            model = kind(config)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OSError) as error:
        said = " ".join(str(error).split())
        raise Unfit(f"config.json describes no model that transformers can build ({said[:200]})") from error
    wanted = {core(name) for name in model.state_dict()}
    tied = {core(name) for name in (getattr(model, "_tied_weights_keys", None) or {})}
    if not config.get_text_config().tie_word_embeddings:
        tied = set()
    _compare(source, tensors, {core(name): tuple(value.shape) for name, value in model.named_parameters()}, tied)
    mtq.quantize(model, recipe(options) | {"algorithm": None})
    modules = {
        f"{core(name)}.weight": name
        for name, module in model.named_modules()
        if getattr(getattr(module, "weight_quantizer", None), "is_enabled", False)
    }
    layers, kept = {}, []
    for name in tensors:
        if core(name) in modules:
            layers[name.removesuffix(".weight")] = modules[core(name)]
        elif core(name) in wanted - tied:
            kept.append(name)
    missing = set(modules.values()) - set(layers.values())
    if missing:
        raise Unfit(f"{source} lacks the weights of {sorted(missing)[0]}: copy or download it again")
    said = get_quant_config(model)
    return Decision(layers, kept, said, convert_hf_quant_config_format(said))


def _compare(source: Path, tensors: dict[str, Stored], wanted: dict[str, tuple[int, ...]], tied: set[str]) -> None:
    """Hold the file's tensors against the parameters that config.json asks for; Unfit where they do not fit."""
    there = {core(name): tensor for name, tensor in tensors.items()}
    for name, shape in wanted.items():
        tensor = there.get(name)
        if tensor is None:
            if name not in tied:
                raise Unfit(f"{source} lacks {name}, which its config.json asks for: copy or download it again")
        elif tensor.shape != shape:
            raise Unfit(f"{tensor.name} has the shape {list(tensor.shape)} where config.json asks for {list(shape)}")
        elif tensor.dtype not in FLOATS:
            raise Unfit(f"{tensor.name} has the type {tensor.dtype}: give the checkpoint in BF16, FP16 or FP32")


def load(source: Path, tensors: dict[str, Stored], device: str, progress: Progress) -> Any:
    """The source's model with its weights, in the dtype they are stored in; on a CPU they stay the file's own pages."""
    import tqdm.auto

    plain = tqdm.auto.tqdm

    class Told(plain):  # type: ignore[misc, valid-type]
        """transformers shows how far loading is on such a bar."""

        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            if self.total:
                progress("load", 0.1 + 0.9 * min(1.0, self.n / self.total), "loading the checkpoint")
            return shown

    tqdm.auto.tqdm = Told
    # Read as usual, weights would be in memory twice: in the file's pages and as copies.
    given: dict[str, Any] = {"device_map": device}
    name: Path | None = source
    if device == "cpu":
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(source, local_files_only=True)
        given = {"config": config, "state_dict": {name: tensor.mapped() for name, tensor in tensors.items()}}
        name = None
    try:
        return (
            architecture(source)
            .from_pretrained(name, dtype="auto", local_files_only=True, **given)
            .eval()
            .requires_grad_(False)
        )
    finally:
        tqdm.auto.tqdm = plain


@dataclass(frozen=True)
class Sample:
    """One thing to show the model: text, and a picture or a clip that goes with it."""

    text: str
    image: Path | None = None
    audio: Path | None = None


def samples(calib: Path) -> list[Sample]:
    """Each line of a text file; of JSON lines the `text`, or the first string there is, with `image` and `audio`."""
    lines = calib.read_text("utf-8").splitlines()
    if calib.suffix not in (".jsonl", ".json"):
        return [Sample(line) for line in lines if line.strip()]
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        fields = row if isinstance(row, dict) else {"text": row}
        media = {kind: calib.parent / fields[kind] for kind in ("image", "audio") if isinstance(fields.get(kind), str)}
        rest = [value for kind, value in fields.items() if kind not in media]
        strings = [value for value in (fields.get("text"), *rest) if isinstance(value, str)]
        if not strings and not media:
            raise Unfit(f"{calib.name}, line {number}: there is no text in it")
        missing = [str(path) for path in media.values() if not path.is_file()]
        if missing:
            raise Unfit(f"{calib.name}, line {number}: there is no file {missing[0]}")
        found.append(Sample(strings[0] if strings else "", **media))
    return found


class Shown:
    """Turns samples into what the model takes: text in batches, a picture or a clip with its text by itself."""

    def __init__(self, source: Path, options: argparse.Namespace) -> None:
        from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
        self._eyes: Any = None
        self._ears: Any = None
        # Not AutoProcessor, which wants torchvision for the sake of video.
        with contextlib.suppress(Exception):
            self._eyes = AutoImageProcessor.from_pretrained(source, local_files_only=True, backend="pil")
        with contextlib.suppress(Exception):
            self._ears = AutoFeatureExtractor.from_pretrained(source, local_files_only=True)
        found = [sample for calib in options.calib for sample in samples(calib)]
        texts = [sample for sample in found if not (sample.image or sample.audio)]
        chosen = random.Random(options.seed).sample(texts, min(options.samples, len(texts)))
        self._texts = [chosen[at : at + options.batch_size] for at in range(0, len(chosen), options.batch_size)]
        self._media = [sample for sample in found if self._takes(sample)]
        self._width = options.seq_len
        self.count = len(chosen) + len(self._media)
        self.counts = {
            "texts": len(chosen),
            "pictures": sum(1 for sample in self._media if sample.image),
            "clips": sum(1 for sample in self._media if sample.audio),
        }
        if not self.count:
            raise Unfit(f"{', '.join(map(str, options.calib))}: there is nothing in it that this model takes")

    def _takes(self, sample: Sample) -> bool:
        names = [name for name, given in (("image_token", sample.image), ("audio_token", sample.audio)) if given]
        able = (self._eyes or not sample.image) and (self._ears or not sample.audio)
        return bool(names and able and all(getattr(self._tokenizer, name, None) for name in names))

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """How many samples, and the model's arguments for them."""
        import torch

        for batch in self._texts:
            rows = [self._tokenizer(sample.text).input_ids[: self._width] for sample in batch]
            width = max(map(len, rows))
            pad = self._tokenizer.pad_token_id or 0
            yield (
                len(batch),
                {
                    "input_ids": torch.tensor([row + [pad] * (width - len(row)) for row in rows]),
                    "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
                },
            )
        for sample in self._media:
            yield 1, self._with_media(sample)

    def _with_media(self, sample: Sample) -> dict[str, Any]:
        """Gemma 4's inputs: placeholders as many as the towers will give soft tokens, or one in front of the text."""
        import torch

        words, text = self._tokenizer, sample.text
        given: dict[str, Any] = {}
        if sample.image:
            made = self._eyes(images=[_picture(sample.image)], return_tensors="pt")
            count = int(made.pop("num_soft_tokens_per_image")[0])
            text = text if words.image_token in text else f"{words.image_token}\n{text}"
            text = text.replace(words.image_token, f"{words.boi_token}{words.image_token * count}{words.eoi_token}", 1)
            given |= dict(made)
        if sample.audio:
            sound, rate = _clip(sample.audio)
            made = self._ears([sound], sampling_rate=rate, return_tensors="pt")
            mask = made["input_features_mask"][0]
            for _ in range(2):  # two convolutions of stride two
                mask = mask[::2]
            count = int(mask.sum())
            text = text if words.audio_token in text else f"{words.audio_token}\n{text}"
            text = text.replace(words.audio_token, f"{words.boa_token}{words.audio_token * count}{words.eoa_token}", 1)
            given |= dict(made)
        ids = torch.tensor([words(text).input_ids])
        kinds = torch.zeros_like(ids)
        for number, name in ((1, "image_token_id"), (3, "audio_token_id")):
            if (token := getattr(words, name, None)) is not None:
                kinds[ids == token] = number
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": kinds, **given}


def _picture(path: Path) -> Any:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise Unfit(f"{path} can't be read as a picture: take it out of the calibration set") from error


def _clip(path: Path) -> tuple[Any, int]:
    import soundfile

    try:
        sound, rate = soundfile.read(path, dtype="float32")
    except (OSError, RuntimeError) as error:
        raise Unfit(f"{path} can't be read as sound: take it out of the calibration set") from error
    if not len(sound):
        raise Unfit(f"{path} holds no sound: take it out of the calibration set")
    return (sound if sound.ndim == 1 else sound.mean(-1)), rate


def calibrate(
    source: Path,
    tensors: dict[str, Stored],
    layers: dict[str, str],
    options: argparse.Namespace,
    device: str,
    progress: Progress,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
    """Show samples to the model: FP32 scales of each layer's inputs, Hessians (blocks, 16, 16), and how many samples.

    Scales are for nvfp4 only, Hessians for their own kind of search only; both by the name in the checkpoint.
    """
    import modelopt.torch.quantization as mtq
    import torch
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    progress("load", 0.1, "loading the checkpoint")
    model = load(source, tensors, device, progress)
    shown = Shown(source, options)
    modules = dict(model.named_modules())
    hessians: dict[str, Any] = {}
    real: list[Any] = []

    def listen(name: str) -> Callable[[Any, tuple[Any, ...]], None]:
        def add(_: Any, given: tuple[Any, ...]) -> None:
            inputs = given[0].detach()
            inputs = inputs[real[0]] if inputs.shape[:2] == real[0].shape else inputs.flatten(0, -2)
            blocks = inputs.float().unflatten(-1, (-1, GROUP)).transpose(0, 1)
            product = blocks.transpose(1, 2) @ blocks
            hessians[name] = hessians[name] + product if name in hessians else product

        return add

    hooks = []
    if options.scales == "hessian":
        hooks = [modules[module].register_forward_pre_hook(listen(name)) for name, module in layers.items()]
    # Without the output layer, which is not rounded: over a quarter of a million words it takes gigabytes on a CPU.
    inner = getattr(model, model.base_model_prefix)
    known = inspect.signature(type(inner).forward).parameters

    def loop(_: Any) -> None:
        done = 0
        for count, batch in shown:
            real[:] = [batch["attention_mask"].bool().to(device)]
            given = {
                name: value.to(device, model.dtype if value.is_floating_point() else value.dtype)
                for name, value in batch.items()
                if name in known
            }
            inner(**given, use_cache=False)
            done += count
            progress("calibrate", done / shown.count, f"calibrating: {done} of {shown.count} samples")

    scales: dict[str, Any] = {}
    with torch.no_grad():
        if options.format == "nvfp4":
            mtq.quantize(model, recipe(options), loop)
            for name, module in layers.items():
                scale = NVFP4QTensor.get_activation_scaling_factor(modules[module].input_quantizer)
                scales[name] = scale.squeeze().float().cpu()
        else:
            loop(model)
    for hook in hooks:
        hook.remove()
    return scales, hessians, shown.counts


def groups_of(layers: dict[str, str], fused: bool) -> list[list[str]]:
    """The layers in groups that get one global scale."""
    made: dict[str, list[str]] = {}
    for name in sorted(layers):
        parent, _, leaf = name.rpartition(".")
        number = next((number for number, names in enumerate(FUSED) if leaf in names and fused), leaf)
        made.setdefault(f"{parent}.{number}", []).append(name)
    return list(made.values())


def chunks(tensor: Stored, device: str) -> Iterator[tuple[int, Any]]:
    """Rows of a matrix, a bounded number at a time, with the number of the first."""
    step = max(1, CHUNK[device] // tensor.shape[1])
    for first in range(0, tensor.shape[0], step):
        yield first, tensor.read(first, min(step, tensor.shape[0] - first)).to(device)


def round_group(
    names: list[str],
    tensors: dict[str, Stored],
    shards: Shards,
    options: argparse.Namespace,
    device: str,
    hessians: dict[str, Any],
) -> None:
    """Round layers under one global scale, the range of them all, and write them."""
    import torch
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    members = [tensors[f"{name}.weight"] for name in names]
    tops = []
    for each in members:
        for _, part in chunks(each, device):
            if wrong := each.unsound(part):
                raise Unfit(wrong)
            tops.append(part.abs().max().float())
    top = torch.stack(tops).max()
    top = top.clamp(min=torch.finfo(torch.float32).tiny)
    overall = top / (E2M1_MAX * (E4M3_MAX_FOUR if options.scales == "four-over-six" else E4M3_MAX))
    for name, tensor in zip(names, members, strict=True):
        at, at_scale = 0, 0
        for _, part in chunks(tensor, device):
            if options.scales == "max":
                scale, _ = NVFP4QTensor.get_weights_scaling_factor(part, GROUP, overall)
            else:
                scale = searched(part, overall, options.scales, hessians.get(name))
            packed, _, _ = NVFP4QTensor.quantize(part, GROUP, scale, overall)
            at = shards.write(f"{name}.weight", at, packed._quantized_data)
            at_scale = shards.write(f"{name}.weight_scale", at_scale, scale)
        shards.write(f"{name}.weight_scale_2", 0, overall)


def searched(part: Any, overall: Any, kind: str, hessian: Any) -> Any:
    """FP8 scales (N, K/16) of least squared error for rows (N, K); `hessian` (K/16, 16, 16) weighs the errors."""
    import torch

    size = part.float().unflatten(-1, (-1, GROUP))
    largest = size.abs().amax(-1)
    plain = (largest / (E2M1_MAX * overall)).clamp(2.0**-9, E4M3_MAX).to(torch.float8_e4m3fn)
    start = plain.view(torch.uint8).int()
    if kind == "four-over-six":
        wider = (largest / (4 * overall)).clamp(2.0**-9, E4M3_MAX).to(torch.float8_e4m3fn)
        candidates: Any = (start, wider.view(torch.uint8).int())
    elif kind == "sweep":
        candidates = (torch.full_like(start, code) for code in range(1, 0x7F))
    else:
        candidates = (start + offset for offset in NEAR)
    middles = torch.tensor(MIDDLES, device=part.device)
    magnitudes = torch.tensor(MAGNITUDES, device=part.device)
    best = torch.full(start.shape, math.inf, device=part.device)
    found = torch.ones_like(best)
    for codes in candidates:
        # Positive codes of E4M3 are in the order of their values; 0 and the one NaN are left out.
        scale = codes.clamp(1, 0x7E).to(torch.uint8).view(torch.float8_e4m3fn).float()
        step = (scale * overall).unsqueeze(-1)
        error = magnitudes[torch.bucketize(size.abs() / step, middles)] * step * size.sign() - size
        if hessian is None:
            loss = (error * error).sum(-1)
        else:
            loss = (torch.einsum("nbi,bij->nbj", error, hessian) * error).sum(-1)
        better = loss < best
        best = torch.where(better, loss, best)
        found = torch.where(better, scale, found)
    return torch.where(largest > 0, found, torch.ones_like(found)).to(torch.float8_e4m3fn)


def export(
    target: Path,
    tensors: dict[str, Stored],
    decision: Decision,
    scales: dict[str, Any],
    hessians: dict[str, Any],
    options: argparse.Namespace,
    device: str,
    progress: Progress,
) -> None:
    """Write the weights, one group of layers and one tensor at a time."""
    content: list[tuple[str, str, tuple[int, ...]]] = []
    for name, tensor in tensors.items():
        layer = name.removesuffix(".weight")
        if layer in decision.layers:
            rows, width = tensor.shape
            content.append((name, "U8", (rows, width // 2)))
            content.append((f"{layer}.weight_scale", "F8_E4M3", (rows, width // GROUP)))
            content.append((f"{layer}.weight_scale_2", "F32", ()))
            content += [(f"{layer}.input_scale", "F32", ())] if layer in scales else []
        elif name in decision.kept:
            content.append((name, tensor.dtype, tensor.shape))
    shards = Shards(target, content)
    total = sum(tensor.nbytes for tensor in tensors.values())
    done = 0
    for names in groups_of(decision.layers, options.fuse_scales):
        round_group(names, tensors, shards, options, device, hessians)
        for name in names:
            if name in scales:
                shards.write(f"{name}.input_scale", 0, scales[name])
            done += tensors[f"{name}.weight"].nbytes
        progress("export", done / total, "rounding and writing")
    for name in decision.kept:
        tensor, at = tensors[name], 0
        with tensor.file.open("rb", buffering=0) as file:
            file.seek(tensor.start)
            while at < tensor.nbytes:
                data = file.read(min(COPIED, tensor.nbytes - at))
                if not data:
                    raise Unfit(f"{tensor.file} is cut off: copy or download it again")
                if wrong := tensor.unsound(data):
                    raise Unfit(wrong)
                at = shards.write(name, at, data)
                progress("export", (done + at) / total, "rounding and writing")
        done += tensor.nbytes
    shards.close()


def copy_rest(source: Path, target: Path) -> None:
    """Bring tokenizer, processor, generation config, chat template and licence along, byte for byte."""
    for path in sorted(source.iterdir()):
        if path.is_file() and not REPLACED.search(path.name) and path.name not in OWN:
            shutil.copyfile(path, target / path.name)


def write_configs(source: Path, target: Path, decision: Decision) -> None:
    """config.json is the source's with the quantization config added: readers as old as the source's can read it."""
    config = json.loads(source.joinpath("config.json").read_text("utf-8"))
    config["quantization_config"] = decision.quantization_config
    target.joinpath("hf_quant_config.json").write_text(json.dumps(decision.hf_quant_config, indent=4), "utf-8")
    target.joinpath("config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record(source: Path, options: argparse.Namespace, device: str, counts: dict[str, int] | None) -> dict[str, Any]:
    """What made the checkpoint, as written to quantize.json; holds no path and no date, so it can be made again."""
    names = ("nvidia-modelopt", "safetensors", "tokenizers", "torch", "transformers")
    files = {path.name: digest(path) for path in options.calib} if counts else {}
    return {
        "format": options.format,
        "options": {name: getattr(options, name) for name in DEFAULTS if name != "format"},
        "calibration": {"name": options.calib_name, "files": files, **counts} if counts else None,
        "source": {
            "name": options.source_name or source.resolve().name,
            "files": {path.name: digest(path) for path in sorted(source.glob("*.safetensors"))},
        },
        "device": device,
        "versions": {name: importlib.metadata.version(name) for name in names} | {"python": platform.python_version()},
    }


def parse() -> argparse.Namespace:
    """The command line; options that are left out come from quantize.json beside this script, if it is there."""
    beside = Path(__file__).with_name("quantize.json")
    kept: dict[str, Any] = {}
    if beside.is_file():
        recorded = json.loads(beside.read_text("utf-8"))
        kept = {**recorded["options"], "format": recorded["format"], "source_name": recorded["source"]["name"]}
        kept["calib_name"] = (recorded.get("calibration") or {}).get("name", "")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="SRC")
    parser.add_argument("target", type=Path, metavar="DST")
    parser.add_argument("--format", choices=FORMATS)
    parser.add_argument("--scales", choices=SCALES, help="how each group's scale is chosen")
    parser.add_argument(
        "--separate-scales",
        dest="fuse_scales",
        action="store_false",
        help="a global scale for each layer, as the published checkpoint has",
    )
    parser.add_argument("--exclude", action="append", metavar="PATTERN", help="more layers that stay as they are")
    parser.add_argument(
        "--calib",
        type=Path,
        action="append",
        metavar="FILE",
        help="text file, one text a line, or JSON lines with `text`, and `image` or `audio` files; may be repeated",
    )
    parser.add_argument("--calib-name", default="", help="what the calibration set is called in quantize.json")
    parser.add_argument("--samples", type=int, help="calibration texts; pictures and clips are all taken")
    parser.add_argument("--batch-size", type=int, help="texts at a time")
    parser.add_argument("--seq-len", type=int, help="tokens of a calibration text that are used")
    parser.add_argument("--seed", type=int, help="order of the calibration texts")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--source-name", help="name of the source for quantize.json")
    parser.add_argument("--progress-fd", type=int, help="file descriptor for progress as JSON lines")
    parser.set_defaults(**{**DEFAULTS, "exclude": None, **kept})
    options = parser.parse_args()
    options.exclude = options.exclude or []
    options.calib = options.calib or []
    if options.format == "nvfp4" and not options.calib:
        raise Unfit("nvfp4 rounds activations: give it text to see their range, with --calib FILE")
    if options.scales == "hessian" and not options.calib:
        raise Unfit("--scales hessian weighs errors by a layer's inputs: give it text, with --calib FILE")
    return options


def make(source: Path, target: Path, options: argparse.Namespace, progress: Progress) -> None:
    """Quantise into the empty folder `target`."""
    import torch

    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    progress("load", 0.05, "reading the checkpoint's headers")
    tensors = stored(source)
    decision = decide(source, tensors, options)
    scales: dict[str, Any] = {}
    hessians: dict[str, Any] = {}
    counts = None
    if options.format == "nvfp4" or options.scales == "hessian":
        scales, hessians, counts = calibrate(source, tensors, decision.layers, options, device, progress)
    with torch.no_grad():
        export(target, tensors, decision, scales, hessians, options, device, progress)
    copy_rest(source, target)
    written = json.dumps(record(source, options, device, counts), indent=2)
    target.joinpath("quantize.json").write_text(written + "\n", "utf-8")
    # Last, since a folder with this file counts as a checkpoint.
    write_configs(source, target, decision)


def watch(descriptor: int, building: Path) -> None:
    """Once nobody listens any more, remove what is half made and end: whoever asked for it was killed."""
    poll = select.poll()
    poll.register(descriptor, 0)  # what is always told: that the other end is gone
    poll.poll()
    shutil.rmtree(building, ignore_errors=True)
    os._exit(1)


def run(options: argparse.Namespace) -> None:
    """Quantise as the options say, and leave no half result."""
    progress = Progress(options.progress_fd)
    target = options.target.absolute()
    if target.exists() and any(target.iterdir()):
        raise Unfit(f"{options.target} is not empty: give a folder that does not exist yet")
    building = target.with_name(f".{target.name}.partial-{os.getpid()}")
    building.mkdir(parents=True)
    if options.progress_fd is not None:
        threading.Thread(target=watch, args=(options.progress_fd, building), daemon=True).start()
    # Without it CUDA's matrix products, and so the ranges of activations, may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    warnings.simplefilter("ignore")
    try:
        progress("load", 0.0, "importing torch and ModelOpt")
        with contextlib.redirect_stdout(sys.stderr):
            import modelopt.torch.quantization  # noqa: F401 - the slow part of what follows

            make(options.source, building, options, progress)
        if target.exists():
            target.rmdir()
        building.replace(target)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        why = f"there is no room left on the disk ({error.strerror}): free some, or give a folder on another one"
        progress.unfit(why)
        raise Unfit(why) from error
    except Unfit as why:
        progress.unfit(str(why))
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    progress("export", 1.0, "written")


def main() -> None:
    """Quantise as the command line says; ends with a sentence where that cannot be."""
    # So that what is half made is removed then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        run(parse())
    except Unfit as why:
        sys.stderr.write(f"{why}\n")
        sys.exit(UNFIT)


if __name__ == "__main__":
    main()
