"""Let torchvision be imported where its compiled half cannot load, as PyPI's CUDA build beside a CPU torch.

torchvision registers Python halves of its operators at import, which fails where the compiled half has not defined
them. Gemma 4's image processor calls none of them, so their schemas are enough.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

# Operators whose Python halves torchvision registers unconditionally (torchvision/_meta_registrations.py), with the
# schemas of torchvision/csrc/ops/nms.cpp and torchvision/csrc/ops/quantized/cpu/qnms_kernel.cpp.
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A torch.library.Library withdraws its definitions when it is collected.
_kept: list[Any] = []


def supply() -> None:
    """Define the operators' schemas if torchvision is installed and its compiled half does not load."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations or importlib.util.find_spec("torch") is None:
        return
    compiled = [path for folder in spec.submodule_search_locations for path in Path(folder).glob("_C*.so")]
    import torch

    for path in compiled:
        try:
            torch.ops.load_library(str(path))
        except OSError:
            continue
        return
    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    _kept.append(library)
