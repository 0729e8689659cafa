#!/usr/bin/env python3
"""Turn a BF16 checkpoint into an NVFP4 one with NVIDIA ModelOpt, and with nothing of gemma-tui's.

    quantize.py SRC DST [--format nvfp4a16|nvfp4] [--samples 512] [--batch-size 4] [--seq-len 1024] [--calib FILE] ...

Needs torch, transformers and nvidia-modelopt. nvfp4a16 rounds weights only; nvfp4 rounds activations too and needs text
to see their range. Both round E2M1 numbers in groups of 16, each with an FP8 scale, each layer with one FP32 scale.
Where a `quantize.json` stands beside this script, its options are the defaults: so a checkpoint is made again. The same
source, options and versions give the same bytes on the same kind of machine.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import random
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FORMATS = {"nvfp4a16": "W4A16_NVFP4_CFG", "nvfp4": "NVFP4_DEFAULT_CFG"}
# What stays as it is, from the published recipe: towers, their projections into the text model, and the output layer.
EXCLUDED = ("*vision_tower*", "*audio_tower*", "*embed_vision*", "*embed_audio*", "*lm_head*")
# Layers that vLLM merges into one, which then has room for one global scale only.
FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
# How each group's FP8 scale is chosen: from its largest number, or as the one of least squared error among those near
# it. ModelOpt has such a search too (its MSE configs), but only for GPUs. Both give plain NVFP4.
SCALES = ("max", "mse")
# The search goes from 3 codes of E4M3 below (a quarter less, the largest numbers are clipped) to 8 above (twice as
# large), which holds the choice of putting the largest number on 4 instead of 6.
SEARCHED = range(-3, 9)
# Middles between the magnitudes of E2M1, and these.
MIDDLES = (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)
MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
GROUP = 16
# Groups that are searched at a time, which bounds the memory to some 200 MB.
CHUNK = 1 << 18
# Written anew here, so not copied from the source; everything else that is small comes along.
REPLACED = re.compile(
    r"(^\..*|\.safetensors(\.index\.json)?|\.bin|\.gguf|\.pth?|\.md|^config\.json|^hf_quant_config\.json)$"
)
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


class Progress:
    """Tells how far the work is: one JSON object a line on a file descriptor, or plain lines on standard error."""

    def __init__(self, descriptor: int | None) -> None:
        self._out = os.fdopen(descriptor, "w", encoding="utf-8") if descriptor is not None else None

    def __call__(self, stage: str, fraction: float, text: str) -> None:
        """`stage` is load, calibrate, quantize or export; `fraction` of the whole work, 0 to 1."""
        if self._out is None:
            sys.stderr.write(f"{fraction:4.0%} {text}\n")
            return
        self._out.write(json.dumps({"stage": stage, "fraction": fraction, "text": text}) + "\n")
        self._out.flush()


def load(source: Path, device: str) -> Any:
    """The source's own model class with its weights, in the dtype they are stored in."""
    import transformers

    names = json.loads(source.joinpath("config.json").read_text("utf-8")).get("architectures") or []
    kind = getattr(transformers, names[0], None) if names else None
    if kind is None:
        raise SystemExit(f"transformers {transformers.__version__} does not know the architecture {names}")
    return kind.from_pretrained(source, dtype="auto", device_map=device, local_files_only=True).eval()


def texts(calib: Path) -> list[str]:
    """Calibration texts: each line of a text file; of JSON lines the `text`, or the first string there is."""
    lines = calib.read_text("utf-8").splitlines()
    if calib.suffix not in (".jsonl", ".json"):
        return [line for line in lines if line.strip()]
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        fields = row if isinstance(row, dict) else {"text": row}
        strings = [value for value in (fields.get("text"), *fields.values()) if isinstance(value, str)]
        if not strings:
            raise SystemExit(f"{calib.name}, line {number}: there is no text in it")
        found.append(strings[0])
    return found


def batches(source: Path, lines: list[str], options: argparse.Namespace) -> Iterator[Any]:
    """Token batches of `batch_size` x at most `seq_len`: up to `samples` texts in a seeded order, each once."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    wanted = random.Random(options.seed).sample(lines, min(options.samples, len(lines)))
    for start in range(0, len(wanted), options.batch_size):
        rows = [tokenizer(text).input_ids[: options.seq_len] for text in wanted[start : start + options.batch_size]]
        width = max(map(len, rows))
        pad = tokenizer.pad_token_id or 0
        yield {
            "input_ids": torch.tensor([row + [pad] * (width - len(row)) for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
        }


def calibration(source: Path, options: argparse.Namespace, progress: Progress) -> Callable[[Any], None] | None:
    """The forward loop that shows activations to the quantiser; None where only weights are rounded."""
    if options.format == "nvfp4a16":
        return None
    if options.calib is None:
        raise SystemExit("nvfp4 rounds activations: give it text to see their range, with --calib FILE")
    lines = texts(options.calib)
    if not lines:
        raise SystemExit(f"{options.calib} holds no text")

    def loop(model: Any) -> None:
        import torch

        done, total = 0, min(options.samples, len(lines))
        with torch.no_grad():
            for batch in batches(source, lines, options):
                model(**{name: values.to(model.device) for name, values in batch.items()})
                done += len(batch["input_ids"])
                progress("calibrate", 0.2 + 0.5 * done / total, f"calibrating: {done} of {total} samples")

    return loop


def recipe(options: argparse.Namespace) -> Any:
    """ModelOpt's config of the format with the exclusions of the published recipe and those asked for."""
    import copy

    import modelopt.torch.quantization as mtq

    config = copy.deepcopy(getattr(mtq, FORMATS[options.format]))
    for pattern in (*EXCLUDED, *options.exclude):
        config["quant_cfg"].append({"quantizer_name": pattern, "enable": False})
    return config


def fuse_scales(model: Any) -> int:
    """Give each group of layers that vLLM merges the largest of its members' ranges; returns how many groups.

    The global scale follows from this range, so it is the same for the group before anything is rounded.
    """
    import torch

    groups = 0
    for module in model.modules():
        for names in FUSED:
            found = [getattr(getattr(module, name, None), "weight_quantizer", None) for name in names]
            ranged = [each for each in found if each is not None and each.is_enabled and hasattr(each, "_amax")]
            if len(ranged) < 2:
                continue
            largest = torch.stack([each._amax.float().max() for each in ranged]).max()
            for each in ranged:
                each._amax.fill_(largest)
            groups += 1
    return groups


def search_scales(model: Any, progress: Progress) -> None:
    """Choose each group's scale by least squared error, and hand it to ModelOpt as that group's range.

    ModelOpt's export takes a quantizer with `_global_amax` for one whose groups have ranges of their own, and writes
    the scale that follows from them (NVFP4QTensor.get_weights_scaling_factor_from_quantizer).
    """
    import torch

    layers = [
        module
        for module in model.modules()
        if getattr(module, "weight_quantizer", None) is not None and hasattr(module.weight_quantizer, "_amax")
    ]
    for number, layer in enumerate(layers):
        quantizer = layer.weight_quantizer
        top = quantizer._amax.float().max()
        global_scale = top / (6 * 448)
        groups = layer.weight.detach().reshape(-1, GROUP)
        chosen = [best_scales(part.float(), global_scale) for part in groups.split(CHUNK)]
        quantizer._global_amax = top
        quantizer._amax = torch.cat(chosen).reshape(*layer.weight.shape[:-1], -1) * (6 * global_scale)
        progress("quantize", 0.7 + 0.1 * (number + 1) / len(layers), f"choosing scales: {number + 1} of {len(layers)}")


def best_scales(groups: Any, global_scale: Any) -> Any:
    """FP8 scales, as FP32 of shape (n,), of least squared error for `groups` of shape (n, 16)."""
    import torch

    middles = torch.tensor(MIDDLES, device=groups.device)
    magnitudes = torch.tensor(MAGNITUDES, device=groups.device)
    size = groups.abs()
    start = (size.amax(-1) / (6 * global_scale)).clamp(2.0**-9, 448).to(torch.float8_e4m3fn).view(torch.uint8)
    best = torch.full(start.shape, float("inf"), device=groups.device)
    found = torch.ones_like(best)
    for offset in SEARCHED:
        # Positive codes of E4M3 are in the order of their values; 0 and the one NaN are left out.
        scale = (start.int() + offset).clamp(1, 0x7E).to(torch.uint8).view(torch.float8_e4m3fn).float()
        step = (scale * global_scale).unsqueeze(-1)
        error = ((magnitudes[torch.bucketize(size / step, middles)] * step - size) ** 2).sum(-1)
        better = error < best
        best = torch.where(better, error, best)
        found = torch.where(better, scale, found)
    return torch.where(size.amax(-1) > 0, found, torch.ones_like(found))


def copy_rest(source: Path, target: Path) -> None:
    """Bring tokenizer, processor, generation config, chat template and licence along, byte for byte."""
    for path in sorted(source.iterdir()):
        if path.is_file() and not REPLACED.search(path.name) and path.name != "quantize.json":
            shutil.copyfile(path, target / path.name)


def write_config(source: Path, target: Path) -> None:
    """config.json is the source's with the quantization config added: readers as old as the source's can read it."""
    written = json.loads(target.joinpath("config.json").read_text("utf-8"))
    config = json.loads(source.joinpath("config.json").read_text("utf-8"))
    config["quantization_config"] = written["quantization_config"]
    target.joinpath("config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def umask() -> int:
    """This process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record(source: Path, options: argparse.Namespace, device: str) -> dict[str, Any]:
    """What made the checkpoint, as written to quantize.json; holds no path and no date, so it can be made again."""
    names = ("nvidia-modelopt", "safetensors", "tokenizers", "torch", "transformers")
    calibrated = options.format != "nvfp4a16"
    return {
        "format": options.format,
        "options": {name: getattr(options, name) for name in DEFAULTS if name != "format"},
        "calibration": {"sha256": digest(options.calib)} if calibrated else None,
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
    stored: dict[str, Any] = {}
    if beside.is_file():
        recorded = json.loads(beside.read_text("utf-8"))
        stored = {**recorded["options"], "format": recorded["format"], "source_name": recorded["source"]["name"]}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="SRC")
    parser.add_argument("target", type=Path, metavar="DST")
    parser.add_argument("--format", choices=FORMATS)
    parser.add_argument("--samples", type=int, help="calibration texts")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seq-len", type=int, help="tokens of a calibration text that are used")
    parser.add_argument("--seed", type=int, help="order of the calibration texts")
    parser.add_argument("--calib", type=Path, help="text file, one text a line, or JSON lines with a `text` each")
    parser.add_argument("--exclude", action="append", metavar="PATTERN", help="more layers that stay as they are")
    parser.add_argument("--scales", choices=SCALES, help="how each group's scale is chosen")
    parser.add_argument("--separate-scales", dest="fuse_scales", action="store_false", help="as ModelOpt alone does")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--source-name", help="name of the source for quantize.json")
    parser.add_argument("--progress-fd", type=int, help="file descriptor for progress as JSON lines")
    parser.set_defaults(**{**DEFAULTS, "exclude": None, **stored})
    options = parser.parse_args()
    options.exclude = options.exclude or []
    return options


def main() -> None:
    """Quantise as the command line says; ends with a sentence where that cannot be."""
    options = parse()
    progress = Progress(options.progress_fd)
    if options.target.exists() and any(options.target.iterdir()):
        raise SystemExit(f"{options.target} is not empty")
    progress("load", 0.0, "importing torch and ModelOpt")
    # Without it CUDA's matrix products, and so the ranges of activations, may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(sys.stderr):
        import modelopt.torch.quantization as mtq
        import torch
        from modelopt.torch.export import export_hf_checkpoint

        torch.manual_seed(options.seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        device = options.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        progress("load", 0.05, "loading the checkpoint")
        model = load(options.source, device)
        progress("calibrate", 0.2, "finding the range of each layer")
        with torch.no_grad():
            mtq.quantize(model, recipe(options), calibration(options.source, options, progress))
            progress("quantize", 0.7, "choosing scales")
            if options.fuse_scales:
                fuse_scales(model)
            if options.scales == "mse":
                search_scales(model, progress)
            progress("export", 0.8, "rounding and writing")
            options.target.mkdir(parents=True, exist_ok=True)
            export_hf_checkpoint(model, export_dir=options.target)
    copy_rest(options.source, options.target)
    write_config(options.source, options.target)
    for path in options.target.glob("*.safetensors"):
        path.chmod(0o666 & ~umask())  # they come out readable by the owner alone
    # config.json's own bytes matter to readers, the rest of the record to people: last, since it says "done".
    written = json.dumps(record(options.source, options, device), indent=2)
    options.target.joinpath("quantize.json").write_text(written + "\n", "utf-8")
    progress("export", 1.0, "written")


if __name__ == "__main__":
    main()
