"""The model card of a quantised checkpoint: what it is from, what was done, how large it is, how to serve it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gemma_backend.quantize.plan import ALSO_KEPT, BY, EXCLUDED, Plan

TITLES = {
    "nvfp4a16": "weights in NVFP4, activations in 16 bits (W4A16)",
    "nvfp4": "weights and activations in NVFP4 (W4A4)",
}


EVALUATION = "## Evaluation"


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
    calibration = _calibration(record["calibration"], options)
    rows = "\n".join(
        f"| {part.name} | {part.parameters:,} | {'NVFP4' if part.quantised else 'as in the source'} "
        f"| {part.before:,} | {part.after:,} |"
        for part in plan.parts
    )
    front_matter = "\n".join(front)
    files = record["calibration"]["files"] if record["calibration"] else {}
    made_with = ", ".join(f"{package} {version}" for package, version in sorted(versions.items()))
    return f"""---
{front_matter}
---

# {name} in NVFP4

Quantised from `{name}` with NVIDIA ModelOpt: {TITLES[plan.options.format]}.

* **Recipe**: E2M1 numbers in groups of 16, an FP8 (E4M3) scale for each group, that of {
        BY[options["scales"]]
    }; FP32 scales: {scales}.
* **Left as they were**: {kept}; embedding tables and norms; and what ModelOpt leaves alone in other models ({
        ", ".join(f"`{pattern}`" for pattern in ALSO_KEPT)
    }).
* **Calibration**: {calibration}.
* **Licence**: {licence or "that of the source checkpoint"}.
* **Made with**: {made_with}.

| part | parameters | format | bytes before | bytes after |
| --- | ---: | --- | ---: | ---: |
{rows}
| all | | | {plan.before:,} | {plan.after:,} |

{EVALUATION}

Not measured yet. Serve this checkpoint and its source, and
`gemma-tui eval --url HERE --against SOURCE --card FOLDER` compares the two and writes the table into this card.

## Serve

    vllm serve FOLDER --quantization modelopt --dtype auto

## Make it again

`quantize.json` holds options, versions and the digest of the source; `quantize.py` beside it needs torch, transformers
and nvidia-modelopt only:

    python quantize.py SOURCE DESTINATION{"".join(f" --calib {name}" for name in files)}
"""


def with_evaluation(card: str, text: str) -> str:
    """`card` with `text` (Markdown) in the place of its evaluation, or at its end where it has none."""
    before, found, after = card.partition(f"{EVALUATION}\n")
    _, heading, rest = after.partition("\n## ")
    if not found:
        return f"{card.rstrip()}\n\n{EVALUATION}\n\n{text.strip()}\n"
    return f"{before}{found}\n{text.strip()}\n{heading}{rest}"


def _calibration(found: Mapping[str, Any] | None, options: Mapping[str, Any]) -> str:
    if not found:
        return "none: only weights are rounded"
    seen = [
        f"{found[kind]} {kind if found[kind] != 1 else kind[:-1]}"
        for kind in ("texts", "pictures", "clips")
        if found.get(kind)
    ]
    digests = ", ".join(f"`{name}` (SHA-256 `{digest}`)" for name, digest in found["files"].items())
    return (
        f"{found['name']}: {', '.join(seen)}; batches of {options['batch_size']}, at most {options['seq_len']} tokens "
        f"of each text, seed {options['seed']}; {digests}"
    )
