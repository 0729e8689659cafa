"""Every name inside vLLM that is used or replaced here, in one place: vLLM gives no promise for any of them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
from pathlib import Path
from typing import Any, NamedTuple

# Below `vllm`, so that lines come out the way vLLM's own do.
logger = logging.getLogger("vllm.gemma_in_engine")


class Name(NamedTuple):
    """Where something is, `attribute` dotted below a class, and the parameters by which it is called."""

    module: str
    attribute: str
    parameters: tuple[str, ...] = ()


PLATFORM = Name("vllm.platforms", "current_platform")
KERNEL_BASE = Name("vllm.model_executor.kernels.linear", "NvFp4LinearKernel")
KERNEL_CONFIG = Name("vllm.model_executor.kernels.linear", "NvFp4LinearLayerConfig")
# The GEMM that vLLM's CPU platform picks for a BF16 layer: packed for the processor at hand.
CPU_GEMM = Name("vllm.model_executor.layers.utils", "dispatch_cpu_unquantized_gemm", ("layer", "remove_weight"))
# oneDNN's product, which that GEMM is on processors without AMX.
ONEDNN_GEMM = Name("vllm._custom_ops", "onednn_mm", ("dnnl_handler", "x", "bias"))
# The command by which vLLM looks at a model class in a process of its own.
INSPECT_COMMAND = Name("vllm.model_executor.models.registry", "_SUBPROCESS_COMMAND")
# Where each quantization method looks up its kernel.
KERNEL_CHOOSERS = (
    Name("vllm.model_executor.layers.quantization.modelopt", "init_nvfp4_linear_kernel"),
    Name(
        "vllm.model_executor.layers.quantization.compressed_tensors.schemes.compressed_tensors_w4a4_nvfp4",
        "init_nvfp4_linear_kernel",
    ),
)
# ModelOpt's weight scheme; its `process` reduces the global scales of fused projections to the largest.
WEIGHT_SCHEME = Name("vllm.model_executor.layers.quantization.modelopt", "KNvfp4Static")


# The class of every embedding table, its constructor and what reads its weights from the file.
EMBEDDING_INIT = Name(
    "vllm.model_executor.layers.vocab_parallel_embedding", "VocabParallelEmbedding.__init__", ("self", "prefix")
)
EMBEDDING_LOADER = Name(
    "vllm.model_executor.layers.vocab_parallel_embedding",
    "VocabParallelEmbedding.weight_loader",
    ("self", "param", "loaded_weight"),
)
# How a table that is not quantised keeps its weights.
PLAIN_EMBEDDING = Name("vllm.model_executor.layers.vocab_parallel_embedding", "UnquantizedEmbeddingMethod")
# A tensor on the GPU that is a view of pinned host memory.
DEVICE_VIEW = Name("vllm.utils.torch_utils", "get_accelerator_view_from_cpu_tensor", ("cpu_tensor",))
# Where Gemma 4 builds that table, by the name in its second half.
MODEL_SOURCE = "vllm.model_executor.models.gemma4"
PER_LAYER_TABLE = "embed_tokens_per_layer"

# What each plugin uses, by the name of its entry point.
PLUGINS = {
    "gemma_nvfp4_cpu": (PLATFORM, KERNEL_BASE, KERNEL_CONFIG, *KERNEL_CHOOSERS, CPU_GEMM, WEIGHT_SCHEME),
    "gemma_cpu_gemm": (PLATFORM, ONEDNN_GEMM),
    "gemma_inspect_model": (INSPECT_COMMAND,),
    "gemma_per_layer_table": (PLATFORM, EMBEDDING_INIT, EMBEDDING_LOADER, PLAIN_EMBEDDING, DEVICE_VIEW),
}


def look_up(where: Name) -> Any | None:
    """What vLLM keeps under a name, None where this version does not have it."""
    try:
        found: Any = importlib.import_module(where.module)
    except ImportError:
        return None
    for part in where.attribute.split("."):
        found = getattr(found, part, None)
    return found


def fits(where: Name) -> bool:
    """Whether this vLLM has the name and, where it is called, takes the parameters that it is called with."""
    found = look_up(where)
    if found is None or not where.parameters:
        return found is not None
    return set(where.parameters) <= set(inspect.signature(found).parameters)


def builds_table(source: str) -> bool:
    """Whether a model's source text builds the per-layer embedding table as the embedding class known here."""
    return "= VocabParallelEmbedding(" in source and f'.{PER_LAYER_TABLE}"' in source


def model_source() -> str:
    """Source text of vLLM's Gemma 4, read without importing it; "" if it is not there."""
    try:
        spec = importlib.util.find_spec(MODEL_SOURCE)
        return Path(spec.origin).read_text("utf-8") if spec is not None and spec.origin else ""
    except (ImportError, OSError, UnicodeDecodeError):
        return ""


def replace(where: Name, value: Any) -> None:
    """Have vLLM use `value` under a name, which `look_up` must have found."""
    owner: Any = importlib.import_module(where.module)
    *owners, last = where.attribute.split(".")
    for part in owners:
        owner = getattr(owner, part)
    setattr(owner, last, value)


def say_missing(where: Name, loss: str) -> None:
    """Log that this vLLM lacks a name, or calls it otherwise, and what is lost without it."""
    logger.warning("This vLLM has no %s.%s as it is used here: %s", where.module, where.attribute, loss)
