"""Every name inside vLLM that is used or replaced here, in one place: vLLM gives no promise for any of them."""

from __future__ import annotations

import importlib
import logging
from typing import Any

# Below `vllm`, so that lines come out the way vLLM's own do.
logger = logging.getLogger("vllm.gemma_in_engine")

PLATFORM = ("vllm.platforms", "current_platform")
KERNEL_BASE = ("vllm.model_executor.kernels.linear", "NvFp4LinearKernel")
KERNEL_CONFIG = ("vllm.model_executor.kernels.linear", "NvFp4LinearLayerConfig")
# The GEMM that vLLM's CPU platform picks for a BF16 layer: packed for the processor at hand.
CPU_GEMM = ("vllm.model_executor.layers.utils", "dispatch_cpu_unquantized_gemm")
# oneDNN's product, which that GEMM is on processors without AMX.
ONEDNN_GEMM = ("vllm._custom_ops", "onednn_mm")
# The command by which vLLM looks at a model class in a process of its own.
INSPECT_COMMAND = ("vllm.model_executor.models.registry", "_SUBPROCESS_COMMAND")
# Where each quantization method looks up its kernel.
KERNEL_CHOOSERS = (
    ("vllm.model_executor.layers.quantization.modelopt", "init_nvfp4_linear_kernel"),
    (
        "vllm.model_executor.layers.quantization.compressed_tensors.schemes.compressed_tensors_w4a4_nvfp4",
        "init_nvfp4_linear_kernel",
    ),
)
# ModelOpt's weight scheme; its `process` reduces the global scales of fused projections to the largest.
WEIGHT_SCHEME = ("vllm.model_executor.layers.quantization.modelopt", "KNvfp4Static")


def look_up(where: tuple[str, str]) -> Any | None:
    """What vLLM keeps under (module, attribute), None where this version does not have it."""
    try:
        return getattr(importlib.import_module(where[0]), where[1], None)
    except ImportError:
        return None


def replace(where: tuple[str, str], value: Any) -> None:
    """Have vLLM use `value` under (module, attribute), which `look_up` must have found."""
    setattr(importlib.import_module(where[0]), where[1], value)


def say_missing(where: tuple[str, str], loss: str) -> None:
    """Log that this vLLM lacks a name, and what is lost without it."""
    logger.warning("This vLLM has no %s.%s: %s", where[0], where[1], loss)
