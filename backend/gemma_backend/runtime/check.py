"""The check at the end of an installation: import what an engine imports, in the runtime's own Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gemma_backend.runtime.locks import Device
from gemma_backend.runtime.plugin import write_plugin_folder

# Importing compiles to bytecode just the modules that an engine uses, so that its first start is not the slow one.
# Modules after the first line may have moved in another vLLM; they are warmed, not required.
_VLLM = """
import importlib, sys
sys.path.insert(0, {plugin!r})
import gemma_in_engine.launcher
import torch, transformers, vllm
import vllm.entrypoints.openai.api_server
for name in ("vllm.v1.engine.core", "vllm.v1.engine.async_llm", "vllm.model_executor.models.gemma4_mm",
             "vllm.model_executor.layers.quantization.modelopt", "transformers.models.gemma4.processing_gemma4",
             "transformers.models.gemma4.image_processing_gemma4", "soundfile", "soxr"{more}):
    try:
        importlib.import_module(name)
    except Exception as error:
        print("not warmed:", name, type(error).__name__, error)
print("vllm", vllm.__version__, "torch", torch.__version__, "transformers", transformers.__version__)
"""
_QUANTIZE = """
import modelopt, torch, transformers
import modelopt.torch.quantization, modelopt.torch.export
from transformers import Gemma4ForConditionalGeneration
print("modelopt", modelopt.__version__, "torch", torch.__version__, "transformers", transformers.__version__)
"""


def check(device: Device, python: Path, run: Callable[[list[str]], int]) -> str | None:
    """Import the runtime's packages with `run`, which returns an exit code; a sentence if that fails, else None."""
    if device == "quantize":
        code = run([str(python), "-c", _QUANTIZE])
    else:
        # The CUDA worker's modules load libraries of the driver, which need not be there where it is installed.
        more = ', "vllm.v1.worker.cpu_worker", "vllm.v1.worker.cpu_model_runner"' if device == "cpu" else ""
        code = run([str(python), "-c", _VLLM.format(plugin=str(write_plugin_folder()), more=more)])
    if code == 0:
        return None
    what = "ModelOpt" if device == "quantize" else "vLLM"
    return f"importing {what} in it failed with exit code {code}; install it again."
