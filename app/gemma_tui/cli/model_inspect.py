"""`gemma-tui model inspect`: what a checkpoint is, from its headers alone."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.checkpoint.header import Checkpoint
    from gemma_backend.checkpoint.inspect import Inspection

# Longer lists are cut in the text and whole in the JSON.
_SHOWN = 6


def add_inspect_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `model inspect`."""
    parser.add_argument("checkpoint", metavar="PATH|REPO[@REVISION]", help="folder, or repository on the model hub")
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run_inspect(args: argparse.Namespace) -> int:
    """Print what was found."""
    from gemma_backend.checkpoint.inspect import inspect
    from gemma_backend.text.clean import clean

    found = inspect(opened(args.checkpoint))
    if args.json:
        from dataclasses import asdict

        print(json.dumps(asdict(found), indent=2))
        return 0
    for line in _lines(found):
        print(clean(line, keep_newlines=False).rstrip())
    return 0


def opened(name: str) -> Checkpoint:
    """Headers and config of a checkpoint on this machine, or of one on the hub where it is not here."""
    from gemma_backend.checkpoint.header import read_checkpoint
    from gemma_backend.checkpoint.locate import REPOSITORY, locate
    from gemma_backend.types import EngineError

    repository, _, revision = name.partition("@")
    try:
        if not revision:
            return read_checkpoint(locate(name))
    except EngineError:
        if not REPOSITORY.fullmatch(repository):
            raise
    from gemma_backend.checkpoint.hub import remote_checkpoint

    return remote_checkpoint(repository, revision or None)


def _lines(found: Inspection) -> list[str]:
    lines = [f"{'architecture':<16}{found.architecture or 'not named'}"]
    lines.append(f"{'size':<16}{found.nbytes / 1e9:.2f} GB in {found.tensors:,} tensors")
    lines.append(f"{'context':<16}" + (f"{found.context:,} tokens" if found.context else "not named"))
    lines.append(f"{'quantization':<16}{_quantization(found)}")
    if found.quantization_config:
        method = found.quantization_config.get("quant_method", "not named")
        lines.append(f"{'':<16}method {method}, {found.quantised_layers:,} layers")
    if found.excluded:
        lines.append(f"{'excluded':<16}{', '.join(found.excluded)}")
    if found.unquantised:
        lines.append(f"{'kept in 16 bit':<16}{_cut(found.unquantised)}")
    if found.quantised_layers:
        refused = _cut(tuple(f"{name} {n}x{k}" for name, (n, k) in found.marlin_refuses.items()))
        lines.append(f"{'Marlin refuses':<16}{refused or 'no shape'}")
    if found.transformers:
        lines.append(f"{'transformers':<16}{found.transformers} or newer")
    lines += ["", f"{'part':<18}{'parameters':>14}{'bytes':>12}"]
    for part, number in found.parameters.items():
        lines.append(f"{part:<18}{number / 1e6:>12,.1f} M{found.bytes_by_part[part] / 1e6:>9,.1f} MB")
    total = sum(found.parameters.values())
    lines.append(f"{'in all':<18}{total / 1e6:>12,.1f} M{found.nbytes / 1e6:>9,.1f} MB")
    types = ", ".join(f"{dtype} {size / 1e6:,.1f} MB" for dtype, size in found.bytes_by_dtype.items())
    return [*lines, "", f"{'types':<16}{types}", *(f"note: {note}" for note in found.notes)]


def _quantization(found: Inspection) -> str:
    if found.weight_only is None:
        return found.quantization or "none"
    what = "weights only" if found.weight_only else "weights and activations"
    return f"{found.quantization or 'four bits'}, {what}"


def _cut(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
