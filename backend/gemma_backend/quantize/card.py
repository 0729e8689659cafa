"""The model card of a quantised checkpoint: what it is from, what was done, how large it is, how to serve it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gemma_backend.quantize.plan import ALSO_KEPT, EXCLUDED, Plan

TITLES = {
    "nvfp4a16": "weights in NVFP4, activations in 16 bits (W4A16)",
    "nvfp4": "weights and activations in NVFP4 (W4A4)",
}


def source_licence(source: Path) -> str | None:
    """The licence that the source's own card names in its front matter, None if there is none."""
    try:
        text = source.joinpath("README.md").read_text("utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"^license:\s*([\w.-]+)\s*$", text.partition("\n---")[0], re.MULTILINE)
    return found.group(1) if found else None


def model_card(plan: Plan, name: str, record: Mapping[str, Any], licence: str | None) -> str:
    """README.md for a checkpoint made by `plan` from the checkpoint `name`; `record` is its quantize.json."""
    front = [f"base_model: {name}"] if "/" in name else []
    front += [f"license: {licence}"] if licence else []
    front += ["library_name: transformers", "tags: [nvfp4, modelopt, vllm, gemma]"]
    options, versions = record["options"], record["versions"]
    kept = ", ".join(f"`{pattern}`" for pattern in (*EXCLUDED, *options["exclude"]))
    scales = "one for each group of layers that vLLM merges" if options["fuse_scales"] else "one for each layer"
    calibration = (
        f"{options['samples']} samples at most, batch {options['batch_size']}, {options['seq_len']} tokens each, text "
        f"with SHA-256 `{record['calibration']['sha256']}`"
        if record["calibration"]
        else "none: only weights are rounded"
    )
    by = {"max": "from its largest number", "mse": "by least squared error"}[options["scales"]]
    rows = "\n".join(
        f"| {part.name} | {part.parameters:,} | {'NVFP4' if part.quantised else 'as in the source'} "
        f"| {part.before:,} | {part.after:,} |"
        for part in plan.parts
    )
    front_matter = "\n".join(front)
    made_with = ", ".join(f"{package} {version}" for package, version in sorted(versions.items()))
    return f"""---
{front_matter}
---

# {name} in NVFP4

Quantised from `{name}` with NVIDIA ModelOpt: {TITLES[plan.options.format]}.

* **Recipe**: E2M1 numbers in groups of 16, an FP8 (E4M3) scale for each group, chosen {by}; FP32 scales: {scales}.
* **Left as they were**: {kept}; embedding tables and norms; and what ModelOpt leaves alone in other models ({
        ", ".join(f"`{pattern}`" for pattern in ALSO_KEPT)
    }).
* **Calibration**: {calibration}.
* **Evaluation**: not part of making it. `gemma-tui eval` compares a served checkpoint with its source.
* **Licence**: {licence or "that of the source checkpoint"}.
* **Made with**: {made_with}.

| part | parameters | format | bytes before | bytes after |
| --- | ---: | --- | ---: | ---: |
{rows}
| all | | | {plan.before:,} | {plan.after:,} |

## Serve

    vllm serve FOLDER --quantization modelopt --dtype auto

## Make it again

`quantize.json` holds options, versions and the digest of the source; `quantize.py` beside it needs torch, transformers
and nvidia-modelopt only:

    python quantize.py SOURCE DESTINATION{" --calib TEXT" if record["calibration"] else ""}
"""
