"""Which transformers reads a checkpoint's config.json: newer releases spell Gemma 4 in words that older ones lack."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

# The first transformers with Gemma 4 (its release notes).
GEMMA4 = "5.5"
# Heads of another width for layers that see everything: `global_head_dim` until then (configuration_gemma4.py).
PER_LAYER = "5.15"
WIDTH_UNLESS_TOLD = 512
# The vision tower's positions: rope type `default` until then, which newer ones read as `axial`.
AXIAL = "5.17"
NEWER = "Use a runtime with a newer transformers (vLLM 0.32 or newer has it)."


@dataclass(frozen=True, slots=True)
class Need:
    """The oldest transformers that reads a config, and why; `certain` unless it is only the one that wrote it."""

    transformers: str
    why: str
    certain: bool


def need(config: dict[str, Any]) -> Need | None:
    """What `config` asks of its reader; None for a Gemma 4 that every release with Gemma 4 reads. Pure."""
    vision, text = _table(config, "vision_config"), _table(config, "text_config")
    if str(config.get("model_type") or "").startswith("gemma4"):
        if _table(vision, "rope_parameters").get("rope_type") == "axial":
            return Need(AXIAL, "its config.json gives the vision tower the rope type 'axial'", True)
        told = text.get("global_head_dim", WIDTH_UNLESS_TOLD)
        widths = [one.get("head_dim", told) for one in _table(text, "per_layer_config").values() if type(one) is dict]
        if any(width != told for width in widths):
            return Need(PER_LAYER, "its config.json tells the width of heads in 'per_layer_config' alone", True)
        return None
    wrote = config.get("transformers_version")
    return Need(wrote, f"it was written by transformers {wrote}", False) if isinstance(wrote, str) and wrote else None


def need_of(folder: Path) -> Need | None:
    """What the checkpoint in `folder` asks; None also where its config.json cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return need(config) if isinstance(config, dict) else None


def unreadable(have: str | None, wanted: Need | None) -> str | None:
    """Why transformers `have` cannot read a checkpoint, or may not, as a clause; None where it can."""
    try:
        if wanted is None or have is None or Version(have).release[:2] >= Version(wanted.transformers).release[:2]:
            return None
    except InvalidVersion:
        return None
    if wanted.certain:
        return (
            f"the checkpoint needs transformers {wanted.transformers} or newer, since {wanted.why}, and the runtime "
            f"has {have}"
        )
    return f"the checkpoint may need a newer transformers than the runtime's {have}: {wanted.why}"


def _table(config: dict[str, Any], name: str) -> dict[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}
